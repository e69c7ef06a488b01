-- name: claim_key
INSERT INTO idempotency_keys (account_id, scope, key, fingerprint)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING true

-- name: find_outcome
SELECT fingerprint, status, body FROM idempotency_keys WHERE account_id = $1 AND scope = $2 AND key = $3

-- name: keep_outcome
UPDATE idempotency_keys SET status = $4, body = $5 WHERE account_id = $1 AND scope = $2 AND key = $3

-- name: set_lock_timeout
SELECT set_config('lock_timeout', $1, true)

-- name: insert_outbox
INSERT INTO outbox (id, topic, entity_ids, versions) VALUES ($1, $2, $3, $4)

-- name: delete_outbox
DELETE FROM outbox WHERE id = ANY($1::uuid[])

-- name: take_outbox
SELECT id, topic, entity_ids, versions
FROM outbox
WHERE created_at < (SELECT matcher_now()) - $1::interval
ORDER BY id
LIMIT $2
FOR UPDATE SKIP LOCKED

-- name: delete_old_keys
DELETE FROM idempotency_keys WHERE created_at < (SELECT matcher_now()) - $1::interval
