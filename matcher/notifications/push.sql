-- name: audience
-- Who is told, and where: a shop's quoting staff or the person, on each channel that they want.
WITH pushes AS (
    SELECT * FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::text[]) AS p (at, shop_id, user_id, kind)
), people AS (
    SELECT p.at, p.kind, m.user_id
    FROM pushes p JOIN memberships m ON m.shop_id = p.shop_id AND m.role = ANY($5::text[])
    UNION ALL
    SELECT at, kind, user_id FROM pushes WHERE user_id IS NOT NULL
)
SELECT w.at, w.user_id, d.platform AS channel, d.id AS target_id
FROM people w
JOIN devices d ON d.user_id = w.user_id AND d.platform = ANY($6::text[])
JOIN users u ON u.id = w.user_id AND u.status = 'active'
LEFT JOIN notification_preferences s ON s.user_id = w.user_id
WHERE coalesce((s.choices -> w.kind ->> d.platform)::boolean, true)
UNION ALL
SELECT w.at, w.user_id, 'mail', w.user_id
FROM people w
JOIN notification_preferences s ON s.user_id = w.user_id AND (s.choices -> w.kind ->> 'mail')::boolean
JOIN users u ON u.id = w.user_id AND u.status = 'active' AND u.email IS NOT NULL
WHERE 'mail' = ANY($6::text[])
ORDER BY 1

-- name: supersede
-- Locked in one order, so that two statements cannot wait for each other.
WITH waiting AS (
    SELECT d.id
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s (recipient, entity_id, version)
    JOIN deliveries d
      ON d.recipient = s.recipient AND d.entity_id = s.entity_id AND d.version < s.version AND d.status = 'pending'
    ORDER BY d.id
    FOR UPDATE OF d
)
UPDATE deliveries SET status = 'suppressed', last_error = 'superseded'
FROM waiting
WHERE deliveries.id = waiting.id

-- name: insert_deliveries
INSERT INTO deliveries (
    id, user_id, channel, target_id, recipient, key, entity_id, version, kind, content,
    log_epoch, log_generation, log_sequence, log_number, next_attempt_at, expires_at
)
SELECT n.*
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[],
    $10::jsonb[], $11::bytea[], $12::bigint[], $13::bigint[], $14::int[], $15::timestamptz[], $16::timestamptz[]
) AS n (
    id, user_id, channel, target_id, recipient, key, entity_id, version, kind, content,
    log_epoch, log_generation, log_sequence, log_number, next_attempt_at, expires_at
)
ON CONFLICT (recipient, key, target_id) DO NOTHING

-- name: begin_cursor
-- Its epoch is no log's, so the feed begins with what has changed in the rows just now.
INSERT INTO push_cursors (partition) VALUES ($1) ON CONFLICT DO NOTHING

-- name: lock_cursor
SELECT epoch, generation, sequence, complete_at FROM push_cursors WHERE partition = $1
FOR UPDATE SKIP LOCKED

-- name: move_cursor
UPDATE push_cursors
SET epoch = $2, generation = $3, sequence = $4, complete_at = $5
WHERE partition = $1

-- name: now
SELECT matcher_now()

-- name: take_due
-- Leased, not locked: no transaction waits for the world outside. A worker that dies lets its lease run out.
WITH clock AS MATERIALIZED (
    SELECT matcher_now() AS now
), due AS (
    -- A worker that lacks a channel leaves its deliveries to those that have it, until their time is over.
    SELECT id FROM deliveries
    WHERE status = 'pending' AND next_attempt_at <= (SELECT now FROM clock)
      AND (channel = ANY($3::text[]) OR expires_at <= (SELECT now FROM clock))
    ORDER BY next_attempt_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE deliveries d
    SET attempts = d.attempts + 1, next_attempt_at = clock.now + $2::interval
    FROM due, clock
    WHERE d.id = due.id
    RETURNING d.*, clock.now
)
SELECT t.*, CASE WHEN t.channel = 'mail' THEN u.email ELSE v.address END AS address, s.quiet_hours
FROM taken t
JOIN users u ON u.id = t.user_id
LEFT JOIN devices v ON v.id = t.target_id AND v.user_id = t.user_id
LEFT JOIN notification_preferences s ON s.user_id = t.user_id
ORDER BY t.id

-- name: record
-- Only what is still as it was taken: another attempt, a newer event or an operator may have come between.
UPDATE deliveries d
SET status = r.status, last_error = r.error, next_attempt_at = coalesce(r.next_attempt_at, d.next_attempt_at),
    attempts = r.attempts
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::int[])
    AS r (id, taken, status, error, next_attempt_at, attempts)
WHERE d.id = r.id AND d.attempts = r.taken AND d.status = 'pending'

-- name: forget_device
-- Unless it was registered anew meanwhile.
DELETE FROM devices WHERE id = $1 AND address = $2

-- name: delete_old_deliveries
DELETE FROM deliveries WHERE status <> 'pending' AND created_at < (SELECT matcher_now()) - $1::interval
