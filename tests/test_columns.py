"""Columns that many tables share mean the same everywhere."""

from sqlalchemy import DateTime

from matcher.columns import Xid8
from matcher.schema import metadata

SHARED = {
    "version": "1",
    "changed_xid": "pg_current_xact_id()",
    "created_at": "matcher_now()",
    "updated_at": "matcher_now()",
}
# These carry the version of something else: never a default.
OF_ANOTHER = {("dispatches", "version"), ("quotes", "version"), ("deliveries", "version")}


def test_shared_columns_have_one_default() -> None:
    seen = set()
    for table in metadata.tables.values():
        for name, default in SHARED.items():
            if name not in table.c or (table.name, name) in OF_ANOTHER:
                continue
            column = table.c[name]
            assert not column.nullable
            assert column.server_default is not None
            assert str(column.server_default.arg) == default  # type: ignore[attr-defined]  # all are plain defaults
            seen.add(name)
    assert seen == set(SHARED)


def test_every_time_has_a_zone() -> None:
    for table in metadata.tables.values():
        for column in table.c:
            if isinstance(column.type, DateTime):
                assert column.type.timezone, f"{table.name}.{column.name}"


def test_watermarks_are_xid8() -> None:
    assert Xid8().get_col_spec() == "xid8"
