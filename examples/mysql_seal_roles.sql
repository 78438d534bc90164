-- The rights to the seal of a log on MariaDB or MySQL, and a role that seals. After `mysql_roles.sql`, once the tables of the seal are there:
--
--     tower-audit seal --once --key seal.key --url mysql://owner@host/audit       makes the tables
--     mariadb audit < examples/mysql_seal_roles.sql                               as an account that may grant

CREATE ROLE IF NOT EXISTS audit_sealer;

-- Reads events and seals them: may not append, change or remove one. The tables of the seal it may only insert into.
GRANT SELECT ON audit_events TO audit_sealer;
GRANT SELECT ON audit_events_started TO audit_sealer;
GRANT SELECT ON audit_events_writers TO audit_sealer;
GRANT SELECT ON audit_events_version TO audit_sealer;
GRANT SELECT, INSERT ON audit_events_leaves TO audit_sealer;
GRANT SELECT, INSERT ON audit_events_nodes TO audit_sealer;
GRANT SELECT, INSERT ON audit_events_checkpoints TO audit_sealer;
GRANT SELECT ON audit_events_removals TO audit_sealer;

-- Verifies.
GRANT SELECT ON audit_events_leaves TO audit_reader;
GRANT SELECT ON audit_events_nodes TO audit_reader;
GRANT SELECT ON audit_events_checkpoints TO audit_reader;
GRANT SELECT ON audit_events_removals TO audit_reader;

-- Deletes the seeds of the events that it deletes, and reads none.
GRANT SELECT (n, event_id), UPDATE (seed) ON audit_events_leaves TO audit_purger;
GRANT SELECT ON audit_events_checkpoints TO audit_purger;
GRANT SELECT, INSERT ON audit_events_removals TO audit_purger;

-- Replaces seeds by the salts that an erasure leaves.
GRANT SELECT, UPDATE (seed) ON audit_events_leaves TO audit_eraser;
GRANT SELECT ON audit_events_checkpoints TO audit_eraser;
GRANT SELECT, INSERT ON audit_events_removals TO audit_eraser;
