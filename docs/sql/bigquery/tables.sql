-- BigQuery. Run this once. Times are seconds since 1970 (UTC).
-- Who is in the audience: sent by runs that have ended, at this time or later.
CREATE TABLE IF NOT EXISTS vip_committed (advertising_id string NOT NULL, sent_at int64 NOT NULL)
CLUSTER BY advertising_id;
-- Who may have been sent, or removed, by a run that has not ended.
CREATE TABLE IF NOT EXISTS vip_attempted (
    run_id string NOT NULL, advertising_id string NOT NULL, attempted_at int64 NOT NULL
)
CLUSTER BY advertising_id;
-- What the present run sends: 'added', 'refreshed' or 'removed'.
CREATE TABLE IF NOT EXISTS vip_changes (run_id string NOT NULL, advertising_id string NOT NULL, change string NOT NULL)
CLUSTER BY run_id, change;
