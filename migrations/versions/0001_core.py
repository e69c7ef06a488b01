"""The core: accounts, shops, orders, dispatches, quotes, notifications, outbox.

Revision ID: 0001
Revises: none
"""

from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

# The one clock of all SQL. Tests set `matcher.now` on a connection; nobody else does.
CLOCK = """
CREATE FUNCTION matcher_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(current_setting('matcher.now', true), '')::timestamptz, clock_timestamp())
$$;
"""

# Change feeds compare this watermark with the oldest transaction still running, so a late commit is never skipped.
STAMP = """
CREATE FUNCTION stamp_changed_xid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    RETURN NEW;
END
$$;
"""

TABLES = """
CREATE TABLE dispatches (
    shop_id UUID NOT NULL,
    order_id UUID NOT NULL,
    version BIGINT NOT NULL,
    created_version BIGINT NOT NULL,
    wave SMALLINT NOT NULL,
    rank SMALLINT NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    closed_reason TEXT,
    distance_m DOUBLE PRECISION NOT NULL,
    shown_distance_m INTEGER NOT NULL,
    reasons JSONB NOT NULL,
    decline_reason TEXT,
    dispatched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE,
    responded_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT dispatches_pkey PRIMARY KEY (shop_id, order_id),
    CONSTRAINT dispatches_status_check CHECK (status IN ('pending', 'seen', 'quoted', 'declined', 'closed', 'won')),
    CONSTRAINT dispatches_closed_reason_check CHECK ((status = 'closed') = (closed_reason IS NOT NULL) AND (closed_reason IS NULL OR closed_reason IN ('accepted_elsewhere', 'cancelled', 'expired', 'revoked')))
);

CREATE INDEX dispatches_order_id_idx ON dispatches (order_id);

CREATE TABLE idempotency_keys (
    account_id UUID NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    status SMALLINT,
    body BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (account_id, scope, key)
);

CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

CREATE TABLE login_failures (
    key TEXT NOT NULL,
    failures INTEGER NOT NULL,
    window_started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT login_failures_pkey PRIMARY KEY (key)
);

CREATE TABLE orders (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    status TEXT NOT NULL,
    version BIGINT DEFAULT '1' NOT NULL,
    view_version BIGINT DEFAULT '1' NOT NULL,
    urgency TEXT NOT NULL,
    priority TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    payment_status TEXT DEFAULT 'pending' NOT NULL,
    currency TEXT NOT NULL,
    parts_count SMALLINT NOT NULL,
    wave SMALLINT DEFAULT '0' NOT NULL,
    next_wave_at TIMESTAMP WITH TIME ZONE,
    shops_notified INTEGER DEFAULT '0' NOT NULL,
    radius_m DOUBLE PRECISION,
    dispatch_reason TEXT,
    accepted_quote_id UUID,
    submitted_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    accepted_at TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    cancel_reason TEXT,
    tracking JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_status_check CHECK (status IN ('draft', 'submitted', 'quoted', 'accepted', 'processing', 'shipped', 'delivered', 'expired', 'cancelled')),
    CONSTRAINT orders_urgency_check CHECK (urgency IN ('low', 'normal', 'high', 'urgent')),
    CONSTRAINT orders_payment_method_check CHECK (payment_method IN ('cash_on_delivery', 'card')),
    CONSTRAINT orders_submitted_check CHECK (status IN ('draft', 'cancelled') OR (submitted_at IS NOT NULL AND expires_at IS NOT NULL)),
    CONSTRAINT orders_accepted_quote_check CHECK ((status IN ('accepted', 'processing', 'shipped', 'delivered')) <= (accepted_quote_id IS NOT NULL))
)
 WITH (fillfactor = 70);

CREATE INDEX orders_open_expires_at_idx ON orders (expires_at) WHERE status IN ('submitted', 'quoted');

CREATE INDEX orders_open_next_wave_at_idx ON orders (next_wave_at) WHERE status IN ('submitted', 'quoted') AND next_wave_at IS NOT NULL;

CREATE INDEX orders_open_user_idx ON orders (user_id) WHERE status IN ('submitted', 'quoted');

CREATE INDEX orders_user_id_id_idx ON orders (user_id, id);

CREATE TABLE outbox (
    id UUID NOT NULL,
    topic TEXT NOT NULL,
    entity_ids UUID[] NOT NULL,
    versions BIGINT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (id)
);

CREATE TABLE push_cursors (
    partition SERIAL NOT NULL,
    epoch BYTEA DEFAULT '' NOT NULL,
    generation BIGINT DEFAULT '0' NOT NULL,
    sequence BIGINT DEFAULT '0' NOT NULL,
    complete_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT push_cursors_pkey PRIMARY KEY (partition)
);

CREATE TABLE security_events (
    id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    account_id UUID,
    address TEXT,
    kind TEXT NOT NULL,
    detail JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT security_events_pkey PRIMARY KEY (id),
    CONSTRAINT security_events_detail_check CHECK (length(detail::text) <= 4000)
);

CREATE INDEX security_events_account_id_id_idx ON security_events (account_id, id);

CREATE INDEX security_events_at_idx ON security_events (at);

CREATE INDEX security_events_kind_id_idx ON security_events (kind, id);

CREATE TABLE users (
    id UUID NOT NULL,
    email TEXT,
    password_hash TEXT,
    external_subject TEXT,
    name TEXT NOT NULL,
    phone TEXT,
    role TEXT NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    session_epoch INTEGER DEFAULT '1' NOT NULL,
    version BIGINT DEFAULT '1' NOT NULL,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_external_subject_key UNIQUE (external_subject),
    CONSTRAINT users_role_check CHECK (role IN ('customer', 'shop_owner', 'admin')),
    CONSTRAINT users_status_check CHECK (status IN ('active', 'deleted')),
    CONSTRAINT users_email_lower_check CHECK (email = lower(email))
);

CREATE INDEX users_changed_xid_idx ON users (changed_xid);

CREATE TABLE deliveries (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    channel TEXT NOT NULL,
    target_id UUID NOT NULL,
    recipient TEXT NOT NULL,
    key TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    content JSONB NOT NULL,
    log_epoch BYTEA NOT NULL,
    log_generation BIGINT NOT NULL,
    log_sequence BIGINT NOT NULL,
    log_number INTEGER NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT deliveries_recipient_key_target_id_key UNIQUE (recipient, key, target_id),
    CONSTRAINT deliveries_status_check CHECK (status IN ('pending', 'sent', 'failed', 'dead', 'suppressed')),
    CONSTRAINT deliveries_channel_check CHECK (channel IN ('fcm', 'webpush', 'mail')),
    CONSTRAINT deliveries_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX deliveries_created_at_idx ON deliveries (created_at);

CREATE INDEX deliveries_dead_idx ON deliveries (id) WHERE status = 'dead';

CREATE INDEX deliveries_due_idx ON deliveries (next_attempt_at) WHERE status = 'pending';

CREATE INDEX deliveries_user_id_idx ON deliveries (user_id);

CREATE INDEX deliveries_waiting_idx ON deliveries (recipient, entity_id) WHERE status = 'pending';

CREATE TABLE devices (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    platform TEXT NOT NULL,
    address TEXT NOT NULL,
    address_hash BYTEA NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT devices_pkey PRIMARY KEY (id),
    CONSTRAINT devices_address_hash_key UNIQUE (address_hash),
    CONSTRAINT devices_platform_check CHECK (platform IN ('fcm', 'webpush')),
    CONSTRAINT devices_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX devices_user_id_idx ON devices (user_id);

CREATE TABLE memberships (
    user_id UUID NOT NULL,
    shop_id UUID NOT NULL,
    role TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT memberships_pkey PRIMARY KEY (user_id, shop_id),
    CONSTRAINT memberships_role_check CHECK (role IN ('shop_owner', 'manager', 'cashier', 'stock_clerk', 'accountant')),
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX memberships_shop_id_idx ON memberships (shop_id);

CREATE TABLE notification_preferences (
    user_id UUID NOT NULL,
    choices JSONB DEFAULT '{}' NOT NULL,
    quiet_hours JSONB,
    version BIGINT DEFAULT '1' NOT NULL,
    CONSTRAINT notification_preferences_pkey PRIMARY KEY (user_id),
    CONSTRAINT notification_preferences_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE notifications (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    data JSONB,
    read_at TIMESTAMP WITH TIME ZONE,
    version BIGINT DEFAULT '1' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT notifications_pkey PRIMARY KEY (id),
    CONSTRAINT notifications_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX notifications_unread_idx ON notifications (user_id, id) WHERE read_at IS NULL;

CREATE INDEX notifications_user_id_id_idx ON notifications (user_id, id);

CREATE TABLE order_documents (
    order_id UUID NOT NULL,
    make TEXT NOT NULL,
    latitude DOUBLE PRECISION NOT NULL,
    longitude DOUBLE PRECISION NOT NULL,
    vehicle JSONB NOT NULL,
    delivery_location JSONB NOT NULL,
    parts JSONB NOT NULL,
    contact JSONB,
    CONSTRAINT order_documents_pkey PRIMARY KEY (order_id),
    CONSTRAINT order_documents_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id) ON DELETE CASCADE
);

CREATE TABLE quotes (
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    shop_id UUID NOT NULL,
    shop_name TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_version BIGINT NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    source TEXT DEFAULT 'manual' NOT NULL,
    currency TEXT NOT NULL,
    lines JSONB NOT NULL,
    coverage JSONB NOT NULL,
    parts_total_minor BIGINT NOT NULL,
    delivery_fee_minor BIGINT NOT NULL,
    total_minor BIGINT NOT NULL,
    estimated_delivery_minutes INTEGER NOT NULL,
    estimated_delivery TIMESTAMP WITH TIME ZONE NOT NULL,
    pickup BOOLEAN NOT NULL,
    valid_until TIMESTAMP WITH TIME ZONE,
    notes TEXT,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT quotes_pkey PRIMARY KEY (id),
    CONSTRAINT quotes_status_check CHECK (status IN ('active', 'accepted', 'rejected', 'withdrawn', 'expired')),
    CONSTRAINT quotes_source_check CHECK (source IN ('manual', 'stock')),
    CONSTRAINT quotes_total_check CHECK (parts_total_minor >= 0 AND delivery_fee_minor >= 0 AND total_minor = parts_total_minor + delivery_fee_minor),
    CONSTRAINT quotes_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
);

CREATE INDEX quotes_active_valid_until_idx ON quotes (valid_until) WHERE status = 'active' AND valid_until IS NOT NULL;

CREATE UNIQUE INDEX quotes_one_accepted ON quotes (order_id) WHERE status = 'accepted';

CREATE UNIQUE INDEX quotes_one_live ON quotes (order_id, shop_id) WHERE status = 'active';

CREATE INDEX quotes_order_id_idx ON quotes (order_id);

CREATE INDEX quotes_shop_id_id_idx ON quotes (shop_id, id);

CREATE TABLE sessions (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    epoch INTEGER NOT NULL,
    generation INTEGER DEFAULT '0' NOT NULL,
    advanced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX sessions_user_id_idx ON sessions (user_id);

CREATE TABLE shops (
    id UUID NOT NULL,
    source TEXT DEFAULT 'onboarding' NOT NULL,
    source_ref TEXT,
    owner_id UUID,
    status TEXT NOT NULL,
    kind TEXT DEFAULT 'car_parts' NOT NULL,
    name TEXT NOT NULL,
    chain TEXT,
    registration_number TEXT,
    tax_id TEXT,
    phone TEXT,
    email TEXT,
    place geography(POINT,4326) NOT NULL,
    h3_r5 BIGINT NOT NULL,
    h3_r8 BIGINT NOT NULL,
    address TEXT DEFAULT '' NOT NULL,
    country TEXT,
    time_zone TEXT DEFAULT 'UTC' NOT NULL,
    opening_hours JSONB,
    hours_exceptions JSONB,
    delivery_radius_m DOUBLE PRECISION,
    service_area geometry(MULTIPOLYGON,4326),
    service_reach_m DOUBLE PRECISION NOT NULL,
    ships_beyond_area BOOLEAN DEFAULT 'false' NOT NULL,
    paused_until TIMESTAMP WITH TIME ZONE,
    inventory_mode TEXT,
    currency TEXT,
    pricing JSONB,
    document_ids UUID[] DEFAULT '{}' NOT NULL,
    makes_generated BOOLEAN DEFAULT 'false' NOT NULL,
    rating DOUBLE PRECISION,
    reply_rate DOUBLE PRECISION,
    review_reason TEXT,
    reviewed_by UUID,
    version BIGINT DEFAULT '1' NOT NULL,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT shops_pkey PRIMARY KEY (id),
    CONSTRAINT shops_source_source_ref_key UNIQUE (source, source_ref),
    CONSTRAINT shops_status_check CHECK (status IN ('unclaimed', 'pending_verification', 'active', 'suspended', 'paused', 'inactive', 'rejected')),
    CONSTRAINT shops_one_area_check CHECK ((delivery_radius_m IS NULL) <> (service_area IS NULL)),
    CONSTRAINT shops_delivery_radius_check CHECK (delivery_radius_m > 0 AND delivery_radius_m <= 200000),
    CONSTRAINT shops_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id)
);

CREATE INDEX shops_changed_xid_idx ON shops (changed_xid);

CREATE INDEX shops_h3_r5_idx ON shops (h3_r5);

CREATE INDEX shops_owner_id_idx ON shops (owner_id);

CREATE INDEX shops_place_gist ON shops USING gist (place);

CREATE INDEX shops_status_id_idx ON shops (status, id);

CREATE TABLE uploads (
    id UUID NOT NULL,
    owner_id UUID NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BYTEA NOT NULL,
    content BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT uploads_pkey PRIMARY KEY (id),
    CONSTRAINT uploads_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id)
);

CREATE INDEX uploads_owner_id_idx ON uploads (owner_id);

CREATE TABLE shop_makes (
    shop_id UUID NOT NULL,
    make TEXT NOT NULL,
    CONSTRAINT shop_makes_pkey PRIMARY KEY (shop_id, make),
    CONSTRAINT shop_makes_shop_id_fkey FOREIGN KEY(shop_id) REFERENCES shops (id) ON DELETE CASCADE
);

CREATE INDEX shop_makes_make_idx ON shop_makes (make);

CREATE TABLE shop_onboardings (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    claim_shop_id UUID,
    shop_id UUID,
    status TEXT DEFAULT 'in_progress' NOT NULL,
    current_step SMALLINT DEFAULT '1' NOT NULL,
    completed_steps SMALLINT[] DEFAULT '{}' NOT NULL,
    steps JSONB DEFAULT '{}' NOT NULL,
    version BIGINT DEFAULT '1' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT matcher_now() NOT NULL,
    CONSTRAINT shop_onboardings_pkey PRIMARY KEY (id),
    CONSTRAINT shop_onboardings_status_check CHECK (status IN ('in_progress', 'completed', 'failed')),
    CONSTRAINT shop_onboardings_current_step_check CHECK (current_step BETWEEN 1 AND 6),
    CONSTRAINT shop_onboardings_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT shop_onboardings_claim_shop_id_fkey FOREIGN KEY(claim_shop_id) REFERENCES shops (id),
    CONSTRAINT shop_onboardings_shop_id_fkey FOREIGN KEY(shop_id) REFERENCES shops (id)
);

CREATE INDEX shop_onboardings_user_id_idx ON shop_onboardings (user_id);
"""

TRIGGERS = """
CREATE TRIGGER users_changed BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stamp_changed_xid();

CREATE TRIGGER shops_changed BEFORE INSERT OR UPDATE ON shops FOR EACH ROW EXECUTE FUNCTION stamp_changed_xid();
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    for script in (CLOCK, STAMP, TABLES, TRIGGERS):
        for statement in _statements(script):
            op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DROP TABLE shop_onboardings, shop_makes, uploads, shops, sessions, quotes, order_documents, notifications, notification_preferences, memberships, devices, deliveries, users, security_events, push_cursors, outbox, orders, login_failures, idempotency_keys, dispatches"
    )
    op.execute("DROP FUNCTION stamp_changed_xid()")
    op.execute("DROP FUNCTION matcher_now()")


def _statements(script: str) -> list[str]:
    # asyncpg prepares what it is given, and a prepared statement is one statement.
    return [part for part in script.split(";\n\n") if part.strip()] if "$$" not in script else [script]
