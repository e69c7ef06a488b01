-- Locks are taken in one order: sessions, memberships, users. Every change that a process caches (role, status,
-- session epoch, memberships, ended sessions) raises users.version, which the change feed follows.

-- name: insert_user
INSERT INTO users (id, email, password_hash, name, phone, role)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (email) DO NOTHING
RETURNING id

-- name: insert_outside_user
INSERT INTO users (id, external_subject, name, role)
VALUES ($1, $2, $3, 'customer')
ON CONFLICT (external_subject) DO NOTHING

-- name: find_outside_user
SELECT id FROM users WHERE external_subject = $1 AND status = 'active'

-- name: find_login
SELECT id, password_hash FROM users WHERE email = $1 AND status = 'active'

-- name: find_user
SELECT id, email, password_hash, name, phone, role, created_at, version
FROM users
WHERE id = $1 AND status = 'active'

-- name: list_memberships
SELECT shop_id, role FROM memberships WHERE user_id = $1 ORDER BY shop_id

-- name: update_user
UPDATE users
SET name = CASE WHEN $2 THEN $3 ELSE name END,
    phone = CASE WHEN $4 THEN $5 ELSE phone END,
    version = version + 1,
    updated_at = matcher_now()
WHERE id = $1 AND status = 'active'

-- name: change_password
-- $3 is the hash that the current password was verified against: a change in between wins.
UPDATE users
SET password_hash = $2, session_epoch = session_epoch + 1, version = version + 1, updated_at = matcher_now()
WHERE id = $1 AND status = 'active' AND password_hash = $3

-- name: end_all_sessions
UPDATE users SET session_epoch = session_epoch + 1, version = version + 1 WHERE id = $1 AND status = 'active'

-- name: touch_user
UPDATE users SET version = version + 1 WHERE id = $1

-- name: anonymise_user
UPDATE users
SET email = NULL, password_hash = NULL, external_subject = NULL, name = 'Deleted account', phone = NULL,
    status = 'deleted', session_epoch = session_epoch + 1, version = version + 1, updated_at = matcher_now()
WHERE id = $1

-- name: open_session
-- With the epoch of the account as its password was verified: a session opened beside a password change,
-- a sign-out everywhere or a deletion is either refused here or born ended.
INSERT INTO sessions (id, user_id, epoch, advanced_at, expires_at)
SELECT $1, users.id, users.session_epoch, clock.now, clock.now + $4::interval
FROM users, (SELECT matcher_now() AS now) AS clock
WHERE users.id = $2 AND users.status = 'active' AND users.password_hash = $3
RETURNING epoch, advanced_at

-- name: delete_ended_sessions
-- Revoked ones stay known for as long as their access tokens may live ($2).
DELETE FROM sessions
WHERE user_id = $1
  AND (expires_at < (SELECT matcher_now()) OR revoked_at < (SELECT matcher_now()) - $2::interval)

-- name: lock_session
SELECT id, user_id, epoch, generation, advanced_at, expires_at, revoked_at
FROM sessions
WHERE id = $1
FOR UPDATE

-- name: read_clock
-- Apart from `lock_session`: the clock is read once the lock is held.
SELECT matcher_now() AS now, session_epoch AS epoch FROM users WHERE id = $1 AND status = 'active'

-- name: advance_session
UPDATE sessions SET generation = generation + 1, advanced_at = $2, expires_at = $3 WHERE id = $1

-- name: revoke_session
UPDATE sessions SET revoked_at = matcher_now() WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL

-- name: delete_sessions
DELETE FROM sessions WHERE user_id = $1

-- name: find_identity
-- `ended`: sessions revoked within $2, the longest that an access token of theirs can still be young enough.
SELECT
    users.role, users.session_epoch, users.version,
    (SELECT jsonb_object_agg(shop_id, memberships.role) FROM memberships WHERE user_id = users.id) AS shops,
    ARRAY(
        SELECT sessions.id FROM sessions
        WHERE user_id = users.id AND revoked_at > (SELECT matcher_now()) - $2::interval
    ) AS ended
FROM users
WHERE users.id = $1 AND users.status = 'active'

-- name: changed_users
SELECT id, version FROM users WHERE changed_xid >= $1

-- name: find_failures
SELECT max(ceil(extract(epoch FROM window_started_at + $2::interval - clock.now)))::integer
FROM login_failures, (SELECT matcher_now() AS now) AS clock
WHERE key = ANY($1::text[]) AND failures >= $3 AND window_started_at + $2::interval > clock.now

-- name: count_failures
-- Keys in order, so that two statements cannot wait for each other.
INSERT INTO login_failures AS kept (key, failures, window_started_at)
SELECT key, 1, clock.now
FROM unnest($1::text[]) AS key, (SELECT matcher_now() AS now) AS clock
ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    failures = CASE
        WHEN kept.window_started_at + $2::interval <= excluded.window_started_at THEN 1 ELSE kept.failures + 1
    END,
    window_started_at = CASE
        WHEN kept.window_started_at + $2::interval <= excluded.window_started_at THEN excluded.window_started_at
        ELSE kept.window_started_at
    END

-- name: forget_failures
DELETE FROM login_failures WHERE key = $1

-- name: list_staff
SELECT users.id, users.name, users.email, memberships.role, memberships.created_at
FROM memberships JOIN users ON users.id = memberships.user_id
WHERE memberships.shop_id = $1 AND ($2::uuid IS NULL OR users.id > $2)
ORDER BY users.id
LIMIT $3

-- name: find_candidate
-- Admins watch over shops and work for none.
SELECT id, name, email FROM users WHERE email = $1 AND status = 'active' AND role <> 'admin'

-- name: insert_membership
INSERT INTO memberships (user_id, shop_id, role) VALUES ($1, $2, $3)
ON CONFLICT (user_id, shop_id) DO NOTHING
RETURNING created_at

-- name: grant_membership
INSERT INTO memberships (user_id, shop_id, role) VALUES ($1, $2, $3)
ON CONFLICT (user_id, shop_id) DO UPDATE SET role = excluded.role

-- name: lock_owners
-- All owners, in one order: of two owners who remove each other, the second waits and sees that it is the last.
SELECT user_id FROM memberships WHERE shop_id = $1 AND role = 'shop_owner' ORDER BY user_id FOR UPDATE

-- name: find_membership
SELECT role FROM memberships WHERE shop_id = $1 AND user_id = $2

-- name: list_owned_shops
SELECT shop_id FROM memberships WHERE user_id = $1 AND role = 'shop_owner' ORDER BY shop_id

-- name: delete_membership
DELETE FROM memberships WHERE shop_id = $1 AND user_id = $2

-- name: delete_memberships
DELETE FROM memberships WHERE user_id = $1

-- name: revoke_all
WITH gone AS (DELETE FROM memberships WHERE shop_id = $1 RETURNING user_id)
UPDATE users SET version = version + 1 FROM gone WHERE users.id = gone.user_id

-- name: find_contact
SELECT name, phone FROM users WHERE id = $1 AND status = 'active'

-- name: delete_stale_sessions
-- As delete_ended_sessions, for accounts that do not sign in again.
DELETE FROM sessions
WHERE expires_at < (SELECT matcher_now()) OR revoked_at < (SELECT matcher_now()) - $1::interval

-- name: delete_stale_failures
DELETE FROM login_failures WHERE window_started_at < (SELECT matcher_now()) - $1::interval
