"""Column shapes that many tables share, so that they mean the same everywhere."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, text
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id: the watermark that change feeds compare (`changes.py`)."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in DDL."""
        return "xid8"


def version() -> Column[int]:
    """Raised by every change; what `If-Match` compares."""
    return Column("version", BigInteger, nullable=False, server_default="1")


def changed_xid() -> Column[int]:
    """The transaction that changed the row last; kept by the trigger `stamp_changed_xid`."""
    return Column("changed_xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()"))


def created_at() -> Column[datetime]:
    """When the row was made, by the database's clock."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("matcher_now()"))


def updated_at() -> Column[datetime]:
    """When the row was changed last; kept by the statements that change it."""
    return Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("matcher_now()"))
