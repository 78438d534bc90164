//! The tables, from the first version on. A step is never changed once it is released: a change is a further step.

/// What makes version `n + 1` out of version `n`, in one transaction.
pub(super) const STEPS: &[&str] = &[FIRST, include_str!("migrations/2_months.sql")];

/// The version that this program reads and writes.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// Text is compared byte by byte, whatever the database's language is.
///
/// Numbers for `id` are taken by the block: what is left of a block when a session ends is never used.
const FIRST: &str = r#"
CREATE SEQUENCE {sequence} AS bigint CACHE 64;
CREATE TABLE {table}(
    id bigint NOT NULL,
    event_id uuid NOT NULL CONSTRAINT "{bare}_idx_event_id" PRIMARY KEY,
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
ALTER TABLE {table} ALTER COLUMN id SET DEFAULT pg_catalog.nextval({sequence_text}::pg_catalog.regclass);
ALTER SEQUENCE {sequence} OWNED BY {table}.id;
CREATE TABLE {table_default} PARTITION OF {table} DEFAULT;
CREATE TABLE {table_instances}(
    id bigint PRIMARY KEY,
    retaken bigint NOT NULL DEFAULT 0,
    has_left boolean NOT NULL DEFAULT false);
CREATE TABLE {table_open}(
    event_id uuid PRIMARY KEY,
    instance bigint NOT NULL REFERENCES {table_instances}(id),
    event text COLLATE "C" NOT NULL);
CREATE INDEX ON {table_open}(instance);
CREATE TABLE {table_probe}(one integer PRIMARY KEY CHECK (one = 1), times bigint NOT NULL);
CREATE TABLE {table_version}(one integer PRIMARY KEY CHECK (one = 1), version integer NOT NULL);
INSERT INTO {table_version} VALUES (1, 1);
"#;

/// What an owner's default privileges gave to others when the tables were made is taken away: rights to the log are given
/// one by one.
pub(super) const NOBODY_ELSE: &str = r#"
DO {body}
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
                AS grantee
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN pg_catalog.aclexplode(c.relacl) a
        WHERE n.nspname = {schema_text} AND a.grantee <> c.relowner AND c.relname IN ('seq_' || {bare_text} || '_id',
            {bare_text}, {bare_text} || '_default', {bare_text} || '_open', {bare_text} || '_instances',
            {bare_text} || '_version', {bare_text} || '_probe')
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
    END LOOP;
END
{body};
"#;

/// The indexes of the events: the end of the name, and what is in it. Each ends in the order of a listing, so that the
/// first page of a filter and its ten thousandth cost the same. No two entries are the same: the server need not look
/// for such.
pub(super) const INDEXES: &[(&str, &str)] = &[
    ("_idx_created", "(created_at, event_id) WITH (deduplicate_items = off)"),
    ("_idx_type_created", "(event_type, created_at, event_id) WITH (deduplicate_items = off)"),
    (
        "_idx_user_created",
        "(actor_user_email, created_at, event_id) WITH (deduplicate_items = off) WHERE actor_user_email IS NOT NULL",
    ),
    (
        "_idx_addr_created",
        "(actor_remote_addr, created_at, event_id) WITH (deduplicate_items = off) WHERE actor_remote_addr IS NOT NULL",
    ),
    (
        "_idx_route_created",
        "(resource_route, created_at, event_id) WITH (deduplicate_items = off) WHERE resource_route IS NOT NULL",
    ),
    (
        "_idx_outcome_created",
        "(outcome, created_at, event_id) WITH (deduplicate_items = off) WHERE outcome IS NOT NULL",
    ),
    // Nearly every event is `completed`: that listing is the whole one.
    ("_idx_phase_created", "(phase, created_at, event_id) WITH (deduplicate_items = off) WHERE phase <> 'completed'"),
];
