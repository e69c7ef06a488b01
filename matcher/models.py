"""Tables that serve every domain: the outbox and the idempotency keys."""

from sqlalchemy import ARRAY, BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text, Uuid

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
