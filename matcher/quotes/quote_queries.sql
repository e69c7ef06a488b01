-- name: find_dispatch
SELECT * FROM dispatches WHERE shop_id = $1 AND order_id = $2

-- name: find_parts
SELECT parts FROM order_documents WHERE order_id = $1

-- name: find_quote
SELECT * FROM quotes WHERE id = $1

-- name: find_order_of_quote
SELECT order_id FROM quotes WHERE id = $1 AND shop_id = $2

-- name: insert_quote
INSERT INTO quotes (
    id, order_id, shop_id, shop_name, version, created_version, currency, lines, coverage,
    parts_total_minor, delivery_fee_minor, total_minor, estimated_delivery_minutes, estimated_delivery,
    pickup, valid_until, notes, created_by, created_at, updated_at
)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)
ON CONFLICT (order_id, shop_id) WHERE status = 'active' DO NOTHING
RETURNING *

-- name: update_quote
UPDATE quotes
SET version = $2, lines = $3, coverage = $4, parts_total_minor = $5, delivery_fee_minor = $6, total_minor = $7,
    estimated_delivery_minutes = $8, estimated_delivery = $9, pickup = $10, valid_until = $11, notes = $12,
    updated_at = $13
WHERE id = $1
RETURNING *

-- name: withdraw_quote
UPDATE quotes SET status = 'withdrawn', version = $2, updated_at = $3 WHERE id = $1 RETURNING *

-- name: expire_quotes
UPDATE quotes
SET status = 'expired', version = $2, updated_at = $3
WHERE order_id = $1 AND status = 'active' AND valid_until <= $3
RETURNING shop_id

-- name: accept_quote
UPDATE quotes
SET status = CASE WHEN id = $2 THEN 'accepted' ELSE 'rejected' END, version = $3, updated_at = $4
WHERE order_id = $1 AND status = 'active'

-- name: count_active_quotes
SELECT count(*) FROM quotes WHERE order_id = $1 AND status = 'active'

-- Answering implies having seen; the first answer is the one that the reply time counts.
-- A shop that declined dropped the dispatch, and its earlier quotes of the order with it: say them again.
-- name: mark_quoted
WITH repeated AS (
    UPDATE quotes SET version = $3
    WHERE order_id = $2 AND shop_id = $1 AND version <> $3
      AND EXISTS (SELECT FROM dispatches WHERE shop_id = $1 AND order_id = $2 AND status = 'declined')
)
UPDATE dispatches
SET status = 'quoted', decline_reason = NULL, version = $3,
    seen_at = coalesce(seen_at, $4), responded_at = coalesce(responded_at, $4)
WHERE shop_id = $1 AND order_id = $2

-- name: mark_declined
UPDATE dispatches
SET status = 'declined', decline_reason = $5, version = $3,
    seen_at = coalesce(seen_at, $4), responded_at = coalesce(responded_at, $4)
WHERE shop_id = $1 AND order_id = $2
RETURNING *

-- name: mark_seen
UPDATE dispatches SET status = 'seen', version = $3, seen_at = $4 WHERE shop_id = $1 AND order_id = $2 RETURNING *

-- The quotes of these shops are over; they may quote again.
-- name: unmark_quoted
UPDATE dispatches
SET status = 'seen', version = $3
WHERE order_id = $1 AND shop_id = ANY($2::uuid[]) AND status = 'quoted'

-- name: close_dispatches
UPDATE dispatches
SET status = CASE WHEN shop_id = $2 THEN 'won' ELSE 'closed' END,
    closed_reason = CASE WHEN shop_id = $2 THEN NULL ELSE 'accepted_elsewhere' END,
    version = $3
WHERE order_id = $1 AND status IN ('pending', 'seen', 'quoted')

-- name: touch_order
UPDATE orders
SET version = $2, status = $3,
    view_version = CASE WHEN status = $3 THEN view_version ELSE $2 END,
    updated_at = CASE WHEN status = $3 THEN updated_at ELSE $4 END
WHERE id = $1

-- name: accept_order
UPDATE orders
SET status = 'accepted', accepted_quote_id = $2, accepted_at = $4, next_wave_at = NULL,
    version = $3, view_version = $3, updated_at = $4
WHERE id = $1

-- name: write_contact
UPDATE order_documents SET contact = $2 WHERE order_id = $1

-- name: list_quotes
SELECT *
FROM quotes
WHERE shop_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4

-- Most urgent first. A page continues after the place that its last order has now.
-- name: inbox
WITH open_dispatches AS (
    SELECT d.*, array_position(ARRAY['urgent', 'high', 'normal', 'low'], o.priority) AS priority_rank, o.expires_at
    FROM dispatches d
    JOIN orders o ON o.id = d.order_id
    WHERE d.shop_id = $1
      AND d.order_id >= $2  -- nothing that old is open: spares a shop of many years its history
      AND d.status IN ('pending', 'seen', 'quoted')
      AND o.status IN ('submitted', 'quoted')
), start AS (
    SELECT array_position(ARRAY['urgent', 'high', 'normal', 'low'], priority) AS priority_rank, expires_at, id
    FROM orders
    WHERE id = $3
)
SELECT d.*
FROM open_dispatches d
WHERE $3::uuid IS NULL
   OR (d.priority_rank, d.expires_at, d.order_id) > (SELECT priority_rank, expires_at, id FROM start)
ORDER BY d.priority_rank, d.expires_at, d.order_id
LIMIT $4

-- name: orders_with_due_quotes
SELECT order_id
FROM quotes
WHERE status = 'active' AND valid_until <= (SELECT matcher_now())
GROUP BY order_id
ORDER BY min(valid_until)
LIMIT $1
