-- name: lock_user
-- Registrations of one account one after the other, so that its bound holds.
SELECT id FROM users WHERE id = $1 AND status = 'active' FOR NO KEY UPDATE

-- name: register_device
INSERT INTO devices (id, user_id, platform, address, address_hash)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (address_hash) DO UPDATE
SET id = CASE WHEN devices.user_id = excluded.user_id THEN devices.id ELSE excluded.id END,
    created_at = CASE WHEN devices.user_id = excluded.user_id THEN devices.created_at ELSE excluded.created_at END,
    user_id = excluded.user_id, platform = excluded.platform, address = excluded.address,
    last_used_at = excluded.last_used_at
RETURNING id, platform, created_at, last_used_at

-- name: delete_surplus_devices
DELETE FROM devices
WHERE id IN (
    SELECT id FROM devices WHERE user_id = $1 AND id <> $2 ORDER BY last_used_at DESC, id DESC OFFSET $3
)

-- name: list_devices
SELECT id, platform, created_at, last_used_at FROM devices WHERE user_id = $1 ORDER BY id

-- name: delete_device
DELETE FROM devices WHERE id = $1 AND user_id = $2 RETURNING id

-- name: delete_orphaned_devices
DELETE FROM devices USING users WHERE users.id = devices.user_id AND users.status <> 'active'

-- name: find_preferences
SELECT choices, quiet_hours, version FROM notification_preferences WHERE user_id = $1

-- name: lock_preferences
SELECT version FROM notification_preferences WHERE user_id = $1 FOR UPDATE

-- name: put_preferences
INSERT INTO notification_preferences AS kept (user_id, choices, quiet_hours)
VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE
SET choices = excluded.choices, quiet_hours = excluded.quiet_hours, version = kept.version + 1
RETURNING choices, quiet_hours, version

-- name: list_dead
SELECT * FROM deliveries
WHERE status = 'dead' AND ($1::uuid IS NULL OR id < $1)
ORDER BY id DESC
LIMIT $2

-- name: lock_dead
SELECT * FROM deliveries WHERE id = $1 AND status = 'dead' FOR UPDATE

-- name: now
SELECT matcher_now()

-- name: revive
UPDATE deliveries SET status = 'pending', attempts = 0, next_attempt_at = $2 WHERE id = $1 RETURNING *
