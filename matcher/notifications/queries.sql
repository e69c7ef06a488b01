-- name: list_notifications
SELECT * FROM notifications
WHERE user_id = $1 AND ($2::bool IS NULL OR (read_at IS NULL) = $2) AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4

-- name: mark_read
UPDATE notifications SET read_at = matcher_now(), version = version + 1
WHERE id = $1 AND user_id = $2 AND read_at IS NULL
RETURNING *

-- name: find_notification
SELECT * FROM notifications WHERE id = $1 AND user_id = $2

-- name: insert_notifications
INSERT INTO notifications (id, user_id, type, title, message, data)
SELECT n.id, n.user_id, $3, $4, $5, $6
FROM unnest($1::uuid[], $2::uuid[]) AS n (id, user_id)
JOIN users u ON u.id = n.user_id AND u.status = 'active'
RETURNING id, user_id

-- name: changed
SELECT n.*
FROM unnest($1::uuid[], $2::bigint[]) AS changed (id, since)
JOIN notifications n ON n.id = changed.id AND n.version >= changed.since

-- name: unread
SELECT * FROM notifications WHERE user_id = $1 AND read_at IS NULL ORDER BY id DESC LIMIT $2

-- name: changed_since
SELECT id, version FROM notifications WHERE created_at >= $1 OR read_at >= $1
