"""Tables of the shop directory (PostGIS)."""

from geoalchemy2 import Geography, Geometry
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from matcher.columns import changed_xid, created_at, updated_at, version
from matcher.db import metadata

shops = Table(
    "shops",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source", Text, nullable=False, server_default="onboarding"),
    Column("source_ref", Text),  # the id in the source; makes a re-import idempotent
    Column("owner_id", Uuid, ForeignKey("users.id")),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="car_parts"),
    Column("name", Text, nullable=False),
    Column("chain", Text),
    Column("registration_number", Text),
    Column("tax_id", Text),
    Column("phone", Text),
    Column("email", Text),
    Column("place", Geography("POINT", srid=4326, spatial_index=False), nullable=False),
    Column("h3_r5", BigInteger, nullable=False),
    Column("h3_r8", BigInteger, nullable=False),
    Column("address", Text, nullable=False, server_default=""),
    Column("country", Text),  # ISO 3166-1 alpha-2
    Column("time_zone", Text, nullable=False, server_default="UTC"),  # IANA name
    Column("opening_hours", JSONB),  # null: unknown
    Column("hours_exceptions", JSONB),
    Column("delivery_radius_m", Double),
    Column("service_area", Geometry("MULTIPOLYGON", srid=4326, spatial_index=False)),
    Column("service_reach_m", Double, nullable=False),  # farthest point of the service area from the place
    Column("ships_beyond_area", Boolean, nullable=False, server_default="false"),
    Column("paused_until", DateTime(timezone=True)),
    Column("inventory_mode", Text),
    Column("currency", Text),
    Column("pricing", JSONB),
    Column("document_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("makes_generated", Boolean, nullable=False, server_default="false"),
    Column("rating", Double),  # 0..5; null: unknown
    Column("reply_rate", Double),  # 0..1 of dispatches answered; null: unknown
    Column("review_reason", Text),  # why it was rejected or suspended
    Column("reviewed_by", Uuid),
    version(),
    changed_xid(),
    created_at(),
    updated_at(),
    UniqueConstraint("source", "source_ref"),
    CheckConstraint(
        "status IN ('unclaimed', 'pending_verification', 'active', 'suspended', 'paused', 'inactive', 'rejected')",
        name="status",
    ),
    CheckConstraint("(delivery_radius_m IS NULL) <> (service_area IS NULL)", name="one_area"),
    CheckConstraint("delivery_radius_m > 0 AND delivery_radius_m <= 200000", name="delivery_radius"),
    Index("shops_place_gist", "place", postgresql_using="gist"),
    Index(None, "h3_r5"),
    Index(None, "changed_xid"),
    Index(None, "status", "id"),
    Index(None, "owner_id"),
)

shop_makes = Table(
    "shop_makes",
    metadata,
    Column("shop_id", Uuid, ForeignKey("shops.id", ondelete="CASCADE"), primary_key=True),
    Column("make", Text, primary_key=True),  # slug of matcher.vehicles.makes
    Index(None, "make"),
)

shop_onboardings = Table(
    "shop_onboardings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("claim_shop_id", Uuid, ForeignKey("shops.id")),
    Column("shop_id", Uuid, ForeignKey("shops.id")),
    Column("status", Text, nullable=False, server_default="in_progress"),
    Column("current_step", SmallInteger, nullable=False, server_default="1"),
    Column("completed_steps", ARRAY(SmallInteger), nullable=False, server_default="{}"),
    Column("steps", JSONB, nullable=False, server_default="{}"),
    version(),
    created_at(),
    updated_at(),
    CheckConstraint("status IN ('in_progress', 'completed', 'failed')", name="status"),
    CheckConstraint("current_step BETWEEN 1 AND 6", name="current_step"),
    Index(None, "user_id"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    created_at(),
    Index(None, "owner_id"),
)
