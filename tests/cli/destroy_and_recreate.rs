//! `destroy-and-recreate` and `migrate`: destroying and making stores.

#[cfg(unix)]
use crate::support::answered;
use crate::support::{Run, Store, samples};

/// Returns the only event of a recreated log, with its statement about the destroyed events.
fn only_event(store: &Store) -> tower_audit::AuditEvent {
    let events = store.query(&[]);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.event_type.as_str(), "audit.init");
    event.clone()
}

#[test]
fn without_a_terminal_it_needs_to_be_told_twice() {
    let store = Store::of(&samples());
    for name in ["destroy-and-recreate", "init"] {
        let stderr = store.run(&[name]).failed(2);
        assert!(stderr.contains("--yes") && stderr.contains("tower-audit migrate"), "{stderr}");
    }
    assert_eq!(store.count(), 3);
}

#[test]
fn a_log_that_was_made_anew_says_what_was_before() {
    let store = Store::of(&samples());
    let mut command = store.command(&["init", "--yes"]);
    command.env("USER", "operator");
    assert_eq!(Run::of(command).ok(), "");
    let event = only_event(&store);
    assert_eq!(event.actor.user_email.as_deref(), Some("operator"));
    assert_eq!(event.details["events"], 3);
    assert_eq!(event.details["first"], "2026-05-01T10:00:00.000000Z");
    assert_eq!(event.details["last"], "2026-05-03T10:00:00.000000Z");
    // That, too, is counted when it is destroyed.
    store.run(&["destroy-and-recreate", "--yes"]).ok();
    assert_eq!(only_event(&store).details["events"], 1);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_takes_the_number_of_events() {
    let store = Store::of(&samples());
    let command = store.command(&["destroy-and-recreate"]);
    for answer in ["y", "yes", "", "4", "destroy"] {
        let (screen, code) = answered(&command, answer);
        assert_eq!(code, Some(1), "{answer:?}: {screen}");
        assert!(
            screen.contains("all 3 events in the store, from 2026-05-01T10:00:00Z to 2026-05-03T10:00:00Z"),
            "{screen}"
        );
        assert_eq!(store.count(), 3, "{answer:?}");
    }
    let (screen, code) = answered(&command, "3");
    assert_eq!(code, Some(0), "{screen}");
    only_event(&store);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_nothing_is_made_before_there_is_an_answer() {
    let store = Store::none();
    assert_eq!(answered(&store.command(&["destroy-and-recreate"]), "y").1, Some(1));
    assert!(!store.path().exists());
    assert_eq!(answered(&store.command(&["destroy-and-recreate"]), "destroy").1, Some(0));
    only_event(&store);
}

#[test]
fn it_makes_a_store_only_when_it_may() {
    let store = Store::none();
    store.run(&["destroy-and-recreate"]).failed(2);
    assert!(!store.path().exists());
    store.run(&["destroy-and-recreate", "--yes"]).ok();
    only_event(&store);
}

#[test]
fn migrate_twice_leaves_every_event() {
    let store = Store::of(&samples());
    for name in ["migrate", "ensure-indexes"] {
        assert_eq!(store.run(&[name]).ok(), "");
        assert_eq!(store.query(&[]).len(), 3);
    }
}

#[test]
fn migrate_makes_a_store() {
    let store = Store::none();
    store.run(&["migrate"]).ok();
    assert_eq!(store.count(), 0);
}

#[test]
fn nobody_who_mistyped_a_path_is_advised_to_destroy() {
    let store = Store::none();
    let missing = store.run(&["query"]).failed(3);
    store.file("audit.db", "");
    let empty = store.run(&["query"]).failed(3);
    for stderr in [missing, empty] {
        assert!(stderr.contains("check the path") && stderr.contains("migrate"), "{stderr}");
        assert!(!stderr.contains("init") && !stderr.contains("destroy"), "{stderr}");
    }
}
