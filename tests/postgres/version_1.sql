-- A log as version 1 of the tables had it, with its roles and a few events. Nothing here changes any more.
CREATE SEQUENCE seq_audit_events_id AS bigint CACHE 64;
CREATE TABLE audit_events (
    id bigint NOT NULL DEFAULT nextval('seq_audit_events_id'),
    event_id uuid NOT NULL CONSTRAINT audit_events_idx_event_id PRIMARY KEY,
    event_type text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    actor_user_email text COLLATE "C",
    actor_api_key_hash text COLLATE "C",
    actor_remote_addr text COLLATE "C",
    resource_route text COLLATE "C",
    resource_method text COLLATE "C",
    details jsonb,
    outcome integer,
    phase text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL
) PARTITION BY RANGE (event_id);
ALTER SEQUENCE seq_audit_events_id OWNED BY audit_events.id;
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
CREATE TABLE audit_events_before PARTITION OF audit_events
    FOR VALUES FROM (MINVALUE) TO ('019de0d5-c800-0000-0000-000000000000');
CREATE TABLE audit_events_2026_05 PARTITION OF audit_events
    FOR VALUES FROM ('019de0d5-c800-0000-0000-000000000000') TO ('019e807a-ec00-0000-0000-000000000000');
CREATE TABLE audit_events_instances (
    id bigint PRIMARY KEY,
    retaken bigint NOT NULL DEFAULT 0,
    has_left boolean NOT NULL DEFAULT false);
CREATE TABLE audit_events_open (
    event_id uuid PRIMARY KEY,
    instance bigint NOT NULL REFERENCES audit_events_instances (id),
    event text COLLATE "C" NOT NULL);
CREATE INDEX ON audit_events_open (instance);
CREATE TABLE audit_events_probe (one integer PRIMARY KEY CHECK (one = 1), times bigint NOT NULL);
CREATE TABLE audit_events_version (one integer PRIMARY KEY CHECK (one = 1), version integer NOT NULL);
CREATE INDEX audit_events_idx_created ON audit_events (created_at, event_id);
CREATE INDEX audit_events_idx_type_created ON audit_events (event_type, created_at, event_id);
CREATE INDEX audit_events_idx_user_created ON audit_events (actor_user_email, created_at, event_id)
    WHERE actor_user_email IS NOT NULL;
CREATE INDEX audit_events_idx_addr_created ON audit_events (actor_remote_addr, created_at, event_id)
    WHERE actor_remote_addr IS NOT NULL;
CREATE INDEX audit_events_idx_route_created ON audit_events (resource_route, created_at, event_id)
    WHERE resource_route IS NOT NULL;
CREATE INDEX audit_events_idx_outcome_created ON audit_events (outcome, created_at, event_id) WHERE outcome IS NOT NULL;
CREATE INDEX audit_events_idx_phase_created ON audit_events (phase, created_at, event_id) WHERE phase <> 'completed';

DO $$ DECLARE role text; BEGIN
    FOREACH role IN ARRAY ARRAY['audit_events_appender', 'audit_events_reader', 'audit_events_purger'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO audit_events_appender, audit_events_reader, audit_events_purger;
GRANT SELECT ON audit_events_version TO audit_events_appender, audit_events_reader, audit_events_purger;
GRANT INSERT, SELECT (event_id) ON audit_events TO audit_events_appender, audit_events_purger;
GRANT USAGE ON SEQUENCE seq_audit_events_id TO audit_events_appender, audit_events_purger;
GRANT SELECT, INSERT, DELETE ON audit_events_open TO audit_events_appender, audit_events_purger;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_events_instances TO audit_events_appender, audit_events_purger;
GRANT SELECT, INSERT, UPDATE ON audit_events_probe TO audit_events_appender, audit_events_purger;
GRANT SELECT ON audit_events TO audit_events_reader;
GRANT DELETE, SELECT (created_at) ON audit_events TO audit_events_purger;

INSERT INTO audit_events_version VALUES (1, 1);
INSERT INTO audit_events_probe VALUES (1, 3);
INSERT INTO audit_events_instances VALUES (4611686018427387904, 0, true);
INSERT INTO audit_events (event_id, event_type, created_at, actor_user_email, actor_remote_addr, resource_route,
    resource_method, details, outcome, phase, event) VALUES
    ('019e5f01-967b-7000-8000-000000000001', 'upload', '2026-05-25T12:00:00.123456Z', 'alice@example.org', '192.0.2.7',
     '/scans', 'POST', '{"n_files": 1}', 200, 'completed',
     '{"event_id":"019e5f01967b70008000000000000001","event_type":"upload","created_at":"2026-05-25T12:00:00.123456Z","phase":"completed","actor":{"user_email":"alice@example.org","api_key_hash":null,"remote_addr":"192.0.2.7"},"resource":{"route":"/scans","method":"POST"},"outcome":200,"details":{"n_files":1}}'),
    ('019e5f01-967c-7000-8000-000000000002', 'admin_action', '2026-05-25T12:00:00.124000Z', 'root@example.org', '192.0.2.8',
     '/auth/admin/users/{email}', 'DELETE', '{}', NULL, 'started',
     '{"event_id":"019e5f01967c70008000000000000002","event_type":"admin_action","created_at":"2026-05-25T12:00:00.124000Z","phase":"started","actor":{"user_email":"root@example.org","api_key_hash":null,"remote_addr":"192.0.2.8"},"resource":{"route":"/auth/admin/users/{email}","method":"DELETE"},"outcome":null,"details":{}}');
INSERT INTO audit_events_open SELECT event_id, 4611686018427387904, event FROM audit_events WHERE phase = 'started';
