-- MaxCompute. Step 2, before anything is sent: from now on all of it may have been sent.
-- What runs before this one have attempted is among its changes: this run answers for it now.
INSERT OVERWRITE TABLE vip_attempted
SELECT
    vip_changes.run_id,
    vip_changes.advertising_id,
    coalesce(min(vip_attempted.attempted_at), unix_timestamp(getdate())) AS attempted_at
FROM vip_changes
LEFT JOIN vip_attempted
    ON vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
WHERE vip_changes.run_id = '{{ run_id }}'
GROUP BY vip_changes.run_id, vip_changes.advertising_id
UNION ALL
SELECT vip_attempted.run_id, vip_attempted.advertising_id, vip_attempted.attempted_at
FROM vip_attempted
LEFT ANTI JOIN (
    SELECT advertising_id FROM vip_changes WHERE run_id = '{{ run_id }}'
    UNION ALL
    -- Other spellings: this run answers for them too, in the one spelling. What is no ID was never sent.
    SELECT 'other spellings' AS advertising_id FROM vip_changes WHERE run_id = '{{ run_id }}' GROUP BY run_id
) AS answered
    ON
        CASE
            WHEN vip_attempted.advertising_id RLIKE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN vip_attempted.advertising_id
            ELSE 'other spellings'
        END = answered.advertising_id;
SELECT count(*) FROM vip_changes WHERE run_id = '{{ run_id }}';
