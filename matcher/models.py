"""Tables that serve every domain: the outbox, the idempotency keys, the audit trail."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from matcher.columns import created_at
from matcher.db import metadata

# Pointers to what has changed and is not yet in the event log; whoever publishes renders from rows.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("entity_ids", ARRAY(Uuid), nullable=False),
    Column("versions", ARRAY(BigInteger), nullable=False),
    created_at(),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("scope", Text, primary_key=True),  # "POST /api/v1/auto-parts-orders"
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of the payload
    Column("status", SmallInteger),
    Column("body", LargeBinary),
    created_at(),
    Index(None, "created_at"),
)

# Kept when its account is deleted: without a foreign key.
security_events = Table(
    "security_events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("matcher_now()")),
    Column("account_id", Uuid),  # who acted, or whose account was tried
    Column("address", Text),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    CheckConstraint("length(detail::text) <= 4000", name="detail"),
    Index(None, "at"),
    Index(None, "account_id", "id"),
    Index(None, "kind", "id"),
)
