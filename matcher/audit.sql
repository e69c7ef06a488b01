-- name: insert_event
INSERT INTO security_events (id, account_id, address, kind, detail) VALUES ($1, $2, $3, $4, $5::jsonb)

-- name: list_events
SELECT id, at, account_id, address, kind, detail
FROM security_events
WHERE ($1::text IS NULL OR kind = $1) AND ($2::uuid IS NULL OR account_id = $2) AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4

-- name: delete_old_events
DELETE FROM security_events WHERE at < (SELECT matcher_now()) - $1::interval
