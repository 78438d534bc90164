//! `purge` deletes exactly the old events and records itself.

#[cfg(unix)]
use std::process::Stdio;

#[cfg(unix)]
use crate::support::answered;
use crate::support::{Run, Store, at, many, samples};
use tower_audit::{AuditEvent, EventType, Phase};

fn old_and_new() -> (Store, AuditEvent) {
    let new = AuditEvent::new(EventType::AUTH);
    let mut events = many(2500, "2020-01-01T00:00:00Z");
    events.push(new.clone());
    (Store::of(&events), new)
}

#[test]
fn a_dry_run_says_what_the_real_run_then_does() {
    let (store, new) = old_and_new();
    let meaning = "tower-audit: 180 days: 2500 of 2501 events, from 2020-01-01T00:00:00Z to 2020-01-01T00:41:39Z\n";
    let words = ["purge", "--older-than", "180d", "--dry-run"];
    assert_eq!(store.run(&words).ok_saying(), ("2500\n".into(), meaning.into()));
    assert_eq!(store.count(), 2501);

    // As in a crontab: without a terminal, without a question.
    assert_eq!(store.run(&words[..3]).ok_saying(), ("2500\n".into(), meaning.into()));
    let left = store.query(&[]);
    assert_eq!(left.len(), 3);
    assert_eq!(left[2], new);
    let meaning = "tower-audit: 180 days: 0 of 3 events\n";
    assert_eq!(store.run(&words).ok_saying(), ("0\n".into(), meaning.into()));
    assert_eq!(store.run(&["purge", "--older-than", "180d", "--quiet"]).ok(), "");
}

#[test]
fn a_purge_is_recorded() {
    let (store, _) = old_and_new();
    let before = tower_audit::Timestamp::now();
    let mut command = store.command(&["purge", "--older-than", "15552000", "--yes"]);
    command.env("USER", "operator");
    assert_eq!(Run::of(command).ok_saying().0, "2500\n");

    let records = store.query(&["--event-type", "audit.purge"]);
    let [record, started] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((started.phase, record.phase), (Phase::Started, Phase::Completed));
    assert_eq!(record.request.started_event_id, Some(started.event_id));
    for event in [record, started] {
        assert_eq!(event.actor.user_email.as_deref(), Some("operator"));
        assert_eq!(event.details["older_than"], "15552000");
        assert_eq!(event.details["events"], 2500);
        assert_eq!(event.details["first"], "2020-01-01T00:00:00.000000Z");
        assert_eq!(event.details["last"], "2020-01-01T00:41:39.000000Z");
        assert_eq!(event.details["cutoff"], started.details["cutoff"]);
    }
    assert_eq!((&record.details["deleted"], &record.details["ended"]), (&2500.into(), &"done".into()));
    assert!(started.created_at >= before);
    let cutoff: tower_audit::Timestamp = record.details["cutoff"].as_str().expect("a text").parse().expect("a time");
    let age_micros = record.created_at.as_micros() - cutoff.as_micros();
    assert!((15_552_000_000_000..15_552_000_000_000 + 300_000_000).contains(&age_micros), "{age_micros}");
}

#[test]
fn without_a_user_name_the_account_is_named_by_its_number() {
    let store = Store::of(&[at(EventType::UPLOAD, "2020-01-01T00:00:00Z")]);
    assert_eq!(store.run(&["purge", "--older-than", "1d"]).ok_saying().0, "1\n");
    let event = &store.query(&[])[0];
    let actor = event.actor.user_email.as_deref().expect("an actor");
    assert!(actor.strip_prefix("uid ").is_some_and(|uid| uid.parse::<u32>().is_ok()), "{actor}");
}

#[test]
fn bad_durations_remove_nothing() {
    let store = Store::of(&[at(EventType::UPLOAD, "2020-01-01T00:00:00Z")]);
    for (duration, why) in [
        ("0", "is zero"),
        ("0d", "is zero"),
        ("-5", "negative"),
        ("-5d", "negative"),
        ("3000y", "beyond the year 0001"),
        ("999999999999y", "too large"),
        ("1.5d", "is no duration"),
        ("7D", "is no duration"),
        ("", "is no duration"),
        ("all", "is no duration"),
        ("2026-05-25", "is no duration"),
    ] {
        for words in [&["purge", "--older-than", duration][..], &["purge", "--dry-run", "--older-than", duration]] {
            let stderr = store.run(words).failed(2);
            assert!(stderr.contains("--older-than") && stderr.contains(why), "{duration:?}: {stderr}");
            assert!(stderr.contains(&format!("{duration:?}")), "as it was typed: {stderr}");
        }
    }
    assert!(store.run(&["purge"]).failed(2).contains("--older-than"));
    assert_eq!(store.query(&[]).len(), 1);
}

/// A signal at any moment: the deleted events are recorded.
#[cfg(unix)]
#[test]
fn a_purge_that_is_told_to_end_records_what_is_gone() {
    const EVENTS: u64 = 20_000;
    let store = Store::of(&many(20_000, "2020-01-01T00:00:00Z"));
    let mut command = store.command(&["purge", "--older-than", "1d"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let has_begun = (0..10_000).any(|_| store.count() < EVENTS);
    assert!(has_begun, "nothing was removed");
    // It may have ended by now; it is not waited for yet, so that its id is still its own.
    let _ = std::process::Command::new("kill").arg(child.id().to_string()).status();
    child.wait_with_output().expect("the program ends");

    let records = store.query(&["--event-type", "audit.purge"]);
    let recorded: u64 = records.iter().filter_map(|record| record.details.get("deleted")?.as_u64()).sum();
    assert_eq!(recorded, EVENTS - (store.count() - records.len() as u64));

    store.run(&["purge", "--older-than", "1d", "--quiet"]).ok();
    assert_eq!(store.run(&["count", "--event-type", "upload"]).ok(), "0\n");
}

/// A killed purge has left its `started` event, as it can write none afterwards.
#[cfg(unix)]
#[test]
fn a_purge_that_is_killed_half_way_leaves_its_trace() {
    const EVENTS: u64 = 20_000;
    let store = Store::of(&many(20_000, "2020-01-01T00:00:00Z"));
    let mut command = store.command(&["purge", "--older-than", "1d"]);
    command.env("USER", "operator");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let has_begun = (0..10_000).any(|_| store.run(&["count", "--event-type", "upload"]).ok() != "20000\n");
    assert!(has_begun, "nothing was removed");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");

    let records = store.query(&["--event-type", "audit.purge"]);
    let started = records.last().expect("its trace");
    assert_eq!((started.phase, started.actor.user_email.as_deref()), (Phase::Started, Some("operator")));
    assert_eq!(started.details["events"], EVENTS);
    if records.len() == 1 {
        // The next log that opens the store closes it.
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let log = tower_audit::AuditLog::open(&store.url()).await.expect("the log opens");
            log.close().await.expect("it closes");
        });
        let records = store.query(&["--event-type", "audit.purge"]);
        assert_eq!((records.len(), records[0].phase), (2, Phase::Unknown), "{records:?}");
        assert_eq!(records[0].request.started_event_id, Some(started.event_id));
    }
}

#[test]
fn what_is_easily_mistyped_needs_to_be_confirmed() {
    let store = Store::of(&samples());
    for (duration, means) in [("180", "180 seconds (3 minutes)"), ("6m", "6 minutes"), ("31536000", "(365 days)")] {
        let stderr = store.run(&["purge", "--older-than", duration]).failed(2);
        assert!(stderr.contains(means) && stderr.contains("--yes"), "{duration}: {stderr}");
        // Nothing goes in a dry run, which needs no confirmation.
        let (_, meaning) = store.run(&["purge", "--older-than", duration, "--dry-run"]).ok_saying();
        assert!(meaning.contains(means), "{meaning}");
    }
    assert_eq!(store.count(), 3);
    assert_eq!(store.run(&["purge", "--older-than", "180", "--yes"]).ok_saying().0, "3\n");
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_asks() {
    let store = Store::of(&samples());
    for words in [&["purge", "--older-than", "10s"][..], &["purge", "--older-than", "10s", "--quiet"]] {
        for answer in ["", "n", "3"] {
            let (screen, code) = answered(&store.command(words), answer);
            let meaning = "10 seconds: 3 of 3 events, from 2026-05-01T10:00:00Z to 2026-05-03T10:00:00Z";
            assert!(screen.contains(meaning) && screen.contains("declined; nothing was changed"), "{screen}");
            assert_eq!((code, store.count()), (Some(1), 3), "{answer}");
        }
    }
    let (screen, code) = answered(&store.command(&["purge", "--older-than", "10s"]), "y");
    assert!(code == Some(0) && screen.ends_with("3\r\n"), "{screen}");
    // With --yes, and where there is nothing to remove, nobody is asked.
    for words in [&["purge", "--older-than", "1s", "--yes"][..], &["purge", "--older-than", "9y"]] {
        let (screen, code) = answered(&store.command(words), "n");
        assert!(code == Some(0) && !screen.contains("[y/N]"), "{screen}");
    }
}

/// An account with the right to purge only: it counts, announces, deletes and records, and reads no event.
#[cfg(feature = "postgres")]
#[test]
fn an_account_that_may_only_purge_can_do_all_of_it() {
    use crate::postgres::{Cluster, unique};
    use crate::support::{append, json, program};

    let database = Cluster::shared().database();
    append(&database.url(), &samples());
    let run = |url: String, words: &[&str]| {
        let mut command = program(words);
        command.env("AUDIT_URL", url);
        Run::of(command)
    };
    run(database.url(), &["migrate", "--roles"]).ok();
    let purger = unique("purger");
    database.sql(&format!("CREATE ROLE {purger} LOGIN IN ROLE {}", database.role("purger")));
    let (count, meaning) = run(database.url_as(&purger), &["purge", "--older-than", "1d"]).ok_saying();
    let expected = "tower-audit: 1 day: 3 of 3 events, from 2026-05-01T10:00:00Z to 2026-05-03T10:00:00Z\n";
    assert_eq!((count.as_str(), meaning.as_str()), ("3\n", expected));
    let events = json(&run(database.url(), &["query", "--all"]).ok());
    assert_eq!((&events[0]["phase"], &events[1]["phase"]), (&"completed".into(), &"started".into()), "{events}");
    assert_eq!((&events[0]["details"]["deleted"], &events[2]), (&3.into(), &serde_json::Value::Null));
    assert_eq!(run(database.url_as(&purger), &["query"]).code, Some(3));
}
