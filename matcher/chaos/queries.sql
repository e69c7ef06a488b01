-- name: orders
SELECT o.id, o.user_id, o.status, o.version, o.view_version, o.currency, o.accepted_quote_id,
       o.accepted_at, o.closed_at, o.updated_at, d.vehicle, d.delivery_location, d.parts
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.user_id = ANY($1::uuid[])

-- name: dispatches
SELECT shop_id, order_id, d.version, d.status, closed_reason, responded_at
FROM dispatches d
JOIN orders o ON o.id = order_id
WHERE o.user_id = ANY($1::uuid[])

-- name: quotes
SELECT q.id, order_id, shop_id, q.version, q.status, q.currency, lines, total_minor
FROM quotes q
JOIN orders o ON o.id = order_id
WHERE o.user_id = ANY($1::uuid[])

-- name: unsettled
SELECT (SELECT count(*) FROM orders
        WHERE status IN ('submitted', 'quoted') AND expires_at < now() - make_interval(secs => $1)) AS stuck,
       (SELECT count(*) FROM orders WHERE status IN ('submitted', 'quoted')) AS open,
       (SELECT count(*) FROM outbox) AS outbox
