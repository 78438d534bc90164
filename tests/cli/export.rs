//! `export`: every event, to standard output or into a file that is whole or absent.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tower_audit::{AuditEvent, EventType};

use crate::support::{Run, Store, at, many, samples};

#[test]
fn it_writes_all_that_passes_newest_first() {
    let events = many(1201, "2026-01-01T00:00:00Z");
    let store = Store::of(&events);
    let newest_first: Vec<_> = events.into_iter().rev().collect();
    let lines = store.run(&["export"]).ok();
    let read: Vec<AuditEvent> = lines.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(read, newest_first);
    let json = store.run(&["export", "--format", "json", "--until", "2026-01-01T00:10:00Z"]).ok();
    assert_eq!(serde_json::from_str::<Vec<AuditEvent>>(&json).expect("events"), newest_first[601..]);
    let csv = store.run(&["export", "--format", "csv"]).ok();
    assert_eq!(csv, store.run(&["query", "--limit", "0", "--format", "csv"]).ok());
    let none = |format| store.run(&["export", "--event-type", "auth", "--format", format]).ok();
    assert_eq!((none("jsonl"), none("json"), none("csv").lines().count()), (String::new(), "[]\n".into(), 1));
    assert!(store.run(&["export", "--format", "table"]).failed(2).contains("jsonl"));
}

#[test]
fn a_file_is_the_same_and_its_owner_s_alone() {
    let store = Store::of(&samples());
    let file = store.folder().join("out.csv");
    let path = file.to_str().expect("UTF-8");
    for words in
        [&["export", "--format", "csv", "--output", path][..], &["export", "-o", path, "--force", "--format=csv"]]
    {
        assert_eq!(store.run(words).ok(), "3\n");
        assert_eq!(fs::read_to_string(&file).expect("the file"), store.run(&["export", "--format", "csv"]).ok());
        assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
        assert_eq!(beside(&store), ["audit.db", "out.csv"]);
    }
}

#[test]
fn nothing_is_replaced_unless_told_to() {
    let store = Store::of(&samples());
    let file = store.file("out", "my tax return");
    let path = file.to_str().expect("UTF-8");
    assert!(store.run(&["export", "-o", path]).failed(2).contains("--force"));
    // Neither a folder nor a device, also with `--force`.
    for other in [store.folder().to_str().expect("UTF-8"), "/dev/null"] {
        assert!(store.run(&["export", "--force", "-o", other]).failed(2).contains("no regular file"));
    }
    assert!(store.run(&["export", "--force"]).failed(2).contains("--output"));
    // A failure leaves the file as it was, and no other file.
    store.run(&["export", "-o", path, "--force", "--url", "sqlite:/nowhere/audit.db"]).failed(3);
    store.run(&["export", "-o", "/nowhere/out"]).failed(1);
    assert_eq!(fs::read_to_string(&file).expect("the file"), "my tax return");
    assert_eq!(beside(&store), ["audit.db", "out"]);
}

/// A file that cannot grow: the one that was there stays.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let store = Store::of(&many(2000, "2026-01-01T00:00:00Z"));
    let file = store.file("out", "yesterday's");
    let mut command = std::process::Command::new("sh");
    // SIGXFSZ is ignored, so that the limit is an error, as a full disk is.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" export --force -o \"$1\""])
        .arg(env!("CARGO_BIN_EXE_tower-audit"))
        .arg(&file)
        .env("AUDIT_URL", store.url());
    let stderr = Run::of(command).failed(1);
    assert!(stderr.contains("cannot be written, and was left as it is\n  because: "), "{stderr}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "yesterday's");
    assert_eq!(beside(&store), ["audit.db", "out"]);
}

#[test]
fn an_export_that_is_told_to_end_leaves_nothing() {
    let store = Store::of(&many(60_000, "2026-01-01T00:00:00Z"));
    let file = store.folder().join("out");
    let mut command = store.command(&["export", "-o", file.to_str().expect("UTF-8")]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let has_begun = (0..1_000_000).any(|_| beside(&store).iter().any(|name| name.starts_with(".tower-audit-")));
    assert!(has_begun, "there is no file on its way");
    let _ = std::process::Command::new("kill").arg(child.id().to_string()).status();
    let done = child.wait_with_output().expect("the program ends");
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("tower-audit: interrupted; the file was left as it is\n"), "{stderr}");
    assert_eq!(beside(&store), ["audit.db"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let store = Store::of(&many(5000, "2026-01-01T00:00:00Z"));
    for format in ["json", "jsonl", "csv"] {
        let mut command = store.command(&["export", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        child.stdout.take().expect("a pipe").read_exact(&mut [0; 100]).expect("some bytes");
        let done = child.wait_with_output().expect("the program ends");
        assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""), "{format}");
    }
}

#[test]
fn patterns_values_and_negations_choose() {
    let mut events = samples();
    events.push(at(EventType::AUTH, "2026-05-04T10:00:00Z"));
    let store = Store::of(&events);
    let count = |words: &[&str]| store.run(&[&["export"], words].concat()).ok().lines().count();
    for (words, expected) in [
        (&["--user-email", "*@example.org"][..], 2),
        (&["--user-email", "!*"], 2),
        (&["--user-email", "alice@example.org", "--user-email", "bob*"], 2),
        (&["--route", "/auth/*", "--route", "/scans"], 2),
        (&["--outcome", "4xx"], 1),
        (&["--outcome", "none", "--outcome", "200"], 3),
        (&["--event-type", "!upload", "--event-type", "!auth"], 2),
        (&["--remote-addr", "192.0.2.*"], 1),
        (&["--phase", "!completed"], 1),
    ] {
        assert_eq!(count(words), expected, "{words:?}");
    }
}

/// Lists the folder of the store, without SQLite's own files.
fn beside(store: &Store) -> Vec<String> {
    let entries = fs::read_dir(store.folder()).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|name| !name.starts_with("audit.db-")).collect();
    names.sort();
    names
}

#[test]
fn the_log_itself_is_never_replaced() {
    let store = Store::of(&samples());
    let folder = store.folder().to_owned();
    // An open connection keeps SQLite's other files in place.
    let mut tail = store.command(&["tail", "-f"]).stdout(Stdio::null()).spawn().expect("the program starts");
    let wal = store.folder().join("audit.db-wal");
    let until = Instant::now() + Duration::from_secs(20);
    while !wal.exists() {
        assert!(Instant::now() < until, "no write-ahead log");
        thread::sleep(Duration::from_millis(5));
    }
    let names = ["audit.db", "audit.db-wal", "audit.db-shm", "sub/../audit.db", "link", "twin"];
    std::os::unix::fs::symlink(store.path(), folder.join("link")).expect("a link");
    fs::hard_link(store.path(), folder.join("twin")).expect("a link");
    fs::create_dir(folder.join("sub")).expect("a folder");
    std::os::unix::fs::symlink(store.path(), folder.join("sub/other.db")).expect("a link");
    for name in names {
        let path = folder.join(name);
        for url in [store.url(), format!("sqlite:{}", folder.join("sub/other.db").display())] {
            let words = ["export", "--force", "-o", path.to_str().expect("UTF-8"), "--url", &url];
            let stderr = store.run(&words).failed(2);
            assert!(stderr.contains("is a file of the log itself"), "{name}: {stderr}");
        }
    }
    tail.kill().expect("it is killed");
    tail.wait().expect("it ends");
    fs::remove_file(folder.join("twin")).expect("the link");
    assert_eq!(store.count(), 3);
}

#[test]
fn a_dash_is_standard_output() {
    let store = Store::of(&samples());
    let mut command = store.command(&["export", "-o", "-"]);
    command.current_dir(store.folder());
    assert_eq!(Run::of(command).ok(), store.run(&["export"]).ok());
    assert_eq!(beside(&store), ["audit.db"]);
}

#[test]
fn a_profile_is_the_shape_of_another_system() {
    let store = Store::of(&samples());
    let ids: Vec<String> = store.query(&["--limit", "0"]).iter().map(|event| event.event_id.to_string()).collect();
    for (profile, pointer) in [
        ("cloudevents", "/id"),
        ("ecs", "/event/id"),
        ("ocsf", "/metadata/uid"),
        ("otlp", "/resourceLogs/0/scopeLogs/0/logRecords/0/attributes/0/value/stringValue"),
        ("iq", "/data/event/event_id"),
    ] {
        let lines = store.run(&["export", "--profile", profile, "--source", "shop"]).ok();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let found: Vec<_> = lines.lines().map(|line| read(line).pointer(pointer).expect("an id").clone()).collect();
        assert_eq!(found, ids, "{profile}");
        let array = read(&store.run(&["export", "--profile", profile, "--source", "shop", "--format", "json"]).ok());
        assert!(lines.lines().map(read).eq(array.as_array().expect("an array").iter().cloned()), "{profile}");
        assert!(store.run(&["export", "--profile", profile, "--format", "csv"]).failed(2).contains("no CSV"));
    }
    let lines = store.run(&["export", "--profile", "cef", "--source", "shop"]).ok();
    assert_eq!(lines.lines().count(), ids.len());
    assert!(lines.lines().zip(&ids).all(|(line, id)| {
        line.starts_with("CEF:0|tower-audit|shop|") && line.contains(&format!(" externalId={id} "))
    }));
    assert!(store.run(&["export", "--profile", "cef", "--format", "json"]).failed(2).contains("lines of text"));
    for profile in ["iq", "cloudevents", "ecs", "ocsf", "otlp", "cef"] {
        let all = store.run(&["export", "--profile", profile, "--source", "shop", "--folded"]).ok();
        let newest = store.run(&["query", "--profile", profile, "--source", "shop", "-n", "2"]).ok();
        assert!(newest.lines().eq(all.lines().take(2)) && newest.lines().count() == 2, "{profile}: {newest}");
    }
    let array = store.run(&["query", "--profile", "ecs", "--format", "json"]).ok();
    let array: serde_json::Value = serde_json::from_str(&array).expect("JSON");
    assert_eq!(array.as_array().expect("an array").len(), ids.len());
    for (options, problem) in [
        (["--format", "table"], "no table"),
        (["--format", "csv"], "no CSV"),
        (["--indent", "2"], "--indent"),
        (["--source", "two words"], "URI reference"),
    ] {
        let refused = store.run(&[&["query", "--profile", "ecs"], &options[..]].concat()).failed(2);
        assert!(refused.contains(problem), "{refused}");
    }
    assert!(store.run(&["export", "--profile", "splunk"]).failed(2).contains("cloudevents"));
    assert!(store.run(&["export", "--profile", "ecs", "--source", "two words"]).failed(2).contains("URI reference"));
    assert!(store.run(&["export", "--source", "shop"]).failed(2).contains("--profile"));
}
