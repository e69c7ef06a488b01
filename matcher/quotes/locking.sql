-- name: lock_order
SELECT id, user_id, status, version, view_version, urgency, priority, payment_method, payment_status, currency,
       parts_count, wave, next_wave_at, accepted_quote_id, submitted_at, expires_at
FROM orders
WHERE id = $1
FOR UPDATE

-- name: now
SELECT matcher_now()
