-- PostgreSQL and DuckDB. Step 4, after all was sent (plan {{ ti.xcom_pull(task_ids="send")["plan_id"] or "none" }}).
-- The order of the statements matters where they are no transaction: until the last one, all of it counts as attempted.
DELETE FROM vip_committed
WHERE
    advertising_id IN (
        SELECT vip_changes.advertising_id
        FROM vip_changes
        JOIN vip_attempted
            ON vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
        WHERE vip_changes.run_id = '{{ run_id }}'
    );
INSERT INTO vip_committed (advertising_id, sent_at)
SELECT vip_changes.advertising_id, min(vip_attempted.attempted_at)
FROM vip_changes
JOIN vip_attempted
    ON vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
WHERE vip_changes.run_id = '{{ run_id }}' AND vip_changes.change <> 'removed'
GROUP BY vip_changes.advertising_id;
-- Other spellings: each was among the changes, in the one spelling.
DELETE FROM vip_committed
WHERE
    advertising_id !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    AND EXISTS (
        SELECT 1
        FROM vip_changes
        JOIN vip_attempted
            ON vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
        WHERE vip_changes.run_id = '{{ run_id }}'
    );
DELETE FROM vip_attempted
WHERE
    run_id = '{{ run_id }}'
    AND advertising_id IN (SELECT advertising_id FROM vip_changes WHERE run_id = '{{ run_id }}');
