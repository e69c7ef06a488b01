-- name: submit_batch
WITH clock AS MATERIALIZED (
    SELECT matcher_now() AS now
), input AS (
    SELECT *
    FROM unnest(
        $1::int[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
        $9::text[], $10::float8[], $11::float8[], $12::jsonb[], $13::jsonb[], $14::jsonb[],
        $15::text[], $16::text[], $17::text[], $18::bytea[]
    ) AS i (
        at, id, user_id, urgency, priority, payment_method, currency, parts_count,
        make, latitude, longitude, vehicle, delivery_location, parts,
        empty_reason, key_scope, key, fingerprint
    )
), keys AS (
    -- In the caller's order, which is sorted: unsorted keys in two batches deadlock (measured).
    INSERT INTO idempotency_keys (account_id, scope, key, fingerprint, created_at)
    SELECT user_id, key_scope, key, fingerprint, now FROM input, clock WHERE key IS NOT NULL ORDER BY at
    ON CONFLICT DO NOTHING
    RETURNING account_id, scope, key
), open_orders AS (
    -- Counted up to the limit; without one ($19 is null) not at all: a load test's customer may have thousands.
    SELECT i.user_id, CASE WHEN $19::int IS NOT NULL THEN (
        SELECT count(*)
        FROM (
            SELECT FROM orders o WHERE o.user_id = i.user_id AND o.status IN ('submitted', 'quoted') LIMIT $19
        ) counted
    ) END AS count
    FROM (SELECT DISTINCT user_id FROM input) i
), fresh AS (
    SELECT i.*, coalesce(row_number() OVER (PARTITION BY i.user_id ORDER BY i.at) + oo.count > $19, false) AS refused
    FROM input i
    JOIN open_orders oo ON oo.user_id = i.user_id
    WHERE i.key IS NULL
       OR (i.user_id, i.key_scope, i.key) IN (SELECT account_id, scope, key FROM keys)
), candidates AS (
    SELECT c.*, row_number() OVER (PARTITION BY c.at ORDER BY c.distance_m, c.shop_id) AS nearness
    FROM unnest($20::int[], $21::uuid[], $22::float8[], $23::int[], $24::float8[], $25::jsonb[])
        AS c (at, shop_id, distance_m, shown_distance_m, score, reasons)
    JOIN shops s ON s.id = c.shop_id AND s.status = 'active'
    CROSS JOIN clock
    WHERE s.paused_until IS NULL OR s.paused_until <= clock.now
), ranked AS (
    SELECT f.id AS order_id, c.*, row_number() OVER (PARTITION BY c.at ORDER BY c.score DESC, c.distance_m, c.shop_id) AS rank
    FROM candidates c
    JOIN fresh f ON f.at = c.at AND NOT f.refused
    WHERE c.nearness <= $26
), asked AS (
    SELECT order_id, count(*)::int AS shops_notified, max(distance_m) AS radius_m FROM ranked GROUP BY order_id
), inserted AS (
    INSERT INTO orders (
        id, user_id, status, version, view_version, urgency, priority, payment_method, currency, parts_count,
        wave, next_wave_at, shops_notified, radius_m, dispatch_reason, submitted_at, expires_at, created_at, updated_at
    )
    SELECT f.id, f.user_id, 'submitted', 1, 1, f.urgency, f.priority, f.payment_method, f.currency, f.parts_count,
           1, CASE WHEN a.order_id IS NULL THEN now ELSE now + $28::interval END,
           coalesce(a.shops_notified, 0), a.radius_m, CASE WHEN a.order_id IS NULL THEN f.empty_reason END,
           now, now + $27::interval, now, now
    FROM fresh f
    CROSS JOIN clock
    LEFT JOIN asked a ON a.order_id = f.id
    WHERE NOT f.refused
    RETURNING id, shops_notified, radius_m, dispatch_reason, submitted_at, expires_at
), documents AS (
    INSERT INTO order_documents (order_id, make, latitude, longitude, vehicle, delivery_location, parts)
    SELECT id, make, latitude, longitude, vehicle, delivery_location, parts FROM fresh WHERE NOT refused
), dispatched AS (
    INSERT INTO dispatches (
        shop_id, order_id, version, created_version, wave, rank, distance_m, shown_distance_m, reasons, dispatched_at
    )
    SELECT shop_id, order_id, 1, 1, 1, rank, distance_m, shown_distance_m, reasons, now FROM ranked, clock
), pointer AS (
    INSERT INTO outbox (id, topic, entity_ids, versions, created_at)
    SELECT $29, 'order', array_agg(id), array_agg(1), min(now) FROM inserted, clock HAVING count(*) > 0
)
SELECT f.at, f.refused, i.shops_notified, i.radius_m, i.dispatch_reason, i.submitted_at, i.expires_at,
       r.shop_ids, r.ranks, r.distances_m, r.shown_distances_m
FROM fresh f
LEFT JOIN inserted i ON i.id = f.id
LEFT JOIN (
    SELECT order_id, array_agg(shop_id) AS shop_ids, array_agg(rank::int) AS ranks,
           array_agg(distance_m) AS distances_m, array_agg(shown_distance_m) AS shown_distances_m
    FROM ranked
    GROUP BY order_id
) r ON r.order_id = f.id

-- name: keep_outcomes
UPDATE idempotency_keys k
SET status = o.status, body = o.body
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::bytea[]) AS o (account_id, scope, key, status, body)
WHERE k.account_id = o.account_id AND k.scope = o.scope AND k.key = o.key

-- name: find_outcomes
SELECT k.account_id, k.scope, k.key, k.fingerprint, k.status, k.body
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS w (account_id, scope, key)
JOIN idempotency_keys k USING (account_id, scope, key)

-- name: set_lock_timeout
SELECT set_config('lock_timeout', $1, true)

-- name: already_written
SELECT o.*, d.make, d.latitude, d.longitude, d.vehicle, d.delivery_location, d.parts, d.contact
FROM orders o
JOIN order_documents d ON d.order_id = o.id
WHERE o.id = ANY($1::uuid[])

-- name: insert_wave
-- Further waves, and the first of a draft: the same choice for one order, under its lock.
WITH candidates AS (
    SELECT c.*, row_number() OVER (ORDER BY c.distance_m, c.shop_id) AS nearness
    FROM unnest($3::uuid[], $4::float8[], $5::int[], $6::float8[], $7::jsonb[])
        AS c (shop_id, distance_m, shown_distance_m, score, reasons)
    JOIN shops s ON s.id = c.shop_id AND s.status = 'active' AND (s.paused_until IS NULL OR s.paused_until <= $10)
    WHERE NOT EXISTS (SELECT FROM dispatches d WHERE d.order_id = $1 AND d.shop_id = c.shop_id)
)
INSERT INTO dispatches (
    shop_id, order_id, version, created_version, wave, rank, distance_m, shown_distance_m, reasons, dispatched_at
)
SELECT shop_id, $1, $2, $2, $8, row_number() OVER (ORDER BY score DESC, distance_m, shop_id),
       distance_m, shown_distance_m, reasons, $10
FROM candidates
WHERE nearness <= $9
RETURNING shop_id, distance_m
