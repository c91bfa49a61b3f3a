-- Snowflake. Step 1: what this run has to send.
DELETE FROM vip_changes;
INSERT INTO vip_changes (run_id, advertising_id, change)
WITH listed AS (
    -- in_doubt = 1: attempted, so nobody knows whether it was sent.
    SELECT advertising_id, 1 AS is_wanted, CAST(NULL AS bigint) AS sent_at, 0 AS in_doubt FROM vip_wanted
    UNION ALL
    SELECT advertising_id, 0 AS is_wanted, sent_at, 0 AS in_doubt FROM vip_committed
    UNION ALL
    SELECT advertising_id, 0 AS is_wanted, CAST(NULL AS bigint) AS sent_at, 1 AS in_doubt FROM vip_attempted
),
bare AS (
    -- Without white space, quotes (39 is the single one) and braces around it.
    SELECT
        advertising_id AS stored_as,
        lower(trim(advertising_id, concat(' "{}', chr(9), chr(10), chr(13), chr(39)))) AS spelling,
        is_wanted,
        sent_at,
        in_doubt
    FROM listed
),
ids AS (
    -- Each ID in one spelling. A text that is no ID is left out, wherever it comes from.
    SELECT
        spelling AS advertising_id,
        stored_as,
        is_wanted,
        sent_at,
        in_doubt
    FROM bare
    WHERE regexp_like(spelling, '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')
),
compared AS (
    SELECT
        advertising_id,
        max(is_wanted) AS is_wanted,
        max(sent_at) AS sent_at,
        -- Who was stored in another spelling is sent anew, and so stored in this one.
        max(CASE WHEN is_wanted = 0 AND stored_as <> advertising_id THEN 1 ELSE in_doubt END) AS in_doubt
    FROM ids
    WHERE advertising_id <> '00000000-0000-0000-0000-000000000000' -- nobody is meant by it
    GROUP BY advertising_id
),
spread AS (
    -- bucket: 0 to 255 by the ID's last two digits, which spreads refreshes, always in the same way.
    SELECT
        advertising_id,
        is_wanted,
        sent_at,
        in_doubt,
        16 * position(substr(advertising_id, 35, 1) IN '123456789abcdef')
        + position(substr(advertising_id, 36, 1) IN '123456789abcdef') AS bucket
    FROM compared
)
SELECT
    '{{ run_id }}',
    advertising_id,
    CASE WHEN is_wanted = 0 THEN 'removed' WHEN sent_at IS NULL THEN 'added' ELSE 'refreshed' END
FROM spread
WHERE
    is_wanted = 0
    OR in_doubt = 1
    OR sent_at IS NULL
    -- Due between half and nine tenths of the TTL.
    OR sent_at + {{ params.ttl_seconds }} * (0.5 + 0.4 * bucket / 255) <= date_part(epoch_second, current_timestamp());
