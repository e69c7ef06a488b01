"""Tables of notifications: what people were told, where they can be reached, and what waits to be sent there."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from matcher.columns import created_at, version
from matcher.db import metadata

PENDING = "status = 'pending'"

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

devices = Table(
    "devices",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("platform", Text, nullable=False),
    Column("address", Text, nullable=False),  # FCM token, or the subscription as JSON; secret
    # SHA-256 of the token or endpoint: an installation belongs to the account that registered it last.
    Column("address_hash", LargeBinary, nullable=False),
    Column("last_used_at", DateTime(timezone=True), nullable=False, server_default=text("matcher_now()")),
    created_at(),
    UniqueConstraint("address_hash"),
    CheckConstraint("platform IN ('fcm', 'webpush')", name="platform"),
    Index(None, "user_id"),
)

notification_preferences = Table(
    "notification_preferences",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("choices", JSONB, nullable=False, server_default="{}"),  # {kind: {channel: bool}}; absent: default
    Column("quiet_hours", JSONB),  # {start, end, timeZone}
    version(),
)

# The durable queue of pushes, one row an address: each is tried, fails and is given up by itself.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("target_id", Uuid, nullable=False),  # the device; the user for mail
    Column("recipient", Text, nullable=False),  # whose socket would have brought it: "shop:…" or "user:…"
    Column("key", Text, nullable=False),  # what happened; told once to each target
    Column("entity_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", JSONB, nullable=False),  # {title, body, topic, data}
    # Where the event log holds it: what a socket's `ack` is compared with.
    Column("log_epoch", LargeBinary, nullable=False),
    Column("log_generation", BigInteger, nullable=False),
    Column("log_sequence", BigInteger, nullable=False),
    Column("log_number", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("last_error", Text),
    created_at(),
    UniqueConstraint("recipient", "key", "target_id"),
    CheckConstraint("status IN ('pending', 'sent', 'failed', 'dead', 'suppressed')", name="status"),
    CheckConstraint("channel IN ('fcm', 'webpush', 'mail')", name="channel"),
    Index("deliveries_due_idx", "next_attempt_at", postgresql_where=text(PENDING)),
    Index("deliveries_waiting_idx", "recipient", "entity_id", postgresql_where=text(PENDING)),
    Index("deliveries_dead_idx", "id", postgresql_where=text("status = 'dead'")),
    Index(None, "created_at"),
    Index(None, "user_id"),
)

# How far the deliveries have been derived from each partition of the event log.
push_cursors = Table(
    "push_cursors",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("epoch", LargeBinary, nullable=False, server_default=""),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Column("complete_at", DateTime(timezone=True), nullable=False, server_default=text("matcher_now()")),
)
