-- Who the nearest eligible shops are, according to PostGIS alone: the independent answer that the index must give,
-- ids and order. Read it as the definition of matching.
--
-- $1 makes, $2 latitudes, $3 longitudes: one question per element.  $4 how many shops.  $5 the time of asking.
-- One row per answer: question (from 1), shop_id, distance_mm; in the order of the answer.
--
-- Distances are great circles on PostGIS' sphere (use_spheroid = false), compared in whole millimetres, ties broken
-- by id. KNN by `<->` finds how far the answer goes; everybody up to there, and two millimetres further, is then
-- ordered exactly. Where fewer than $4 serve the place, the furthest reach of any shop ends the search.
WITH questions AS (
    SELECT question, make, ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography AS place
    FROM unnest($1::text[], $2::float8[], $3::float8[]) WITH ORDINALITY AS asked (make, latitude, longitude, question)
),

reach AS (
    SELECT max(service_reach_m) AS reach_m
    FROM shops
)

SELECT q.question, answer.id AS shop_id, answer.distance_mm
FROM questions AS q
CROSS JOIN reach
CROSS JOIN LATERAL (
    SELECT coalesce(max(nearest.distance_m) FILTER (WHERE nearest.rank = $4::int), reach.reach_m) AS distance_m
    FROM (
        SELECT
            ST_Distance(s.place, q.place, false) AS distance_m,
            row_number() OVER (ORDER BY s.place <-> q.place) AS rank
        FROM shops AS s
        WHERE s.status = 'active'
            AND (s.paused_until IS NULL OR s.paused_until <= $5::timestamptz)
            AND ST_DWithin(s.place, q.place, reach.reach_m, false)
            AND EXISTS (SELECT FROM shop_makes AS m WHERE m.shop_id = s.id AND m.make = q.make)
            AND CASE
                WHEN s.service_area IS NULL
                    THEN round(ST_Distance(s.place, q.place, false) * 1000) <= s.delivery_radius_m * 1000
                ELSE ST_Covers(s.service_area, q.place::geometry)
            END
        ORDER BY s.place <-> q.place
        LIMIT $4
    ) AS nearest
) AS furthest
CROSS JOIN LATERAL (
    SELECT s.id, round(ST_Distance(s.place, q.place, false) * 1000)::bigint AS distance_mm
    FROM shops AS s
    WHERE s.status = 'active'
        AND (s.paused_until IS NULL OR s.paused_until <= $5::timestamptz)
        AND ST_DWithin(s.place, q.place, furthest.distance_m + 0.002, false)
        AND EXISTS (SELECT FROM shop_makes AS m WHERE m.shop_id = s.id AND m.make = q.make)
        AND CASE
            WHEN s.service_area IS NULL
                THEN round(ST_Distance(s.place, q.place, false) * 1000) <= s.delivery_radius_m * 1000
            ELSE ST_Covers(s.service_area, q.place::geometry)
        END
    ORDER BY distance_mm, s.id
    LIMIT $4
) AS answer
ORDER BY q.question, answer.distance_mm, answer.id
