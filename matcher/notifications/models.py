"""Tables of notifications."""

from sqlalchemy import Column, DateTime, ForeignKey, Index, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from matcher.columns import created_at, version
from matcher.db import metadata

notifications = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("type", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSONB),
    Column("read_at", DateTime(timezone=True)),
    version(),
    created_at(),
    Index(None, "user_id", "id"),
    Index("notifications_unread_idx", "user_id", "id", postgresql_where=text("read_at IS NULL")),
)
