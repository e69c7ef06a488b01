-- name: insert_draft
INSERT INTO orders (id, user_id, status, urgency, priority, payment_method, currency, parts_count)
VALUES ($1, $2, 'draft', $3, $4, $5, $6, $7)

-- name: insert_document
INSERT INTO order_documents (order_id, make, latitude, longitude, vehicle, delivery_location, parts)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: update_draft
UPDATE orders
SET urgency = $2, priority = $3, payment_method = $4, parts_count = $5, version = $6, view_version = $6, updated_at = $7
WHERE id = $1

-- name: update_document
UPDATE order_documents
SET make = $2, latitude = $3, longitude = $4, vehicle = $5, delivery_location = $6, parts = $7
WHERE order_id = $1

-- name: find_order
SELECT o.*, d.make, d.latitude, d.longitude, d.vehicle, d.delivery_location, d.parts, d.contact
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.id = $1

-- name: find_dispatch
SELECT * FROM dispatches WHERE order_id = $1 AND shop_id = ANY($2::uuid[]) ORDER BY shop_id LIMIT 1

-- name: list_orders
SELECT o.*, d.make, d.latitude, d.longitude, d.vehicle, d.delivery_location, d.parts, d.contact
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.user_id = $1
  AND ($2::text IS NULL OR o.status = $2)
  AND ($3::uuid IS NULL OR o.id < $3)
ORDER BY o.id DESC
LIMIT $4

-- name: list_dispatches
SELECT * FROM dispatches WHERE order_id = $1 ORDER BY wave, rank

-- name: count_open_orders
SELECT count(*) FROM orders WHERE user_id = $1 AND status IN ('submitted', 'quoted')

-- name: submit_draft
UPDATE orders
SET status = 'submitted', priority = $2, submitted_at = $3, expires_at = $4, version = $5, view_version = $5, updated_at = $3
WHERE id = $1

-- name: record_wave
UPDATE orders
SET wave = $2,
    next_wave_at = $3,
    shops_notified = shops_notified + $4,
    radius_m = greatest(radius_m, $5),
    dispatch_reason = CASE WHEN shops_notified + $4 = 0 THEN $6 END,
    priority = $7,
    version = $8,
    view_version = $8,
    updated_at = $9
WHERE id = $1

-- name: postpone_wave
UPDATE orders SET next_wave_at = $2 WHERE id = $1

-- name: count_live_quotes
SELECT count(*) FROM quotes WHERE order_id = $1 AND status = 'active' AND (valid_until IS NULL OR valid_until > $2)

-- name: set_expiry
UPDATE orders
SET expires_at = $2, priority = $3, version = $4, view_version = $4, updated_at = $5
WHERE id = $1

-- name: touch_open_dispatches
UPDATE dispatches SET version = $2 WHERE order_id = $1 AND status IN ('pending', 'seen', 'quoted', 'declined')

-- name: cancel_order
UPDATE orders
SET status = 'cancelled', cancel_reason = $2, closed_at = $3, next_wave_at = NULL, version = $4, view_version = $4,
    updated_at = $3
WHERE id = $1

-- name: close_dispatches
UPDATE dispatches
SET status = 'closed', closed_reason = $2, version = $3
WHERE order_id = $1 AND status IN ('pending', 'seen', 'quoted', 'won')

-- name: close_quotes
UPDATE quotes
SET status = $2, version = $3, updated_at = $4
WHERE order_id = $1 AND status IN ('active', 'accepted')

-- name: set_progress
UPDATE orders
SET status = $2,
    tracking = coalesce($3, tracking),
    payment_status = CASE
        WHEN $2 = 'delivered' AND payment_method = 'cash_on_delivery' THEN 'paid' ELSE payment_status
    END,
    closed_at = CASE WHEN $2 = 'delivered' THEN coalesce(closed_at, $4) ELSE closed_at END,
    version = $5,
    view_version = $5,
    updated_at = $4
WHERE id = $1

-- name: touch_won_dispatch
UPDATE dispatches SET version = $2 WHERE order_id = $1 AND status = 'won'

-- name: find_winner
SELECT shop_id FROM quotes WHERE id = $1

-- name: withdraw_winner
WITH quote AS (
    UPDATE quotes SET status = 'withdrawn', version = $2, updated_at = $3 WHERE order_id = $1 AND status = 'accepted'
), document AS (
    UPDATE order_documents SET contact = NULL WHERE order_id = $1
)
UPDATE dispatches SET status = 'closed', closed_reason = 'revoked', version = $2 WHERE order_id = $1 AND status = 'won'

-- name: revive_quotes
-- The losers' newest quotes live again, unless their validity has passed meanwhile.
UPDATE quotes q
SET status = 'active', version = $2, updated_at = $3
FROM (
    SELECT DISTINCT ON (shop_id) id, shop_id, status, valid_until
    FROM quotes
    WHERE order_id = $1
    ORDER BY shop_id, id DESC
) newest
JOIN dispatches d
  ON d.order_id = $1 AND d.shop_id = newest.shop_id AND d.closed_reason = 'accepted_elsewhere'  -- not a revoked shop's
WHERE q.id = newest.id AND newest.status = 'rejected' AND (newest.valid_until IS NULL OR newest.valid_until > $3)
RETURNING q.shop_id

-- name: reopen_dispatches
UPDATE dispatches
SET status = CASE
        WHEN shop_id = ANY($3::uuid[]) THEN 'quoted'
        WHEN seen_at IS NULL THEN 'pending'
        ELSE 'seen'
    END,
    closed_reason = NULL,
    version = $2
WHERE order_id = $1 AND status = 'closed' AND closed_reason = 'accepted_elsewhere'
RETURNING shop_id

-- name: repeat_quotes
-- A shop that dropped its closed dispatch dropped the quotes with it: say them again.
UPDATE quotes SET version = $2 WHERE order_id = $1 AND shop_id = ANY($3::uuid[]) AND version <> $2

-- name: reopen_order
UPDATE orders
SET status = $2, accepted_quote_id = NULL, accepted_at = NULL, tracking = NULL, next_wave_at = $3, version = $4,
    view_version = $4, updated_at = $5
WHERE id = $1

-- name: due_waves
SELECT id FROM orders
WHERE status IN ('submitted', 'quoted') AND next_wave_at IS NOT NULL AND next_wave_at <= (SELECT matcher_now())
ORDER BY next_wave_at
LIMIT $1

-- name: asked_shops
SELECT shop_id FROM dispatches WHERE order_id = $1

-- name: lock_due
-- Skips what somebody is changing at this moment: the next sweep sees how that ended.
SELECT id
FROM orders
WHERE status IN ('submitted', 'quoted') AND expires_at <= (SELECT matcher_now())
ORDER BY expires_at
LIMIT $1
FOR UPDATE SKIP LOCKED

-- name: expire_locked
-- After the lock and apart from it: within one statement a quote that was committed just before is not seen.
WITH due AS (
    SELECT id, version + 1 AS version FROM orders WHERE id = ANY($1::uuid[])
), clock AS MATERIALIZED (
    SELECT matcher_now() AS now
), closed_dispatches AS (
    UPDATE dispatches d
    SET status = 'closed', closed_reason = 'expired', version = due.version
    FROM due
    WHERE d.order_id = due.id AND d.status IN ('pending', 'seen', 'quoted')
), closed_quotes AS (
    UPDATE quotes q
    SET status = 'expired', version = due.version, updated_at = clock.now
    FROM due, clock
    WHERE q.order_id = due.id AND q.status = 'active'
)
UPDATE orders o
SET status = 'expired', closed_at = clock.now, next_wave_at = NULL, version = due.version, view_version = due.version,
    updated_at = clock.now
FROM due, clock
WHERE o.id = due.id
RETURNING o.id, o.version, extract(epoch FROM clock.now - o.expires_at)::float8 AS late_s

-- name: revocable_dispatches
SELECT DISTINCT d.order_id
FROM dispatches d
JOIN orders o ON o.id = d.order_id AND o.status IN ('submitted', 'quoted')
WHERE d.shop_id = $1 AND d.status IN ('pending', 'seen', 'quoted')
LIMIT 1000

-- name: revoke_dispatch
UPDATE dispatches SET status = 'closed', closed_reason = 'revoked', version = $3
WHERE order_id = $1 AND shop_id = $2 AND status IN ('pending', 'seen', 'quoted')
RETURNING true

-- name: reject_quotes_of
UPDATE quotes SET status = 'rejected', version = $3, updated_at = $4
WHERE order_id = $1 AND shop_id = $2 AND status = 'active'

-- name: old_drafts
SELECT id FROM orders WHERE status = 'draft' AND created_at < (SELECT matcher_now()) - $1::interval LIMIT $2

-- name: abandoned_orders
SELECT o.id
FROM orders o
JOIN users u ON u.id = o.user_id AND u.status = 'deleted'
WHERE o.status IN ('draft', 'submitted', 'quoted')
LIMIT $1

-- name: closed_shops_with_dispatches
SELECT DISTINCT d.shop_id
FROM orders o
JOIN dispatches d ON d.order_id = o.id AND d.status IN ('pending', 'seen', 'quoted')
JOIN shops s ON s.id = d.shop_id AND s.status <> 'active'
WHERE o.status IN ('submitted', 'quoted')
LIMIT 100

-- name: widen_if_unanswered
-- Everybody who was asked has declined or is gone: the next wave need not wait.
UPDATE orders SET next_wave_at = $2
WHERE id = $1 AND next_wave_at > $2
  AND NOT EXISTS (SELECT FROM dispatches WHERE order_id = $1 AND status IN ('pending', 'seen', 'quoted'))
