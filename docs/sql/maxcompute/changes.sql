-- MaxCompute, where each statement is atomic. Step 1: what this run has to send.
WITH wanted AS (
    -- Each ID in one spelling. Nobody is meant by the ID of zeros.
    SELECT DISTINCT lower(trim(advertising_id)) AS advertising_id
    FROM vip_wanted
    WHERE lower(trim(advertising_id)) <> '00000000-0000-0000-0000-000000000000'
),
known AS (
    -- Committed or attempted; in_doubt = 1: attempted, so nobody knows whether it was sent.
    SELECT advertising_id, max(sent_at) AS sent_at, max(in_doubt) AS in_doubt
    FROM (
        SELECT advertising_id, sent_at, 0 AS in_doubt FROM vip_committed
        UNION ALL
        SELECT advertising_id, CAST(NULL AS bigint) AS sent_at, 1 AS in_doubt FROM vip_attempted
    ) AS committed_or_attempted
    GROUP BY advertising_id
),
compared AS (
    SELECT
        coalesce(wanted.advertising_id, known.advertising_id) AS advertising_id,
        wanted.advertising_id IS NOT NULL AS is_wanted,
        known.sent_at,
        coalesce(known.in_doubt, 1) AS in_doubt, -- nobody has sent a new member yet
        -- 0 to 255 by the ID's last two digits: spreads refreshes, always in the same way.
        16 * instr('123456789abcdef', substr(coalesce(wanted.advertising_id, known.advertising_id), 35, 1))
        + instr('123456789abcdef', substr(coalesce(wanted.advertising_id, known.advertising_id), 36, 1)) AS bucket
    FROM wanted
    FULL OUTER JOIN known ON wanted.advertising_id = known.advertising_id
)
INSERT OVERWRITE TABLE vip_changes
SELECT
    '{{ run_id }}' AS run_id,
    advertising_id,
    CASE WHEN NOT is_wanted THEN 'removed' WHEN sent_at IS NULL THEN 'added' ELSE 'refreshed' END AS `change`
FROM compared
WHERE
    NOT is_wanted
    OR in_doubt = 1
    -- Due between half and nine tenths of the TTL.
    OR sent_at + {{ params.ttl_seconds }} * (0.5 + 0.4 * bucket / 255) <= unix_timestamp(getdate());
