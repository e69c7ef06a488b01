-- name: is_shown
-- $3: the customer's id, null for an admin. A shop that was asked sees the order's photos and its own quotes'.
SELECT EXISTS (
    SELECT FROM orders o
    JOIN order_documents d ON d.order_id = o.id
    WHERE o.id = $1
      AND ($3::uuid IS NULL OR o.user_id = $3
           OR EXISTS (SELECT FROM dispatches x WHERE x.order_id = o.id AND x.shop_id = ANY($4::uuid[])))
      AND d.parts @> jsonb_build_array(jsonb_build_object('photoIds', jsonb_build_array($2::text)))
) OR EXISTS (
    SELECT FROM orders o
    JOIN quotes q ON q.order_id = o.id
    WHERE o.id = $1
      AND ($3::uuid IS NULL OR o.user_id = $3 OR q.shop_id = ANY($4::uuid[]))
      AND q.lines @> jsonb_build_array(jsonb_build_object('photoIds', jsonb_build_array($2::text)))
)
