-- DuckDB. Once, when a sync has ended: who is in the audience by its ledger.
INSERT INTO vip_committed (advertising_id, sent_at)
SELECT CAST(advertising_id AS text), CAST(earliest_expiry AS bigint) - {{ params.ttl_seconds }}
FROM '{{ params.ledger }}'
WHERE earliest_expiry > 1;
-- Nobody knows the outcome of their last request.
INSERT INTO vip_attempted (run_id, advertising_id, attempted_at)
SELECT 'ledger', CAST(advertising_id AS text), 0
FROM '{{ params.ledger }}'
WHERE earliest_expiry <= 1;
