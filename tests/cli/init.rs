//! `init` and `ensure-indexes`: what makes stores, and what destroys them.

use crate::support::{Store, samples};

#[test]
fn init_without_a_terminal_needs_to_be_told_twice() {
    let store = Store::of(&samples());
    assert!(store.run(&["init"]).failed(2).contains("--yes"));
    assert_eq!(store.count(), 3);
    assert_eq!(store.run(&["init", "--yes"]).ok(), "");
    assert_eq!(store.count(), 0);
}

#[test]
fn init_makes_a_store_only_when_it_may() {
    let store = Store::none();
    store.run(&["init"]).failed(2);
    assert!(!store.path().exists());
    store.run(&["init", "--yes"]).ok();
    assert_eq!(store.count(), 0);
}

#[test]
fn ensure_indexes_twice_leaves_every_event() {
    let store = Store::of(&samples());
    for _ in 0..2 {
        assert_eq!(store.run(&["ensure-indexes"]).ok(), "");
        assert_eq!(store.query(&[]).len(), 3);
    }
}

#[test]
fn ensure_indexes_makes_a_store() {
    let store = Store::none();
    store.run(&["ensure-indexes"]).ok();
    assert_eq!(store.count(), 0);
}
