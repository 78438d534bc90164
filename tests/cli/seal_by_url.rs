//! The seal by the URL of each store that is no SQLite file: the same commands, and the same answers.

use crate::support::{Run, append, json, many, program};

/// Seals, proves, purges and verifies a log from outside.
fn the_seal_works_on(url: &str) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let run = |words: &[&str]| {
        let mut command = program(words);
        command.env("AUDIT_URL", url);
        Run::of(command)
    };
    append(url, &many(300, "2026-01-01T00:00:00Z"));
    let (key, retention_key) = (file("seal.key"), file("retention.key"));
    let keygen = |words: &[&str]| Run::of(program(&[&["keygen"], words].concat())).ok().trim().to_owned();
    let vkey = keygen(&[&key, "--origin", "example.com/audit"]);
    let retention = keygen(&[&retention_key, "--retention", "--origin", "example.com/audit"]);
    assert!(run(&["checkpoint"]).failed(1).contains("seal --key FILE"), "before the first");
    assert_eq!(run(&["seal", "--once", "--key", &key]).ok(), "300\n");
    assert_eq!(run(&["seal", "--once", "--key", &key]).ok(), "300\n", "nothing is sealed twice");
    let kept = file("kept");
    std::fs::write(&kept, run(&["checkpoint"]).ok()).expect("it is kept");

    let events = json(&run(&["query", "--limit", "1", "--skip", "7", "--format", "json"]).ok());
    let id = events[0]["event_id"].as_str().expect("an id").to_owned();
    let (event, proof) = (file("event.json"), file("event.tlog-proof"));
    std::fs::write(&event, run(&["get", &id]).ok()).expect("it is written");
    std::fs::write(&proof, run(&["proof", &id]).ok()).expect("it is written");
    let proven = Run::of(program(&["verify-proof", &event, &proof, "--vkey", &vkey])).ok();
    assert_eq!(proven, format!("event {id} is leaf 292 of 300 in example.com/audit\n"));

    let before = "2026-01-01T00:01:40Z";
    assert!(run(&["purge", "--before", before, "--yes"]).failed(2).contains("--retention-key FILE"));
    run(&["purge", "--before", before, "--yes", "--retention-key", &retention_key, "--quiet"]).ok();
    run(&["seal", "--once", "--key", &key]).ok();
    let words = ["verify", "--vkey", &vkey, "--retention-vkey", &retention, "--against", &kept];
    let verified = run(&words).ok();
    assert!(verified.contains("202 events are intact, 100 purged"), "{verified}");
    let report = json(&run(&["doctor", "--format", "json"]).stdout);
    let found = report["diagnostics"].as_array().expect("diagnostics").iter().find(|found| found["subject"] == "seal");
    let message = found.expect("a line about the seal")["message"].as_str().expect("text").to_owned();
    assert!(message.starts_with("302 leaves; the newest checkpoint is of "), "{message}");
}

#[cfg(all(feature = "jsonl", unix))]
#[test]
fn the_seal_of_json_lines() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    the_seal_works_on(&format!("jsonl:{}?rotate_bytes=64K", folder.path().join("audit.jsonl").display()));
}

#[cfg(feature = "mysql")]
#[test]
fn the_seal_of_mariadb() {
    the_seal_works_on(&crate::mariadb::Server::shared().database().url());
}
