-- MaxCompute. Step 4, after all was sent (plan {{ ti.xcom_pull(task_ids="send")["plan_id"] or "none" }}).
-- The order of the statements matters: until the last one, all of it counts as attempted.
WITH answered AS (
    SELECT vip_changes.run_id, vip_changes.advertising_id, vip_changes.`change`, vip_attempted.attempted_at
    FROM vip_changes
    JOIN vip_attempted
        ON vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
    WHERE vip_changes.run_id = '{{ run_id }}'
)
INSERT OVERWRITE TABLE vip_committed
SELECT vip_committed.advertising_id, vip_committed.sent_at
FROM vip_committed
LEFT ANTI JOIN (
    SELECT advertising_id FROM answered
    UNION ALL
    -- Each was among the changes, in the one spelling.
    SELECT 'other spellings' AS advertising_id FROM answered GROUP BY run_id
) AS replaced
    ON
        CASE
            WHEN vip_committed.advertising_id RLIKE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN vip_committed.advertising_id
            ELSE 'other spellings'
        END = replaced.advertising_id
UNION ALL
SELECT advertising_id, min(attempted_at) AS sent_at
FROM answered
WHERE `change` <> 'removed'
GROUP BY advertising_id;
WITH answered AS (
    SELECT vip_changes.run_id, vip_changes.advertising_id, vip_changes.`change`, vip_attempted.attempted_at
    FROM vip_changes
    JOIN vip_attempted
        ON vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
    WHERE vip_changes.run_id = '{{ run_id }}'
)
INSERT OVERWRITE TABLE vip_attempted
SELECT vip_attempted.run_id, vip_attempted.advertising_id, vip_attempted.attempted_at
FROM vip_attempted
LEFT ANTI JOIN answered
    ON vip_attempted.run_id = answered.run_id AND vip_attempted.advertising_id = answered.advertising_id;
