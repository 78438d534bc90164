//! The program on a tee.

use tower_audit::{AuditEvent, EventType};

use crate::support::{Store, append, json, program};

/// A tee of two files; the second is read.
fn tee(store: &Store) -> String {
    let folder = store.folder().display();
    let file = store.file(
        "tee.toml",
        &format!(
            "read = 'database'\n[[members]]\nname = 'lines'\nurl = 'jsonl:{folder}/audit.jsonl'\n[[members]]\nname = \
             'database'\nurl = 'sqlite:{folder}/audit.db'\n"
        ),
    );
    format!("tee:{}", file.display())
}

fn old(count: usize) -> Vec<AuditEvent> {
    let event = || {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.created_at = "2020-01-01T00:00:00Z".parse().expect("a time");
        event
    };
    (0..count).map(|_| event()).collect()
}

fn run(url: &str, words: &[&str]) -> crate::support::Run {
    let mut command = program(words);
    command.env("AUDIT_URL", url);
    crate::support::Run::of(command)
}

#[test]
fn it_is_read_and_purged_as_a_whole() {
    let store = Store::none();
    let (tee, lines) = (tee(&store), format!("jsonl:{}/audit.jsonl", store.folder().display()));
    append(&tee, &old(7));
    append(&tee, &[AuditEvent::new(EventType::AUTH)]);
    for url in [&tee, &lines, &store.url()] {
        assert_eq!(run(url, &["count"]).ok().trim(), "8", "{url}");
    }
    assert_eq!(run(&tee, &["purge", "--older-than", "365d", "--quiet"]).code, Some(0));
    // The purge is an event of each member, in both its phases.
    for url in [&tee, &lines, &store.url()] {
        let types = ["upload", "auth", "audit.purge"].map(|name| run(url, &["count", "--event-type", name]).ok());
        assert_eq!(types.map(|count| count.trim().to_owned()), ["0", "1", "2"], "{url}");
    }
}

#[test]
fn doctor_lists_each_member() {
    let store = Store::none();
    let tee = tee(&store);
    append(&tee, &[AuditEvent::new(EventType::AUTH)]);
    let run = run(&tee, &["doctor", "--format", "json"]);
    let report = json(&run.stdout);
    let messages: Vec<&str> =
        report["diagnostics"].as_array().expect("a list").iter().filter_map(|one| one["message"].as_str()).collect();
    for text in [
        "tee: store, named by AUDIT_URL",
        "lines (jsonl): counted for the quorum",
        "database (sqlite): counted for the quorum, read",
        "the next event would be accepted and durable",
    ] {
        assert!(messages.contains(&text), "{text}: {messages:#?}");
    }
    assert!(
        messages.iter().any(|text| text.starts_with("database: ") && text.contains("; SQLite 3.")),
        "{messages:#?}"
    );
}

#[test]
fn a_fault_of_the_file_is_named_with_its_line() {
    let store = Store::none();
    let file = store.file("tee.yaml", "members:\n- name: a\n  url: 'sqlite:x.db'\n  requird: true\n");
    let run = run(&format!("tee:{}", file.display()), &["count"]);
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("tee.yaml, line 4: \"requird\" is unknown"), "{}", run.stderr);
    // A password in the URL of a member is not shown.
    let file = store.file("tee.yaml", "members:\n- name: a\n  url: 'postgres://u:hunter2@127.0.0.1:1/x?bad=1'\n");
    let run = crate::tee::run(&format!("tee:{}", file.display()), &["count"]);
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("the member `a`") && !run.stderr.contains("hunter2"), "{}", run.stderr);
}
