-- name: orders
SELECT o.*, d.make, d.latitude, d.longitude, d.vehicle, d.delivery_location, d.parts, d.contact
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.id = ANY($1::uuid[])

-- name: changed_dispatches
SELECT d.*
FROM unnest($1::uuid[], $2::bigint[]) AS changed (order_id, since)
JOIN dispatches d ON d.order_id = changed.order_id AND d.version >= changed.since
ORDER BY d.order_id, d.wave, d.rank

-- name: changed_quotes
SELECT q.*
FROM unnest($1::uuid[], $2::bigint[]) AS changed (order_id, since)
JOIN quotes q ON q.order_id = changed.order_id AND q.version >= changed.since

-- name: shop_dispatches
SELECT d.*
FROM dispatches d
JOIN orders o ON o.id = d.order_id
WHERE d.shop_id = $1
  AND (d.status IN ('pending', 'seen', 'quoted') OR (d.status = 'won' AND o.status <> 'delivered'))
ORDER BY d.order_id

-- name: shop_quotes
SELECT q.* FROM quotes q WHERE q.shop_id = $1 AND q.order_id = ANY($2::uuid[]) ORDER BY q.id

-- name: customer_orders
SELECT o.*, d.make, d.latitude, d.longitude, d.vehicle, d.delivery_location, d.parts, d.contact
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.user_id = $1
  AND o.status NOT IN ('delivered', 'expired', 'cancelled')
ORDER BY o.id

-- name: quotes_of_orders
SELECT q.* FROM quotes q WHERE q.order_id = ANY($1::uuid[]) ORDER BY q.id

-- name: changed_since
-- Rare (the event log was lost), so it may read the tables: no index pays for it at each write.
SELECT id FROM orders WHERE updated_at >= $1 AND status <> 'draft'
UNION
SELECT order_id FROM dispatches WHERE greatest(dispatched_at, responded_at) >= $1
UNION
SELECT order_id FROM quotes WHERE updated_at >= $1

-- name: deadlines
SELECT id, expires_at FROM orders WHERE id = ANY($1::uuid[]) AND expires_at IS NOT NULL
