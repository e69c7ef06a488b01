"""Tables of accounts."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
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

# A sign-in and all refresh tokens that follow from it. The tokens are not stored: a token is a session and a
# generation under a MAC (docs/adr/0020).
sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),  # `sid` of its access tokens
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),  # users.session_epoch at the sign-in; an older one has ended
    Column("generation", Integer, nullable=False, server_default="0"),  # of the newest refresh token
    Column("advanced_at", DateTime(timezone=True), nullable=False),  # when that generation was first issued
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Index(None, "user_id"),
)

# In PostgreSQL, because counters that a lost Redis forgets would let a guesser start again.
login_failures = Table(
    "login_failures",
    metadata,
    Column("key", Text, primary_key=True),  # "account:<sha256 of the email>" or "address:<ip>"
    Column("failures", Integer, nullable=False),
    Column("window_started_at", DateTime(timezone=True), nullable=False),
)
