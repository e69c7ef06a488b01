"""Tables of orders, dispatches and quotes.

The order's state is apart from its document, so that a version bump rewrites a narrow row: ten shops
may mark one order seen within a second.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from matcher.columns import created_at, updated_at, version
from matcher.db import metadata

OPEN = "status IN ('submitted', 'quoted')"

orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    version(),  # raised by every change of the order, its dispatches or its quotes
    Column("view_version", BigInteger, nullable=False, server_default="1"),  # … of the order's own view
    Column("urgency", Text, nullable=False),
    Column("priority", Text, nullable=False),  # derived at each write: views show stored states
    Column("payment_method", Text, nullable=False),
    Column("payment_status", Text, nullable=False, server_default="pending"),
    Column("currency", Text, nullable=False),
    Column("parts_count", SmallInteger, nullable=False),
    Column("wave", SmallInteger, nullable=False, server_default="0"),
    Column("next_wave_at", DateTime(timezone=True)),  # null: no further wave
    Column("shops_notified", Integer, nullable=False, server_default="0"),
    Column("radius_m", Double),  # distance of the farthest shop asked
    Column("dispatch_reason", Text),  # why nobody was asked
    Column("accepted_quote_id", Uuid),
    Column("submitted_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("accepted_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    Column("cancel_reason", Text),
    Column("tracking", JSONB),
    created_at(),
    updated_at(),
    CheckConstraint(
        "status IN ('draft', 'submitted', 'quoted', 'accepted', 'processing', 'shipped', 'delivered',"
        " 'expired', 'cancelled')",
        name="status",
    ),
    CheckConstraint("urgency IN ('low', 'normal', 'high', 'urgent')", name="urgency"),
    CheckConstraint("payment_method IN ('cash_on_delivery', 'card')", name="payment_method"),
    CheckConstraint(
        "status IN ('draft', 'cancelled') OR (submitted_at IS NOT NULL AND expires_at IS NOT NULL)",
        name="submitted",
    ),
    CheckConstraint(
        "(status IN ('accepted', 'processing', 'shipped', 'delivered')) <= (accepted_quote_id IS NOT NULL)",
        name="accepted_quote",
    ),
    Index(None, "user_id", "id"),
    Index("orders_open_user_idx", "user_id", postgresql_where=text(OPEN)),
    Index("orders_open_expires_at_idx", "expires_at", postgresql_where=text(OPEN)),
    Index(
        "orders_open_next_wave_at_idx",
        "next_wave_at",
        postgresql_where=text(OPEN + " AND next_wave_at IS NOT NULL"),
    ),
    # State changes often and touches no indexed column most times: leave room on the page for HOT updates.
    postgresql_with={"fillfactor": "70"},
)

order_documents = Table(
    "order_documents",
    metadata,
    Column("order_id", Uuid, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("make", Text, nullable=False),  # slug
    Column("latitude", Double, nullable=False),
    Column("longitude", Double, nullable=False),
    Column("vehicle", JSONB, nullable=False),
    Column("delivery_location", JSONB, nullable=False),
    Column("parts", JSONB, nullable=False),
    Column("contact", JSONB),  # {name, phone} of the customer, written at acceptance for the winner
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("shop_id", Uuid, primary_key=True),
    Column("order_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("created_version", BigInteger, nullable=False),  # equal to `version` until the first change
    Column("wave", SmallInteger, nullable=False),
    Column("rank", SmallInteger, nullable=False),  # 1.. within the wave
    Column("status", Text, nullable=False, server_default="pending"),
    Column("closed_reason", Text),
    Column("distance_m", Double, nullable=False),  # exact, for the owner and ops
    Column("shown_distance_m", Integer, nullable=False),  # from the blurred centre, rounded up to 100 m
    Column("reasons", JSONB, nullable=False),  # [{term, value, weight}]
    Column("decline_reason", Text),
    Column("dispatched_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True)),
    Column("responded_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('pending', 'seen', 'quoted', 'declined', 'closed', 'won')", name="status"),
    CheckConstraint(
        "(status = 'closed') = (closed_reason IS NOT NULL) AND (closed_reason IS NULL OR"
        " closed_reason IN ('accepted_elsewhere', 'cancelled', 'expired', 'revoked'))",
        name="closed_reason",
    ),
    Index(None, "order_id"),
)

quotes = Table(
    "quotes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("order_id", Uuid, ForeignKey("orders.id"), nullable=False),
    Column("shop_id", Uuid, nullable=False),
    Column("shop_name", Text, nullable=False),  # as it was when quoted
    Column("version", BigInteger, nullable=False),
    Column("created_version", BigInteger, nullable=False),  # equal to `version` until the first change
    Column("status", Text, nullable=False, server_default="active"),
    Column("source", Text, nullable=False, server_default="manual"),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("coverage", JSONB, nullable=False),  # {"available": [lineId], "partial": […], "missing": […]}
    Column("parts_total_minor", BigInteger, nullable=False),
    Column("delivery_fee_minor", BigInteger, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("estimated_delivery_minutes", Integer, nullable=False),
    Column("estimated_delivery", DateTime(timezone=True), nullable=False),
    Column("pickup", Boolean, nullable=False),
    Column("valid_until", DateTime(timezone=True)),  # null: as long as the order is open
    Column("notes", Text),
    Column("created_by", Uuid),
    created_at(),
    updated_at(),
    CheckConstraint("status IN ('active', 'accepted', 'rejected', 'withdrawn', 'expired')", name="status"),
    CheckConstraint("source IN ('manual', 'stock')", name="source"),
    CheckConstraint(
        "parts_total_minor >= 0 AND delivery_fee_minor >= 0 AND total_minor = parts_total_minor + delivery_fee_minor",
        name="total",
    ),
    Index("quotes_one_live", "order_id", "shop_id", unique=True, postgresql_where=text("status = 'active'")),
    Index("quotes_one_accepted", "order_id", unique=True, postgresql_where=text("status = 'accepted'")),
    Index(None, "order_id"),
    Index(None, "shop_id", "id"),
    Index(
        "quotes_active_valid_until_idx",
        "valid_until",
        postgresql_where=text("status = 'active' AND valid_until IS NOT NULL"),
    ),
)
