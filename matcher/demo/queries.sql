-- name: orders
SELECT o.id, o.user_id, o.status, o.version, o.view_version, o.currency, o.accepted_quote_id,
       d.vehicle, d.delivery_location, d.parts
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.id = ANY($1::uuid[])

-- name: dispatches
SELECT shop_id, order_id, version, status, wave, rank
FROM dispatches
WHERE order_id = ANY($1::uuid[])

-- name: quotes
SELECT id, order_id, shop_id, version, status, currency, lines, parts_total_minor, delivery_fee_minor, total_minor
FROM quotes
WHERE order_id = ANY($1::uuid[])

-- name: try_lock
SELECT pg_try_advisory_lock($1)

-- name: known_emails
SELECT email FROM users WHERE email LIKE 'demo-%@example.com'
