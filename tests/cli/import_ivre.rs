//! `import --from ivre`: documents, the output of IVRE's program, and its table.

use serde_json::{Value, json};
use tower_audit::AuditEvent;

use crate::postgres::{Cluster, unique};
use crate::support::{Run, Store, program, samples};

/// The tables and indexes that IVRE's own program makes.
const SCHEMA: &str = "CREATE SEQUENCE seq_audit_events_id; \
    CREATE TABLE audit_events (id integer PRIMARY KEY DEFAULT nextval('seq_audit_events_id'), event_id uuid NOT NULL, \
        event_type varchar(32) NOT NULL, created_at timestamp NOT NULL, actor_user_email varchar(254), \
        actor_api_key_hash varchar(64), actor_remote_addr varchar(45), resource_route varchar(255), resource_method varchar(8), \
        details jsonb, outcome integer); \
    CREATE UNIQUE INDEX audit_events_idx_event_id ON audit_events (event_id); \
    CREATE INDEX audit_events_idx_type_created ON audit_events (event_type, created_at); \
    CREATE INDEX audit_events_idx_user_created ON audit_events (actor_user_email, created_at) WHERE actor_user_email IS NOT NULL; \
    CREATE INDEX audit_events_idx_created ON audit_events (created_at)";

/// Rows as IVRE writes them.
const ROWS: &str = "INSERT INTO audit_events (event_id, event_type, created_at, actor_user_email, actor_api_key_hash, \
        actor_remote_addr, resource_route, resource_method, details, outcome) VALUES \
    ('3f1e8c1a-0000-4000-8000-000000000001', 'upload', '2026-05-25 12:00:00.123456', 'alice@example.org', NULL, '192.0.2.7', \
        '/<subdb:re:scans|view>', 'POST', '{\"subdb\": \"scans\", \"categories\": [\"\", \"a\"], \"n_files\": 2, \"count\": 17}', 200), \
    ('3f1e8c1a-0000-4000-8000-000000000002', 'admin_action', '2026-05-25 12:00:01', 'root@example.org', NULL, '192.0.2.8', \
        '/auth/admin/users/<email:path>', 'PUT', '{\"action\": \"update_user\", \"fields\": [\"is_admin\"]}', 200), \
    ('3f1e8c1a-0000-4000-8000-000000000003', 'oversize_query', '2026-05-25 12:00:02', NULL, repeat('ab', 32), '2001:db8::1', \
        '/<subdb:re:scans|view>', 'GET', '{\"result_count\": 12345, \"threshold\": 1000, \"filter\": \"<unrepresentable>\"}', 200), \
    ('3f1e8c1a-0000-4000-8000-000000000004', 'auth', '2026-05-25 12:00:03', 'bob@example.org', NULL, '192.0.2.9', \
        '/auth/callback/<provider>', 'GET', '{\"result\": \"failure\", \"method\": \"oauth\", \"reason\": \"x\"}', 403), \
    ('3f1e8c1a-0000-4000-8000-000000000005', 'upload', '2026-05-25 12:00:04', NULL, NULL, NULL, NULL, NULL, NULL, NULL)";

fn imported(store: &Store) -> Vec<AuditEvent> {
    store.query(&["--limit", "0", "--event-type", "!audit.import"])
}

#[test]
fn its_table_becomes_a_log_and_twice_is_once() {
    let database = Cluster::shared().database();
    database.sql(SCHEMA);
    database.sql(ROWS);
    let rows = "INSERT INTO audit_events (event_id, event_type, created_at, details) \
        SELECT gen_random_uuid(), 'upload', '2026-06-01'::timestamp + n * '1 s'::interval, '{}' FROM generate_series(1, 1000) n";
    database.sql(rows);
    // The session's zone is none of the import's business.
    let role = unique("ivre_reader");
    database.sql(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON audit_events TO {role}"));
    database.sql(&format!("ALTER ROLE {role} SET TimeZone = 'Pacific/Apia'"));
    let source = database.url_as(&role);

    let store = Store::none();
    for _ in 0..2 {
        let report = store.run(&["import", "--from", "ivre", &source]).ok();
        assert!(report.starts_with("1005 events of 1005 records imported\n"), "{report}");
        assert!(!report.contains("not mapped"), "{report}");
        assert_eq!(imported(&store).len(), 1005);
    }
    let file = store.file("source.url", &format!("{source}\n"));
    let report = store.run(&["import", "--from", "ivre", "--source-url-file", file.to_str().expect("UTF-8")]).ok();
    assert!(report.starts_with("1005 events"), "{report}");

    let events = store.query(&["--until", "2026-05-26", "--limit", "0"]);
    assert_eq!(events.len(), 5);
    let first = &events[4];
    assert_eq!(first.event_id.to_string(), "3f1e8c1a000040008000000000000001");
    assert_eq!(first.created_at.to_string(), "2026-05-25T12:00:00.123456Z");
    assert_eq!(first.resource.route.as_deref(), Some("/<subdb:re:scans|view>"));
    assert_eq!(
        Value::Object(first.details.clone()),
        json!({ "subdb": "scans", "categories": ["", "a"], "n_files": 2, "count": 17, "imported": { "from": "ivre" } })
    );
    let types: Vec<_> = events.iter().rev().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["upload", "admin_action", "oversize_query", "auth", "upload"]);
    assert_eq!(events[2].actor.api_key_hash.as_deref(), Some("ab".repeat(32).as_str()));
    assert_eq!((events[1].outcome, events[0].outcome), (Some(403), None));
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), "1005", "the source is as it was");
}

#[test]
fn its_table_moves_within_a_database_of_postgresql() {
    let database = Cluster::shared().database();
    database.sql(SCHEMA);
    database.sql(ROWS);
    let store = Store::none();
    let run = |words: &[&str]| store.run(words);
    let separator = if database.url().contains('?') { '&' } else { '?' };
    let target = format!("{}{separator}schema=audit", database.url());
    run(&["import", "--from", "ivre", &database.url(), "--to", &target]).ok();
    run(&["import", "--from", "ivre", &database.url(), "--to", &target]).ok();
    let count = run(&["count", "--url", &target, "--event-type", "!audit.import"]).ok();
    assert_eq!(count, "5\n");
    let again = database.sql("SELECT count(*) FROM audit.audit_events WHERE event_type = 'upload'");
    assert_eq!(again, "2");

    // The log of this program is no table of IVRE's.
    let stderr = run(&["import", "--from", "ivre", &target]).failed(3);
    assert!(stderr.contains("--from export"), "{stderr}");
    let missing = format!("{}{separator}table=nothing", database.url());
    let stderr = run(&["import", "--from", "ivre", &missing]).failed(3);
    assert!(stderr.contains("there is no table") && stderr.contains("?schema="), "{stderr}");
}

/// The export of one store, in PostgreSQL.
#[test]
fn an_export_comes_back_in_postgresql() {
    let mut events = crate::hostile::events();
    events.extend(samples());
    let origin = Store::of(&events);
    let lines = origin.run(&["export"]).ok();
    let file = origin.file("old.jsonl", &lines);
    let database = Cluster::shared().database();
    let (file, url) = (file.to_str().expect("UTF-8"), database.url());
    for _ in 0..2 {
        Run::of(program(&["import", "--from", "export", file, "--to", &url])).ok();
        assert!(Run::of(program(&["export", "--event-type", "!audit.import", "--url", &url])).ok() == lines);
    }
}

#[test]
fn documents_and_the_output_of_its_program_are_read() {
    // As `mongoexport` writes them, and as IVRE's program does.
    let documents = [
        r#"{"_id":{"$oid":"665"},"event_id":"3f1e8c1a000040008000000000000001","event_type":"upload","created_at":{"$date":"2026-05-25T12:00:00.123Z"},"actor":{"user_email":"alice@example.org","api_key_hash":null,"remote_addr":"192.0.2.7"},"resource":{"route":"/scans","method":"POST"},"details":{},"outcome":200}"#,
        r#"{"event_id":"3f1e8c1a-0000-4000-8000-000000000002","event_type":"upload","created_at":{"$date":{"$numberLong":"1779710401000"}},"actor":{"user_email":null,"team":"blue"},"resource":{},"details":null,"outcome":{"$numberInt":"201"}}"#,
        r#"{"event_id":"no id","event_type":"UPLOAD ","created_at":"2026-05-25T14:00:02+02:00","outcome":70000,"details":"none","later":1}"#,
    ];
    let output = r#"[
  {
    "event_id": "3f1e8c1a000040008000000000000003",
    "event_type": "auth",
    "created_at": "2026-05-25 12:00:03",
    "actor": {"user_email": "bob", "api_key_hash": null, "remote_addr": "192.0.2.9"},
    "resource": {"route": "/x", "method": "GET"},
    "details": {"result": "success"},
    "outcome": 303
  }
]"#;
    let store = Store::none();
    let file = store.file("audit.json", &documents.join("\n"));
    let other = store.file("query.json", output);
    let words = ["import", "--from", "ivre", file.to_str().expect("UTF-8"), other.to_str().expect("UTF-8")];
    for _ in 0..2 {
        let report = store.run(&words).ok();
        for told in [
            "4 events of 4 records imported",
            "1: the type is no name",
            "1: there is no id",
            "1: outcome does not fit",
            "1: details does not fit",
            "1: later has no field",
            "1: actor.team has no field",
        ] {
            assert!(report.contains(told), "{told}: {report}");
        }
        assert_eq!(imported(&store).len(), 4);
    }
    let events = imported(&store);
    let times: Vec<_> = events.iter().rev().map(|event| event.created_at.to_string()).collect();
    let second = |seconds: &str| format!("2026-05-25T12:00:{seconds}Z");
    assert_eq!(times, [second("00.123000"), second("01.000000"), second("02.000000"), second("03.000000")]);
    assert_eq!((events[2].outcome, events[0].outcome), (Some(201), Some(303)));
    assert_eq!(events[2].details["imported"]["unmapped"], json!({ "actor.team": "blue" }));
    let odd = &events[1];
    assert_eq!(odd.event_type.as_str(), "ivre.event");
    assert_eq!(
        odd.details["imported"],
        json!({ "from": "ivre", "unmapped": {
            "event_id": "no id", "event_type": "UPLOAD ", "outcome": 70000, "details": "none", "later": 1,
        } })
    );
}
