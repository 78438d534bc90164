//! `doctor`: findings, remedies and exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{Run, Store, json, program, samples};

/// The diagnostics of a run that ended with this code: subject, severity, message.
fn diagnostics(run: &Run, code: i32) -> Vec<(String, String, String)> {
    assert_eq!(run.code, Some(code), "{run:?}");
    let report = json(&run.stdout);
    assert_eq!(report["healthy"], code == 0);
    let text = |diagnostic: &Value, name: &str| diagnostic[name].as_str().unwrap_or_default().to_owned();
    let all = report["diagnostics"].as_array().expect("a list").iter();
    all.map(|one| (text(one, "subject"), text(one, "severity"), text(one, "message"))).collect()
}

/// The warnings and errors.
fn complaints(run: &Run, code: i32) -> Vec<(String, String)> {
    let bad = diagnostics(run, code).into_iter().filter(|(_, severity, _)| severity != "ok");
    bad.map(|(subject, severity, _)| (subject, severity)).collect()
}

fn private() -> Store {
    // Without the one that is open, of a writer that has ended.
    let store = Store::of(&samples()[..2]);
    chmod(&store.path(), 0o600);
    store
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

#[test]
fn a_store_that_is_well() {
    let store = private();
    let run = store.run(&["doctor"]);
    assert_eq!(run.stderr, "");
    let found = diagnostics(&run, 0);
    let about: Vec<&str> = found.iter().map(|(about, ..)| about.as_str()).collect();
    assert_eq!(
        about,
        ["url", "file", "folder", "disk", "store", "write", "read", "tables", "size", "wal"],
        "{found:?}"
    );
    assert!(found.iter().all(|(_, level, _)| level == "ok"), "{found:?}");
    assert_eq!(found[0].2, "sqlite: store, named by AUDIT_URL");
    assert_eq!(found[5].2, "the next event would be accepted and durable");
    assert!(found[7].2.contains("; SQLite 3."), "{found:?}");
    // Nothing was changed.
    assert_eq!(store.count(), 2);
}

#[test]
fn an_event_that_a_dead_writer_left_open_is_told() {
    let store = Store::of(&samples());
    chmod(&store.path(), 0o600);
    let run = store.run(&["doctor"]);
    assert_eq!(complaints(&run, 0), [("open".to_owned(), "warning".to_owned())], "{run:?}");
    let text = &diagnostics(&run, 0).pop().expect("it is the last").2;
    assert_eq!(text, "1 requests or purges have started and not ended, of writers that do not live any more");
}

#[test]
fn nothing_is_advised_about_the_mode_of_what_is_no_regular_file() {
    let run = Run::of(program(&["doctor", "--url", "sqlite:/dev/null"]));
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(run.stdout.contains("no regular file") && !run.stdout.contains("chmod"), "{run:?}");
}

#[test]
fn who_else_can_get_at_the_file_is_told() {
    let store = private();
    for (mode, code, expected) in [(0o640, 0, None), (0o644, 0, Some("warning")), (0o666, 5, Some("error"))] {
        chmod(&store.path(), mode);
        let expected: Vec<_> = expected.map(|level| ("file".to_owned(), level.to_owned())).into_iter().collect();
        assert_eq!(complaints(&store.run(&["doctor"]), code), expected, "{mode:o}");
    }
    chmod(&store.path(), 0o600);
    for (mode, code, level) in [(0o777, 5, "error"), (0o1777, 0, "warning")] {
        chmod(store.folder(), mode);
        assert_eq!(complaints(&store.run(&["doctor"]), code), [("folder".to_owned(), level.to_owned())], "{mode:o}");
    }
    chmod(store.folder(), 0o700);
}

#[test]
fn what_would_not_be_kept_is_wrong() {
    let store = private();
    chmod(&store.path(), 0o444);
    let bad = complaints(&store.run(&["doctor"]), 5);
    assert!(bad.contains(&("write".into(), "error".into())), "{bad:?}");

    let missing = Store::none();
    assert_eq!(complaints(&missing.run(&["doctor"]), 5), [("store".to_owned(), "error".to_owned())]);
    assert!(!missing.path().exists());

    let memory = Run::of(program(&["doctor", "--url", "memory:"]));
    assert_eq!(complaints(&memory, 5), [("store".to_owned(), "error".to_owned())]);
    assert_eq!(complaints(&Run::of(program(&["doctor"])), 5), [("url".to_owned(), "error".to_owned())]);
    assert_eq!(memory.stderr, "tower-audit: a check failed\n  to do: follow the hints of the report\n");
}

#[test]
fn requests_whose_end_nobody_knows_are_told() {
    let store = private();
    let mut lost = tower_audit::AuditEvent::new(tower_audit::EventType::ADMIN_ACTION);
    lost.phase = tower_audit::Phase::Unknown;
    store.append(&[lost]);
    assert_eq!(complaints(&store.run(&["doctor"]), 0), [("ends".to_owned(), "warning".to_owned())]);
}

#[test]
fn every_format_says_the_same() {
    let store = Store::of(&samples());
    chmod(&store.path(), 0o666);
    let of = |format: &str| {
        let run = store.run(&["doctor", "--format", format]);
        assert_eq!(run.code, Some(5));
        run.stdout
    };
    let lines = of("jsonl");
    assert_eq!(lines.lines().count(), 11);
    assert!(lines.lines().all(|line| json(line)["severity"].is_string()));
    assert_eq!(of("csv").split("\r\n").count(), 13);
    let table = of("table");
    assert!(table.contains("\nERROR    file    ") && table.contains("\n                 to do: chmod o= "), "{table}");
    assert!(!table.contains('\u{1b}'));
}

#[test]
fn a_password_is_never_shown_and_complained_about_where_others_see_it() {
    let url = "postgres://audit:hunter2@127.0.0.1:1/db";
    for format in ["json", "table", "csv", "jsonl"] {
        let mut command = program(&["doctor", "--format", format]);
        command.env("AUDIT_URL", url);
        let run = Run::of(command);
        assert_eq!(run.code, Some(5));
        assert!(!run.stdout.contains("hunter2") && !run.stderr.contains("hunter2"), "{run:?}");
    }
    let bad = complaints(&Run::of(program(&["doctor", "--url", url])), 5);
    assert_eq!(bad[0], ("url".to_owned(), "warning".to_owned()));
}

#[cfg(feature = "policy-file")]
#[test]
fn a_policy_is_looked_at_as_the_app_would() {
    let store = private();
    let good = store.file("good.toml", "preset = \"ivre\"\n");
    let bad = store.file("bad.toml", "preset = \"ivre\"\nrulez = []\n");
    let run = |path: &Path| store.run(&["doctor", "--policy", path.to_str().expect("UTF-8")]);
    let found = diagnostics(&run(&good), 0);
    assert!(found.last().is_some_and(|(about, _, text)| about == "policy" && text.ends_with("4 rules")), "{found:?}");
    let found = diagnostics(&run(&bad), 5);
    assert!(found.last().is_some_and(|(.., text)| text.contains("rulez")), "{found:?}");
    assert_eq!(complaints(&run(Path::new("/nowhere")), 5), [("policy".to_owned(), "error".to_owned())]);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_its_roles_and_its_months() {
    use crate::postgres::Cluster;
    use crate::support::append;

    let database = Cluster::shared().database();
    append(&database.url(), &samples());
    let doctor = |url: String| {
        let mut command = program(&["doctor"]);
        command.env("AUDIT_URL", url);
        Run::of(command)
    };
    let run = doctor(database.url());
    // A superuser; and the writer of the open samples has ended.
    let warnings = ["role", "open"].map(|about| (about.to_owned(), "warning".to_owned()));
    assert_eq!(complaints(&run, 0), warnings);
    let found = diagnostics(&run, 0);
    let text = |about: &str| found.iter().find(|(found, ..)| found == about).map_or("", |(.., text)| text.as_str());
    assert!(text("server").contains("PostgreSQL 1"), "{found:?}");
    assert_eq!((text("tables"), text("indexes")), ("version 1", "all of them"));
    assert!(text("partitions").starts_with("ready up to 2"), "{found:?}");
    assert_eq!(text("durability"), "fsync on, synchronous_commit on");
    assert!(text("role").contains("may append, read, remove, change: a superuser"), "{found:?}");

    // An app's own role: it appends and does no more.
    let mut roles = program(&["migrate", "--roles"]);
    roles.env("AUDIT_URL", database.url());
    Run::of(roles).ok();
    let app = crate::postgres::unique("doctor_app");
    database.sql(&format!("CREATE ROLE {app} LOGIN IN ROLE {}", database.role("appender")));
    // The documented deployment is fine: each account is judged by its purpose.
    let reader = crate::postgres::unique("doctor_reader");
    let purger = crate::postgres::unique("doctor_purger");
    let nobody = crate::postgres::unique("doctor_nobody");
    database.sql(&format!("CREATE ROLE {reader} LOGIN IN ROLE {}", database.role("reader")));
    database.sql(&format!("CREATE ROLE {purger} LOGIN IN ROLE {}", database.role("purger")));
    for (account, write, read) in [
        (&app, "the next event would be accepted and durable", "may append and not read"),
        (&purger, "the next event would be accepted and durable", "may append and not read"),
        (&reader, "may read and not append", "days old"),
    ] {
        let found = diagnostics(&doctor(database.url_as(account)), 0);
        let text = |about: &str| found.iter().find(|(found, ..)| found == about).map_or("", |(.., text)| text.as_str());
        assert!(text("write").contains(write) && text("read").contains(read), "{account}: {found:?}");
    }
    // One that may do neither is of no use.
    database.sql(&format!("CREATE ROLE {nobody} LOGIN"));
    assert_ne!(doctor(database.url_as(&nobody)).code, Some(0));

    let next = database.sql("SELECT to_char(now() + interval '1 month', 'YYYY_MM')");
    database.sql(&format!("DROP TABLE audit_events_{next}"));
    let bad = complaints(&doctor(database.url()), 0);
    assert!(bad.contains(&("partitions".into(), "warning".into())), "{bad:?}");

    database.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name()));
    let bad = complaints(&doctor(database.url()), 5);
    assert!(bad.contains(&("write".into(), "error".into())), "{bad:?}");
}
