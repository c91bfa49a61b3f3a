-- Snowflake. How many texts of vip_wanted are no IDs: changes.sql leaves them out.
WITH bare AS (
    -- As in changes.sql.
    SELECT lower(trim(advertising_id, concat(' "{}', chr(9), chr(10), chr(13), chr(39)))) AS spelling
    FROM vip_wanted
)
SELECT count(*)
FROM bare
WHERE NOT regexp_like(spelling, '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$');
