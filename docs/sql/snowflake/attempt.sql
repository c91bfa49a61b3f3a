-- Snowflake. Step 2, before anything is sent: from now on all of it may have been sent.
INSERT INTO vip_attempted (run_id, advertising_id, attempted_at)
SELECT vip_changes.run_id, vip_changes.advertising_id, date_part(epoch_second, current_timestamp())
FROM vip_changes
WHERE
    vip_changes.run_id = '{{ run_id }}'
    AND NOT EXISTS (
        SELECT 1
        FROM vip_attempted
        WHERE vip_attempted.run_id = vip_changes.run_id AND vip_attempted.advertising_id = vip_changes.advertising_id
    );
-- What runs before this one have attempted is among its changes: this run answers for it now.
DELETE FROM vip_attempted
WHERE
    run_id <> '{{ run_id }}'
    AND advertising_id IN (SELECT advertising_id FROM vip_changes WHERE run_id = '{{ run_id }}');
-- Other spellings: this run answers for them too, in the one spelling. What is no ID was never sent.
DELETE FROM vip_attempted
WHERE
    NOT regexp_like(advertising_id, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
    AND EXISTS (SELECT 1 FROM vip_changes WHERE run_id = '{{ run_id }}');
SELECT count(*) FROM vip_changes WHERE run_id = '{{ run_id }}';
