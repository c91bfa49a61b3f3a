-- Snowflake. Run this once. Times are seconds since 1970 (UTC).
-- Who is in the audience: sent by runs that have ended, at this time or later.
CREATE TABLE IF NOT EXISTS vip_committed (advertising_id text NOT NULL, sent_at bigint NOT NULL);
-- Who may have been sent, or removed, by a run that has not ended.
CREATE TABLE IF NOT EXISTS vip_attempted (
    run_id text NOT NULL, advertising_id text NOT NULL, attempted_at bigint NOT NULL
);
-- What the present run sends: 'added', 'refreshed' or 'removed'.
CREATE TABLE IF NOT EXISTS vip_changes (run_id text NOT NULL, advertising_id text NOT NULL, change text NOT NULL);
