//! Damage to the log's tables is reported with statements that undo it and work as they stand.

use std::collections::BTreeSet;

use tower_audit::AuditEvent;
use tower_audit::store::postgres::create_roles;
use tower_audit::store::{Severity, StoreError};

use crate::cluster::{Cluster, Database};
use crate::postgres::support::{all, event, ok, open, open_to_read};

/// IVRE's tables, as its own program makes them.
const IVRE: &str = "CREATE SEQUENCE seq_audit_events_id; \
    CREATE TABLE audit_events (id integer PRIMARY KEY DEFAULT nextval('seq_audit_events_id'), event_id uuid NOT NULL, \
        event_type varchar(64) NOT NULL, created_at timestamp NOT NULL, actor_user_email varchar(255), \
        actor_api_key_hash varchar(64), actor_remote_addr varchar(45), resource_route varchar(255), \
        resource_method varchar(8), details jsonb, outcome integer); \
    CREATE UNIQUE INDEX audit_events_idx_event_id ON audit_events (event_id); \
    CREATE INDEX audit_events_idx_created ON audit_events (created_at); \
    CREATE INDEX audit_events_idx_type_created ON audit_events (event_type, created_at); \
    CREATE INDEX audit_events_idx_user_created ON audit_events (actor_user_email, created_at) \
        WHERE actor_user_email IS NOT NULL";

/// The events afterwards.
#[derive(Clone, Copy, PartialEq)]
enum Events {
    /// All of them, as they were.
    Whole,
    /// None: they went with the table.
    Gone,
    /// All of them; of those of before, what was removed is missing or marked.
    There,
}

use Events::{Gone, There, Whole};

/// The statements of a saboteur; what the complaints say, part by part; and what is left.
const SABOTAGES: [(&str, &str, Events); 25] = [
    ("DROP TABLE audit_events CASCADE", "the table \"audit_events\"", Gone),
    ("DROP TABLE audit_events; {ivre}", "another application's, and the log's own table of events is gone", Gone),
    ("{drop}; {ivre}", "another application's: ", Gone),
    ("{drop}; {ivre}; DROP TABLE audit_events", "", Gone),
    ("{drop}; {ivre}; ALTER TABLE audit_events RENAME TO ivres", "\"audit_events_idx_created\"", Gone),
    (
        "{drop}; {ivre}; CREATE SCHEMA {s}_i; ALTER TABLE audit_events SET SCHEMA {s}_i; \
         ALTER SEQUENCE seq_audit_events_id SET SCHEMA {s}_i",
        "",
        Gone,
    ),
    (
        "DROP TABLE audit_events; CREATE VIEW audit_events AS SELECT 1 AS id; DROP TABLE audit_events_version; \
         CREATE TABLE audit_events_version (depth float) PARTITION BY LIST (depth)",
        "\"audit_events_version\"|ALTER VIEW|ALTER TABLE",
        Gone,
    ),
    ("DROP TABLE audit_events; CREATE TYPE audit_events AS (id int)", "another application's", Gone),
    ("ALTER TABLE audit_events RENAME TO away", "the table of the events is \"{s}\".\"away\" now", Whole),
    ("CREATE SCHEMA {s}_away; ALTER TABLE audit_events SET SCHEMA {s}_away", "\"{s}_away\".\"audit_events\"", Whole),
    ("ALTER TABLE audit_events RENAME TO away; CREATE TABLE audit_events (id int)", "another application's", Whole),
    ("ALTER TABLE audit_events_started RENAME TO away", "\"audit_events_started_writer_idx\"", Whole),
    (
        "DROP TABLE audit_events_started; CREATE TABLE audit_events_started (door text)",
        "\"audit_events_started\"",
        Whole,
    ),
    ("DROP TABLE audit_events_writers CASCADE; DROP TABLE audit_events_version", "_writers|_version", Whole),
    (
        "DELETE FROM audit_events_version; DROP TABLE audit_events_default; DROP SEQUENCE seq_audit_events_id CASCADE; \
         ALTER TABLE audit_events ALTER phase DROP DEFAULT; DROP FUNCTION audit_events_create_partition, audit_events_drop_partition",
        "the version|the default partition|the sequence|the default of id|the default of phase|the functions",
        Whole,
    ),
    (
        "ALTER TABLE audit_events DROP CONSTRAINT audit_events_idx_event_id, ADD tenant integer NOT NULL DEFAULT 1; \
         ALTER TABLE audit_events ALTER tenant DROP DEFAULT; ALTER TABLE audit_events DETACH PARTITION audit_events_default",
        "the default partition is detached|events can be there twice|the column \"tenant\" must be given",
        Whole,
    ),
    (
        "ALTER TABLE audit_events DROP COLUMN outcome, DROP COLUMN created_at, DROP COLUMN phase, DROP COLUMN id",
        "\"outcome\" is missing|\"created_at\" is missing|\"phase\" is missing|\"id\" is missing",
        Whole,
    ),
    ("ALTER TABLE audit_events DROP COLUMN event", "the column \"event\" is missing", There),
    (
        "ALTER TABLE audit_events RENAME COLUMN actor_user_email TO who",
        "\"actor_user_email\" is missing|RENAME COLUMN \"who\"",
        Whole,
    ),
    (
        "ALTER TABLE audit_events ALTER outcome TYPE bigint, ALTER resource_route TYPE text COLLATE \"default\"",
        "the column \"outcome\" is bigint|the column \"resource_route\" is text",
        Whole,
    ),
    (
        "DROP INDEX audit_events_idx_route_created, audit_events_idx_user_created; CREATE INDEX \
         audit_events_idx_user_created ON audit_events (actor_user_email, created_at) WHERE actor_user_email IS NOT NULL",
        "missing: audit_events_idx_route_created|of another definition: audit_events_idx_user_created",
        Whole,
    ),
    (
        "DROP INDEX audit_events_idx_created; CREATE TABLE away (id int); CREATE INDEX audit_events_idx_created ON away (id)",
        "another application's|ALTER INDEX",
        Whole,
    ),
    (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; CREATE TRIGGER no \
         BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION no(); ALTER TABLE audit_events ENABLE ROW LEVEL \
         SECURITY; CREATE RULE no AS ON INSERT TO audit_events_started DO INSTEAD NOTHING; ALTER TABLE audit_events_started \
         ADD FOREIGN KEY (event_id) REFERENCES audit_events; ALTER TABLE audit_events ADD CONSTRAINT no \
         CHECK (outcome < 200) NOT VALID; CREATE TABLE people (email text COLLATE \"C\" PRIMARY KEY); \
         INSERT INTO people SELECT DISTINCT actor_user_email FROM audit_events; ALTER TABLE audit_events \
         ADD CONSTRAINT known FOREIGN KEY (actor_user_email) REFERENCES people",
        "the trigger no on {s}.audit_events:|the rule no on {s}.audit_events_started:|row security on {s}.audit_events:|\
         the constraint no on {s}.audit_events:|the foreign key known on {s}.audit_events:",
        Whole,
    ),
    (
        "ALTER TABLE audit_events DETACH PARTITION audit_events_before; DO $$ BEGIN EXECUTE format('ALTER TABLE \
         audit_events DETACH PARTITION audit_events_%s', to_char(now(), 'YYYY_MM')); END $$",
        "{s}.audit_events_before are detached, and nobody sees them|FOR VALUES FROM ('",
        Whole,
    ),
    (
        "DO $$ DECLARE next text := 'audit_events_' || to_char(now() + interval '1 month', 'YYYY_MM'); BEGIN \
         EXECUTE 'DROP TABLE ' || next; EXECUTE format('CREATE TABLE %I (id int)', next); END $$",
        "has the name of a month",
        Whole,
    ),
];

const DROP: &str = "DROP TABLE audit_events, audit_events_started, audit_events_writers, audit_events_version";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_remedy_is_in_the_message_and_works() {
    let database = Cluster::shared().database();
    for (number, (sabotage, words, events)) in SABOTAGES.into_iter().enumerate() {
        let schema = format!("s{number}");
        let fill = |text: &str| text.replace("{ivre}", IVRE).replace("{drop}", DROP).replace("{s}", &schema);
        let (sabotage, words) = (fill(sabotage), fill(words));
        let url = format!("{}?schema={schema}", database.url());
        let mut before: Vec<AuditEvent> = (0..3).map(event).collect();
        ok(open(&url).await.append(&before).await);
        before.reverse();
        database.sql(&format!("SET search_path = {schema}; {sabotage}"));

        let complaints = mend(&database, &url, &sabotage).await;
        for words in words.split('|') {
            assert!(words.is_empty() || complaints.contains(words), "{sabotage}: {words}: {complaints}");
        }

        let store = open(&url).await;
        let after = event(9);
        for _ in 0..2 {
            ok(store.append(std::slice::from_ref(&after)).await);
        }
        ok(store.health().await);
        let mut kept = all(&*store).await;
        assert_eq!(kept.remove(0), after, "{sabotage}");
        match events {
            Whole => assert_eq!(kept, before, "{sabotage}"),
            Gone => assert_eq!(kept, [], "{sabotage}"),
            There => assert_eq!(kept.len(), before.len(), "{sabotage}"),
        }
    }
}

/// Does what the messages say until there are none, and gives those that there were.
async fn mend(database: &Database<'_>, url: &str, sabotage: &str) -> String {
    let mut complaints = String::new();
    for _ in 0..4 {
        let complaint = complaint(url).await;
        if complaint.is_empty() {
            return complaints;
        }
        let statements: BTreeSet<String> = complaint.iter().flat_map(|text| statements(text)).collect();
        if !statements.is_empty() {
            database.sql(&statements.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
        }
        let says_migrate = complaint.iter().any(|text| text.contains("tower-audit migrate"));
        assert!(says_migrate || !statements.is_empty(), "{sabotage}: no remedy: {complaint:?}");
        if says_migrate {
            // `migrate` reports damage that it cannot mend, and so does the next look.
            let _ = migrate(url).await;
        }
        complaints.extend(complaint);
    }
    panic!("{sabotage}: in a circle: {complaints}");
}

/// The complaints of the program: the error of opening, or the errors and warnings of `doctor`.
async fn complaint(url: &str) -> Vec<String> {
    let store = match open_to_read(url).await {
        Ok(store) => store,
        Err(error) => return vec![error.to_string()],
    };
    let findings = ok(store.diagnose().await);
    // The superuser of a test has too many rights, which is told.
    let bad = findings.into_iter().filter(|finding| finding.severity > Severity::Ok && finding.subject != "role");
    bad.map(|finding| format!("{}: {}", finding.message, finding.hint.unwrap_or_default())).collect()
}

/// As the program does it.
async fn migrate(url: &str) -> Result<(), StoreError> {
    let store = tower_audit::store::open(url, tower_audit::store::OpenOptions::default()).await?;
    let keeper = store.parts().admin.expect("it is kept");
    keeper.migrate().await
}

/// The statements in a message: what is between backquotes and ends like one.
fn statements(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).filter(|part| part.ends_with(';')).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_log_that_was_lost_in_part_begins_anew_by_init_from_any_state() {
    for sabotage in [
        "DROP TABLE audit_events CASCADE",
        "DROP TABLE audit_events_version",
        "ALTER TABLE audit_events DROP COLUMN event",
        "ALTER TABLE audit_events DETACH PARTITION audit_events_default",
        DROP,
    ] {
        let database = Cluster::shared().database();
        let store = open(&database.url()).await;
        ok(store.append(&[event(1)]).await);
        database.sql(sabotage);
        ok(store.parts().admin.expect("it is kept").recreate().await);
        let again = open(&database.url()).await;
        ok(again.append(&[event(2)]).await);
        assert_eq!(all(&*again).await.len(), 1, "{sabotage}");
    }
}

#[tokio::test]
async fn init_destroys_nothing_of_another_application() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql(&format!(
        "DROP TABLE audit_events; {IVRE}; INSERT INTO audit_events (event_id, event_type, created_at) \
        VALUES ('00000000-0000-4000-8000-000000000000', 'upload', now())"
    ));
    let error = store.parts().admin.expect("it is kept").recreate().await.unwrap_err();
    assert!(error.to_string().contains("RENAME TO \"audit_events_other\";"), "{error}");
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), "1");
}

#[tokio::test]
async fn a_log_that_others_depend_on_is_not_dropped_with_them() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql("CREATE VIEW uploads AS SELECT * FROM audit_events WHERE event_type = 'upload'");
    let error = store.parts().admin.expect("it is kept").recreate().await.unwrap_err();
    assert!(error.to_string().contains("view public.uploads depends on"), "{error}");
    database.sql("DROP VIEW uploads");
    ok(store.parts().admin.expect("it is kept").recreate().await);
}

#[tokio::test]
async fn what_is_made_again_is_given_to_the_roles_again() {
    let database = Cluster::shared().database();
    let _owner = open(&database.url()).await;
    let roles = ok(create_roles(&database.url()).await);
    let [appender, reader] = [0, 1].map(|role: usize| database.account_of(&roles[role]));
    database.sql("DROP TABLE audit_events CASCADE");
    let error = crate::postgres::support::refusal(&database.url_as(&appender)).await;
    assert!(error.to_string().contains("let their owner \"postgres\" run `tower-audit migrate`"), "{error}");
    ok(migrate(&database.url()).await);
    ok(open(&database.url_as(&appender)).await.append(&[event(1)]).await);
    assert_eq!(all(&*ok(open_to_read(&database.url_as(&reader)).await)).await.len(), 1);
}
