"""Tables of accounts."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)

from matcher.columns import changed_xid, created_at, updated_at, version
from matcher.db import metadata

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text),  # lower case; null once the account is deleted
    Column("password_hash", Text),  # null: signs in through the outside issuer only
    Column("external_subject", Text),  # "<issuer>|<sub>"
    Column("name", Text, nullable=False),
    Column("phone", Text),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    # Carried by access tokens; raising it ends every one of them.
    Column("session_epoch", Integer, nullable=False, server_default="1"),
    version(),
    changed_xid(),
    created_at(),
    updated_at(),
    UniqueConstraint("email"),
    UniqueConstraint("external_subject"),
    CheckConstraint("role IN ('customer', 'shop_owner', 'admin')", name="role"),
    CheckConstraint("status IN ('active', 'deleted')", name="status"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    Index(None, "changed_xid"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("shop_id", Uuid, primary_key=True),
    Column("role", Text, nullable=False),
    created_at(),
    CheckConstraint("role IN ('shop_owner', 'manager', 'cashier', 'stock_clerk', 'accountant')", name="role"),
    Index(None, "shop_id"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("family_id", Uuid, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("parent_id", Uuid),
    Column("token_hash", LargeBinary, nullable=False),  # SHA-256: the token itself has 256 random bits
    Column("used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    created_at(),
    UniqueConstraint("token_hash"),
    Index(None, "family_id"),
    Index(None, "user_id"),
)

# In PostgreSQL, because counters that a lost Redis forgets would let a guesser start again.
login_failures = Table(
    "login_failures",
    metadata,
    Column("key", Text, primary_key=True),  # "account:<sha256>" or "address:<ip>"
    Column("failures", Integer, nullable=False),
    Column("window_started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
