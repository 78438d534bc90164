//! `import`: records of other logs and of exports become events, once.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tower_audit::event::nexus_iq;
use tower_audit::{AuditEvent, ErrorCode, EventType, Phase};

use crate::hostile;
use crate::support::{Run, Store, many, program, samples};

/// The events without those that record the imports.
fn imported(store: &Store) -> Vec<AuditEvent> {
    store.query(&["--limit", "0", "--event-type", "!audit.import"])
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn export(store: &Store, words: &[&str]) -> String {
    store.run(&[&["export"], words].concat()).ok()
}

#[test]
fn an_export_comes_back_as_it_was_and_twice_is_once() {
    let mut events = hostile::events();
    events.extend(samples());
    let origin = Store::of(&events);
    let expected = origin.query(&["--limit", "0"]);
    for (name, words) in [
        ("lines", &[][..]),
        ("array", &["--format", "json"]),
        ("cloudevents", &["--profile", "cloudevents"]),
        ("ecs", &["--profile", "ecs"]),
        ("ocsf", &["--profile", "ocsf", "--format", "json"]),
        ("otlp", &["--profile", "otlp"]),
        ("iq", &["--profile", "iq"]),
    ] {
        let store = Store::none();
        let file = store.file(name, &export(&origin, words));
        for _ in 0..2 {
            let report = store.run(&["import", "--from", "export", text(&file)]).ok();
            assert!(report.starts_with(&format!("{0} events of {0} records imported\n", expected.len())), "{report}");
            assert!(imported(&store) == expected, "{name}");
        }
    }
}

#[test]
fn every_import_is_recorded_before_and_after() {
    let origin = Store::of(&samples());
    let store = Store::none();
    let file = store.file("old.jsonl", &(export(&origin, &[]) + "torn {\n"));
    let stderr = store.run(&["import", "--from", "export", text(&file)]).stderr;
    assert!(stderr.contains("old.jsonl:4: the record is no JSON object"), "{stderr}");
    let records = store.query(&["--event-type", "audit.import"]);
    assert_eq!(records.len(), 2);
    let (end, start) = (&records[0], &records[1]);
    assert_eq!((start.phase, end.phase), (Phase::Started, Phase::Completed));
    assert_eq!(end.request.started_event_id, Some(start.event_id));
    assert_eq!((&start.details["from"], &start.details["sources"]), (&json!("export"), &json!(["old.jsonl"])));
    for (name, value) in [("events", json!(3)), ("rejected", json!(1)), ("ended", json!("done"))] {
        assert_eq!(end.details[name], value, "{name}");
    }
    assert!(end.details["first"].as_str() < end.details["last"].as_str());
}

#[test]
fn csv_comes_back_as_far_as_it_is_lossless() {
    let mut plain = samples();
    plain[0].details.insert("n".into(), json!({ "deep": [1, null, "x,\"y\"\r\nz"] }));
    plain[0].actor.extra.insert("device".into(), "d1".into());
    plain[0].extra.insert("region".into(), "eu".into());
    plain[0].targets.insert(tower_audit::Target::new("order", 7).with_label("Order, of Alice"));
    plain[0].targets.insert(tower_audit::Target::new("order", 8));
    let origin = Store::of(&plain);
    let store = Store::none();
    let file = store.file("log.csv", &export(&origin, &["--format", "csv", "--bom"]));
    let report = store.run(&["import", "--from", "export", text(&file)]).ok();
    assert!(!report.contains("may have been changed"), "{report}");
    assert_eq!(imported(&store), origin.query(&["--limit", "0"]));

    // A formula has an apostrophe in CSV: it stays, and is told.
    let mut formula = samples().remove(0);
    formula.actor.user_email = Some("=1+1".into());
    let origin = Store::of(&[formula]);
    let store = Store::none();
    let file = store.file("log.csv", &export(&origin, &["--format", "csv"]));
    let report = store.run(&["import", "--from", "export", text(&file)]).ok();
    assert!(report.contains("1: user_email may have been changed by the export"), "{report}");
    assert_eq!(imported(&store)[0].actor.user_email.as_deref(), Some("'=1+1"));
}

#[test]
fn a_file_of_a_jsonl_store_is_an_export_too() {
    let store = Store::none();
    let mut events = samples();
    events[0].phase = Phase::Started;
    for profile in ["native", "ecs", "cloudevents"] {
        let path = store.folder().join(profile);
        crate::support::append(&format!("jsonl:{}?profile={profile}", path.display()), &events);
        let target = Store::none();
        target.run(&["import", "--from", "export", text(&path)]).ok();
        let mut expected = events.clone();
        expected.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
        assert_eq!(imported(&target), expected, "{profile}");
    }
}

fn iq_line(domain: &str, action: &str) -> Value {
    json!({
        "timestamp": "2018-10-20T15:45:30.249+02:00", "requestMethod": "POST", "requestUri": "/rest/user/session",
        "remoteIpAddress": "127.0.0.1", "userAgent": "Mozilla/5.0", "forwarded": "for=127.0.0.1", "username": "admin",
        "domain": domain, "type": action, "data": { "applicationPublicId": "app", "n": 1 },
    })
}

#[test]
fn every_domain_type_and_error_of_the_iq_server_is_mapped() {
    let mut lines = String::new();
    let mut expected = 0;
    for (domain, actions) in nexus_iq::DOMAINS {
        for action in *actions {
            lines += &format!("{}\n", iq_line(domain, action));
            expected += 1;
        }
    }
    for error in ErrorCode::ALL {
        let mut line = iq_line("security.user", "update");
        line["error"] = json!(error);
        lines += &format!("{line}\n");
        expected += 1;
    }
    let store = Store::none();
    let file = store.file("audit.log", &lines);
    let report = store.run(&["import", "--from", "iq", text(&file)]).ok();
    assert_eq!(report.lines().next(), Some(format!("{expected} events of {expected} records imported").as_str()));
    assert!(!report.contains("not mapped"), "{report}");
    let events = imported(&store);
    for (domain, actions) in nexus_iq::DOMAINS {
        for action in *actions {
            let of = |event: &&AuditEvent| {
                let own = &event.classification;
                own.domain.as_deref() == Some(domain) && own.action.as_deref() == Some(action) && own.error.is_none()
            };
            let event = events.iter().find(of).unwrap_or_else(|| panic!("{domain} {action}"));
            let name = if *domain == "authentication" { "auth".to_owned() } else { format!("{domain}.{action}") };
            assert_eq!(event.event_type.as_str(), name);
            assert_eq!(event.created_at.to_string(), "2018-10-20T13:45:30.249000Z");
            assert_eq!((event.resource.route.as_deref(), event.outcome), (None, None));
            assert_eq!(event.details["applicationPublicId"], "app");
            assert_eq!(event.details["imported"], json!({ "from": "iq" }));
            assert_eq!(event.request.request_uri.as_deref(), Some("/rest/user/session"));
        }
    }
    let mut errors: Vec<_> = events.iter().filter_map(|event| event.classification.error.clone()).collect();
    errors.sort_by_key(|error| ErrorCode::ALL.iter().position(|known| known == error));
    assert_eq!(errors, ErrorCode::ALL);
}

#[test]
fn names_for_nobody_are_nobody_and_come_back() {
    let lines = [
        r#"{"timestamp":"2018-10-20T13:45:30.249+00:00","requestMethod":"POST","username":"*UNKNOWN","domain":"authentication","type":"failure","error":"bad-authentication","data":{}}"#,
        r#"{"timestamp":"2018-10-20T13:45:31.000+00:00","username":"*SYSTEM","domain":"server","type":"start","data":{}}"#,
        // A name that our own log would not write here.
        r#"{"timestamp":"2018-10-20T13:45:32.000+00:00","username":"*UNKNOWN","domain":"server","type":"stop"}"#,
    ];
    let store = Store::none();
    let file = store.file("audit.log", &lines.join("\n"));
    store.run(&["import", "--from", "iq", text(&file)]).ok();
    let events = imported(&store);
    assert!(events.iter().all(|event| event.actor.user_email.is_none()));
    assert_eq!(events[0].details["imported"]["unmapped"], json!({ "username": "*UNKNOWN" }));
    let again = export(&store, &["--profile", "iq", "--event-type", "!audit.import"]);
    for (line, given) in again.lines().rev().zip(&lines[..2]) {
        let (line, given): (Value, Value) = (serde_json::from_str(line).unwrap(), serde_json::from_str(given).unwrap());
        for name in ["timestamp", "requestMethod", "username", "domain", "type", "error"] {
            assert_eq!(line.get(name), given.get(name), "{name}");
        }
    }
}

/// Two lines that are equal are two events; the same file again is none.
#[test]
fn equal_records_are_events_of_their_own_and_a_file_that_grew_adds_what_is_new() {
    let line = format!("{}\n", iq_line("authentication", "login"));
    let store = Store::none();
    let file = store.file("audit.log", &line.repeat(3));
    for _ in 0..2 {
        store.run(&["import", "--from", "iq", text(&file)]).ok();
        assert_eq!(imported(&store).len(), 3);
    }
    store.file("audit.log", &(line.repeat(3) + &format!("{}\n", iq_line("authentication", "logout"))));
    store.run(&["import", "--from", "iq", text(&file)]).ok();
    assert_eq!(imported(&store).len(), 4);
    // The ids begin with the time, as those of the log's own events do.
    let ids: Vec<_> = imported(&store).iter().map(|event| event.event_id.as_u128() >> 80).collect();
    assert!(ids.iter().all(|millis| *millis == 1_540_043_130_249), "{ids:?}");
}

#[test]
fn what_has_no_field_is_kept_and_told() {
    let mut line = iq_line("Not A Name!", "x");
    line["later"] = json!([1, 2]);
    line["userAgent"] = json!(17);
    line["data"]["imported"] = json!("own");
    line["error"] = json!("a-later-code");
    let store = Store::none();
    let file = store.file("audit.log", &line.to_string());
    let report: Value =
        serde_json::from_str(&store.run(&["import", "--from", "iq", "--format", "json", text(&file)]).ok()).unwrap();
    let notes: Vec<_> = report["notes"].as_array().unwrap().iter().map(|note| note["note"].as_str().unwrap()).collect();
    assert!(notes.iter().any(|note| note.starts_with("later has no field")), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("userAgent does not fit")), "{notes:?}");
    let event = imported(&store).remove(0);
    assert_eq!(event.event_type.as_str(), "iq.event");
    assert_eq!(event.classification.domain.as_deref(), Some("Not A Name!"));
    assert_eq!(event.classification.error.as_ref().map(ErrorCode::as_str), Some("a-later-code"));
    assert_eq!(
        event.details["imported"],
        json!({ "from": "iq", "unmapped": { "later": [1, 2], "userAgent": 17, "details.imported": "own" } })
    );
}

#[test]
fn a_torn_record_is_told_with_its_line_and_the_others_go_on() {
    let good = iq_line("authentication", "login").to_string();
    let file = format!(
        "{good}\n{{\"timestamp\":\"2018\n\n[1]\n{{\"timestamp\":\"never\"}}\n{{}}\n\u{0}\u{0}\n{good}\n{}",
        &good[..40]
    );
    let store = Store::none();
    let file = store.file("audit.log", &file);
    let run = store.run(&["import", "--from", "iq", text(&file)]);
    assert_eq!(run.code, Some(7), "{run:?}");
    for line in [
        "audit.log:2: the record is no JSON object",
        "audit.log:4: the record is no JSON object",
        "audit.log:5: the time of the record is none",
        "audit.log:6: the record has no time",
        "audit.log:9: the record is no JSON object",
        "5 records were not imported",
    ] {
        assert!(run.stderr.contains(line), "{line}: {}", run.stderr);
    }
    assert!(run.stdout.starts_with("2 events of 7 records imported\n"), "{}", run.stdout);
    assert_eq!(imported(&store).len(), 2);

    let strict = Store::none();
    let run = strict.run(&["import", "--from", "iq", "--strict", text(&file)]);
    assert_eq!(run.code, Some(7));
    assert_eq!(imported(&strict).len(), 1);
    let end = strict.query(&["--event-type", "audit.import"]).remove(0);
    assert_eq!(end.details["ended"], "stopped");
}

#[test]
fn a_dry_run_reports_the_same_and_makes_no_store() {
    let store = Store::none();
    let file = store.file("audit.log", &format!("{}\ntorn\n", iq_line("authentication", "login")));
    let mut command = program(&["import", "--from", "iq", "--dry-run", "--format", "json", text(&file)]);
    command.current_dir(store.folder());
    let run = Run::of(command);
    assert_eq!(run.code, Some(7));
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["records"], &report["events"], &report["dry_run"]), (&2.into(), &1.into(), &true.into()));
    assert_eq!(report["rejected_lines"][0]["line"], 2);
    assert!(!store.path().exists());
    store.run(&["import", "--from", "iq", "--dry-run", text(&file)]);
    assert!(!store.path().exists());
}

#[test]
fn gzip_and_standard_input_are_read_and_several_files_are() {
    let store = Store::none();
    let plain = store.file("audit.log", &format!("{}\n", iq_line("authentication", "login")));
    let old = store.file("audit.log.1", &format!("{}\n", iq_line("server", "start")));
    // Two members, as `cat a.gz b.gz` gives them.
    let gzip = std::process::Command::new("sh")
        .args(["-c", "gzip -c \"$0\" > \"$0.gz\" && gzip -c \"$0\" >> \"$0.gz\" && rm \"$0\""])
        .arg(&old)
        .status();
    assert!(gzip.expect("gzip").success());
    let report = store.run(&["import", "--from", "iq", &format!("{}.gz", text(&old)), text(&plain)]).ok();
    assert!(report.starts_with("3 events of 3 records imported\n"), "{report}");

    let mut command = store.command(&["import", "--from", "iq", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let lines = format!("{}\n", iq_line("server", "stop"));
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
    assert!(child.wait_with_output().expect("it ends").status.success());
    assert_eq!(imported(&store).len(), 4);

    // A file that is cut off within gzip: what could be read is there.
    let whole = std::fs::read(format!("{}.gz", text(&old))).expect("a file");
    let cut = store.folder().join("cut.gz");
    std::fs::write(&cut, &whole[..whole.len() - 5]).expect("a file");
    let other = Store::none();
    let run = other.run(&["import", "--from", "iq", text(&cut)]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("cut.gz cannot be read"), "{}", run.stderr);
    assert!(!imported(&other).is_empty());
}

#[test]
fn what_makes_no_sense_is_named_and_nothing_is_made() {
    let store = Store::none();
    let file = store.file("audit.log", "");
    for (words, code, named) in [
        (&["import", "--from", "splunk", "x"][..], 2, "export"),
        (&["import", "--from", "iq"], 2, "SOURCE"),
        (&["import", "x"], 2, "--from"),
        (&["import", "--from", "iq", "/nowhere/x"], 1, "cannot be read"),
        (&["import", "--from", "iq", "/"], 1, "cannot be read"),
        (&["import", "--from", "iq", "postgres://a:secret@b/c"], 2, "--from ivre"),
        (&["import", "--from", "iq", "--to", "sqlite:x", "--url", "sqlite:y", text(&file)], 2, "--to"),
    ] {
        let stderr = store.run(words).failed(code);
        assert!(stderr.contains(named) && !stderr.contains("secret"), "{words:?}: {stderr}");
    }
    assert!(!store.path().exists());
    let run = Run::of(program(&["import", "--from", "iq", text(&file)]));
    assert!(run.failed(2).contains("no store is named"));
}

/// Killed at any point, and run again: each event is there once.
#[test]
fn a_killed_import_is_run_again_for_the_rest() {
    let events = many(20_000, "2026-01-01T00:00:00Z");
    let lines: String = events.iter().map(|event| tower_audit::export::to_json(event).unwrap() + "\n").collect();
    let store = Store::none();
    let file = store.file("old.jsonl", &lines);
    let mut command = store.command(&["import", "--from", "export", text(&file)]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
    // Not before the store has something, and not after the end.
    let begun = (0..10_000_000).any(|_| store.path().exists() || child.try_wait().expect("its state").is_some());
    assert!(begun);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    store.run(&["import", "--from", "export", text(&file)]).ok();
    let mut expected = events;
    expected.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    assert!(imported(&store) == expected);
}

#[test]
fn an_interrupted_import_says_how_far_it_came() {
    let store = Store::none();
    let mut command = store.command(&["import", "--from", "iq", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let _open = child.stdin.take();
    // The store is made before the first record.
    while store.run(&["count"]).stdout.trim() != "1" {
        assert!(child.try_wait().expect("its state").is_none(), "it has ended");
    }
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill").success());
    let done = child.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("interrupted; 0 events were imported"));
    assert_eq!(store.query(&["--event-type", "audit.import"])[0].details["ended"], "interrupted");
}

/// An export has the end of a request before its beginning: no log takes the request for open afterwards.
#[test]
fn a_request_that_has_ended_is_not_ended_again_by_the_next_log() {
    use tower_audit::{AuditLog, EventId, Timestamp};

    let at = |n: i64| Timestamp::from_micros(1_780_000_000_000_000 + n * 1000).expect("a time");
    let mut events = Vec::new();
    // A thousand requests that were in progress at one time: each end is a thousand events behind its beginning.
    for n in 0..1000 {
        let mut start = AuditEvent::new(EventType::ADMIN_ACTION);
        (start.phase, start.created_at) = (Phase::Started, at(n));
        let mut end = AuditEvent::new(EventType::ADMIN_ACTION);
        (end.created_at, end.request.started_event_id) = (at(n + 1000), Some(start.event_id));
        events.extend([start, end]);
    }
    // One that began before the export does.
    events[1].request.started_event_id = Some(EventId::from_u128(7));
    let open = events[0].event_id;
    for is_newest_first in [true, false] {
        events.sort_by_key(AuditEvent::sort_key);
        if is_newest_first {
            events.reverse();
        }
        let lines: String = events.iter().map(|event| tower_audit::export::to_json(event).unwrap() + "\n").collect();
        let store = Store::none();
        let file = store.file("old.jsonl", &lines);
        store.run(&["import", "--from", "export", text(&file)]).ok();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let log = AuditLog::open(&store.url()).await.expect("the log opens");
            log.close().await.expect("it closes");
        });
        let unknown = store.query(&["--phase", "unknown", "--limit", "0"]);
        let ended: Vec<_> = unknown.iter().map(|event| event.request.started_event_id).collect();
        assert_eq!(ended, [Some(open)], "newest first: {is_newest_first}");
        assert_eq!(store.query(&["--limit", "0", "--event-type", "admin_action", "--phase", "!unknown"]).len(), 2000);
    }
}

#[test]
fn events_beyond_the_limits_are_cut_and_told() {
    let mut line = iq_line("security.user", "update");
    line["userAgent"] = json!("x".repeat(10_000));
    let store = Store::none();
    let file = store.file("audit.log", &line.to_string());
    let report = store.run(&["import", "--from", "iq", text(&file)]).ok();
    assert!(report.contains("1: the event is larger than its limits, and was cut"), "{report}");
    assert!(imported(&store)[0].request.user_agent.as_deref().unwrap().contains("[cut: 10000 bytes"));
}

#[test]
fn an_app_that_writes_meanwhile_is_not_disturbed() {
    use tower_audit::store::{self, OpenOptions, StoreErrorKind};

    let store = Store::of(&samples());
    let file = store.file("audit.log", &format!("{}\n", iq_line("authentication", "login")).repeat(2000));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let written = runtime.block_on(async {
        let app = store::open(&store.url(), OpenOptions::default()).await.expect("the store opens");
        let mut command = store.command(&["import", "--from", "iq", text(&file)]);
        let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
        let mut written = 0;
        while child.try_wait().expect("its state").is_none() {
            let event = [AuditEvent::new(EventType::UPLOAD)];
            // A log tries again what fails for now.
            match app.append(&event).await {
                Ok(()) => written += 1,
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Transient, "{error}"),
            }
        }
        app.close().await.expect("it closes");
        written
    });
    assert!(written > 0);
    let uploads = |events: &[AuditEvent]| events.iter().filter(|event| event.event_type == EventType::UPLOAD).count();
    let events = imported(&store);
    assert_eq!(events.iter().filter(|event| event.event_type == EventType::AUTH).count(), 2000);
    // What was said to fail may be there all the same.
    assert!(uploads(&events) >= written + uploads(&samples()));
}
