-- name: now
SELECT matcher_now()

-- name: find_shop
SELECT s.*, ST_Y(s.place::geometry) AS latitude, ST_X(s.place::geometry) AS longitude,
       ST_AsBinary(s.service_area) AS area_wkb,
       ARRAY(SELECT m.make FROM shop_makes m WHERE m.shop_id = s.id ORDER BY m.make) AS makes
FROM shops s
WHERE s.id = $1

-- name: lock_shop
SELECT id FROM shops WHERE id = $1 FOR NO KEY UPDATE

-- name: save_shop
INSERT INTO shops (
    id, source, source_ref, owner_id, status, kind, name, chain, registration_number, tax_id, phone, email,
    place, h3_r5, h3_r8, address, country, time_zone, opening_hours, hours_exceptions,
    delivery_radius_m, service_area, service_reach_m, ships_beyond_area, paused_until,
    inventory_mode, currency, pricing, document_ids, makes_generated, review_reason, reviewed_by)
VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
    ST_SetSRID(ST_MakePoint($13, $14), 4326)::geography, $15, $16, $17, $18, $19, $20, $21,
    $22, ST_GeomFromEWKB($23), $24, $25, $26,
    $27, $28, $29, $30, $31, $32, $33)
ON CONFLICT (id) DO UPDATE SET
    owner_id = excluded.owner_id, status = excluded.status, kind = excluded.kind, name = excluded.name,
    chain = excluded.chain, registration_number = excluded.registration_number, tax_id = excluded.tax_id,
    phone = excluded.phone, email = excluded.email, place = excluded.place, h3_r5 = excluded.h3_r5,
    h3_r8 = excluded.h3_r8, address = excluded.address, country = excluded.country,
    time_zone = excluded.time_zone, opening_hours = excluded.opening_hours,
    hours_exceptions = excluded.hours_exceptions, delivery_radius_m = excluded.delivery_radius_m,
    service_area = excluded.service_area, service_reach_m = excluded.service_reach_m,
    ships_beyond_area = excluded.ships_beyond_area, paused_until = excluded.paused_until,
    inventory_mode = excluded.inventory_mode, currency = excluded.currency, pricing = excluded.pricing,
    document_ids = excluded.document_ids, makes_generated = excluded.makes_generated,
    review_reason = excluded.review_reason, reviewed_by = excluded.reviewed_by,
    version = shops.version + 1, updated_at = matcher_now()

-- name: remove_makes
DELETE FROM shop_makes WHERE shop_id = $1 AND make <> ALL ($2::text[])

-- name: add_makes
INSERT INTO shop_makes (shop_id, make)
SELECT $1, unnest($2::text[])
ON CONFLICT DO NOTHING

-- name: list_shops
SELECT s.*, ST_Y(s.place::geometry) AS latitude, ST_X(s.place::geometry) AS longitude,
       ST_AsBinary(s.service_area) AS area_wkb,
       ARRAY(SELECT m.make FROM shop_makes m WHERE m.shop_id = s.id ORDER BY m.make) AS makes
FROM shops s
WHERE ($1::text IS NULL OR s.status = $1) AND ($2::uuid IS NULL OR s.id > $2)
ORDER BY s.id
LIMIT $3

-- name: list_near_unclaimed
SELECT s.*, ST_Y(s.place::geometry) AS latitude, ST_X(s.place::geometry) AS longitude,
       ST_AsBinary(s.service_area) AS area_wkb,
       ARRAY(SELECT m.make FROM shop_makes m WHERE m.shop_id = s.id ORDER BY m.make) AS makes,
       ST_Distance(s.place, p.place, false) AS distance_m
FROM (SELECT ST_SetSRID(ST_MakePoint($1, $2), 4326)::geography AS place) p, shops s
WHERE s.status = 'unclaimed'
  AND ($3::text IS NULL OR EXISTS (SELECT FROM shop_makes m WHERE m.shop_id = s.id AND m.make = $3))
ORDER BY s.place <-> p.place, s.id
LIMIT $4

-- name: load_directory
SELECT s.id, s.version, s.status, s.name, s.kind, s.rating, s.reply_rate, s.currency, s.time_zone,
       s.opening_hours, s.hours_exceptions, s.ships_beyond_area, s.paused_until, s.delivery_radius_m, s.service_reach_m,
       ST_Y(s.place::geometry) AS latitude, ST_X(s.place::geometry) AS longitude,
       ST_AsBinary(s.service_area) AS area_wkb, m.makes
FROM shops s
LEFT JOIN (SELECT shop_id, array_agg(make) AS makes FROM shop_makes GROUP BY shop_id) m ON m.shop_id = s.id
WHERE s.status <> 'unclaimed'

-- name: follow_directory
SELECT s.id, s.version, s.status, s.name, s.kind, s.rating, s.reply_rate, s.currency, s.time_zone,
       s.opening_hours, s.hours_exceptions, s.ships_beyond_area, s.paused_until, s.delivery_radius_m, s.service_reach_m,
       ST_Y(s.place::geometry) AS latitude, ST_X(s.place::geometry) AS longitude,
       ST_AsBinary(s.service_area) AS area_wkb,
       ARRAY(SELECT make FROM shop_makes m WHERE m.shop_id = s.id) AS makes
FROM shops s
WHERE s.changed_xid >= $1 AND s.status <> 'unclaimed'

-- name: lock_user
SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE

-- name: insert_onboarding
INSERT INTO shop_onboardings (id, user_id, claim_shop_id)
VALUES ($1, $2, $3)
RETURNING *

-- name: count_open_onboardings
SELECT count(*) FROM shop_onboardings WHERE user_id = $1 AND status = 'in_progress'

-- name: find_onboarding
SELECT * FROM shop_onboardings WHERE id = $1 AND user_id = $2

-- name: lock_onboarding
SELECT * FROM shop_onboardings WHERE id = $1 AND user_id = $2 FOR UPDATE

-- name: save_onboarding
UPDATE shop_onboardings
SET status = $2, current_step = $3, completed_steps = $4, steps = $5, shop_id = $6,
    version = version + 1, updated_at = matcher_now()
WHERE id = $1
RETURNING *

-- name: fail_other_claims
UPDATE shop_onboardings
SET status = 'failed', version = version + 1, updated_at = matcher_now()
WHERE claim_shop_id = $1 AND status = 'in_progress'

-- name: insert_upload
INSERT INTO uploads (id, owner_id, content_type, size_bytes, sha256, content)
VALUES ($1, $2, $3, octet_length($5::bytea), $4, $5::bytea)

-- name: count_uploads
SELECT count(*) FROM uploads WHERE owner_id = $1

-- name: find_upload
SELECT content_type, content FROM uploads WHERE id = $1 AND ($2::uuid IS NULL OR owner_id = $2)

-- name: list_own_uploads
SELECT id FROM uploads WHERE id = ANY ($1::uuid[]) AND owner_id = $2
