-- Roles for a log on MariaDB or MySQL: to append, to read, to purge, and to erase values. Only the last may change a stored event, and
-- only in the columns that an erasure blanks. A log that is sealed has `mysql_seal_roles.sql` besides.
--
--     tower-audit migrate --url mysql://owner@host/audit       makes the tables
--     mariadb audit < examples/mysql_roles.sql                 as an account that may grant
--
-- Then give each account its role:
--
--     CREATE USER web IDENTIFIED BY '...';
--     GRANT audit_appender TO web;
--     SET DEFAULT ROLE audit_appender FOR web;    -- MySQL: SET DEFAULT ROLE audit_appender TO web;

CREATE ROLE IF NOT EXISTS audit_appender, audit_reader, audit_purger, audit_eraser;

-- Appends events, closes its own, and finds whether an id is there. Sees nothing else of an event that has ended.
GRANT INSERT, SELECT (event_id) ON audit_events TO audit_appender;
GRANT SELECT, INSERT, DELETE ON audit_events_started TO audit_appender;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_events_writers TO audit_appender;
GRANT SELECT, UPDATE (commits) ON audit_events_version TO audit_appender;

-- Reads everything and writes nothing.
GRANT SELECT ON audit_events TO audit_reader;
GRANT SELECT ON audit_events_started TO audit_reader;
GRANT SELECT ON audit_events_writers TO audit_reader;
GRANT SELECT ON audit_events_version TO audit_reader;

-- Deletes events by their time and records that. To drop whole months needs ALTER, DROP and LOCK TABLES, and with them every
-- event could be dropped: so this role deletes by the row, and the owner of the tables drops months.
GRANT INSERT, SELECT (event_id, created_at), DELETE ON audit_events TO audit_purger;
GRANT SELECT, INSERT, DELETE ON audit_events_started TO audit_purger;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_events_writers TO audit_purger;
GRANT SELECT, UPDATE (commits) ON audit_events_version TO audit_purger;

-- Reads events, blanks one person's values in them, and records that. Removes none, and changes no type, time, phase, outcome or route.
GRANT INSERT, SELECT ON audit_events TO audit_eraser;
GRANT UPDATE (actor_user_email, actor_api_key_hash, actor_remote_addr, actor_acting_for, request_id, request_uri, trace_id, target,
    all_targets, details, event) ON audit_events TO audit_eraser;
GRANT SELECT, INSERT, DELETE, UPDATE (event) ON audit_events_started TO audit_eraser;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_events_writers TO audit_eraser;
GRANT SELECT, UPDATE (commits) ON audit_events_version TO audit_eraser;
