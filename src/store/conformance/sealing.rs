//! The seal: leaves come back, no event is skipped or given twice, and of two sealers one wins.

use std::collections::HashMap;

use super::Harness;
use super::assertions::{append, keeper, removal};
use super::fixtures::{at, event, event_at, events, shuffled};
use crate::event::{AuditEvent, EventId};
use crate::query::Cursor;
use crate::store::{AuditStore, SealBatch, Sealing, StoredCheckpoint, StoredLeaf, StoredNode, StoredSeed};

pub(super) fn sealing(store: &dyn AuditStore) -> &dyn Sealing {
    store.parts().sealing.expect("the check said that it needs sealing")
}

/// A batch with values that only this check knows.
fn batch(after: Option<u64>, events: &[AuditEvent], position: &str) -> SealBatch {
    let first = after.unwrap_or(0);
    let leaves = events.iter().zip(first..).map(|(event, index)| StoredLeaf {
        index,
        event_id: event.event_id,
        seed: StoredSeed::Whole([index as u8 ^ 0x55; 32]),
        hash: [index as u8; 32],
    });
    let size = first + events.len() as u64;
    SealBatch {
        after,
        leaves: leaves.collect(),
        nodes: (first / 256..size / 256).map(|index| StoredNode { level: 1, index, hash: [7; 32] }).collect(),
        checkpoint: StoredCheckpoint {
            size,
            note: format!("origin\n{size}\n\n— note\n"),
            sealed_at: at(size as i64),
            position: position.to_owned(),
        },
    }
}

/// Seals everything as a sealer does, and returns the sealed events in their order. As a sealer, it looks once more from a position that has
/// moved: on PostgreSQL, the end of a scan leaves what was committed behind it to the next look.
pub(super) async fn seal_all(sealing: &dyn Sealing, at_most: usize) -> Vec<AuditEvent> {
    let mut sealed = Vec::new();
    let mut newest = sealing.newest_checkpoint().await.expect("the newest checkpoint");
    let mut position = newest.as_ref().map_or(String::new(), |newest| newest.position.clone());
    let mut empty = 0;
    loop {
        let found = sealing.unsealed(&position, at_most).await.expect("unsealed events");
        if found.events.is_empty() {
            empty += 1;
            if (!found.has_more && found.position == position) || empty > 1000 {
                return sealed;
            }
            position = found.position;
            continue;
        }
        let batch = batch(newest.map(|newest| newest.size), &found.events, &found.position);
        assert!(sealing.seal(&batch).await.expect("a batch is stored"), "no other sealer is there");
        sealed.extend(found.events);
        newest = Some(batch.checkpoint);
        position = found.position;
    }
}

fn counted(sealed: &[AuditEvent]) -> HashMap<EventId, usize> {
    sealed.iter().fold(HashMap::new(), |mut counts, event| {
        *counts.entry(event.event_id).or_default() += 1;
        counts
    })
}

fn assert_each_once(sealed: &[AuditEvent], expected: &[AuditEvent], what: &str) {
    let counts = counted(sealed);
    for event in expected {
        assert_eq!(counts.get(&event.event_id), Some(&1), "{what}: {}", event.event_id);
    }
    assert_eq!(sealed.len(), expected.len(), "{what}: the number of leaves");
}

pub(super) async fn a_sealed_batch_comes_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    assert!(matches!(sealing.newest_checkpoint().await, Ok(None)), "before the first");
    assert!(matches!(sealing.leaves(0, 10).await, Ok(leaves) if leaves.is_empty()), "before the first");
    let all = events(0..600);
    append(&*fresh.store, &all).await;
    let (first, second) = (batch(None, &all[..300], "1"), batch(Some(300), &all[300..], "2"));
    for batch in [&first, &second] {
        assert!(sealing.seal(batch).await.expect("a batch is stored"));
    }
    let expected: Vec<_> = [&first, &second].iter().flat_map(|batch| batch.leaves.clone()).collect();
    let leaves = sealing.leaves(0, 1000).await.expect("leaves");
    assert!(leaves == expected, "the leaves are not those that were stored: {leaves:?}");
    assert_eq!(sealing.leaves(295, 10).await.expect("leaves"), expected[295..305], "some of the leaves");
    assert_eq!(sealing.leaf_of(all[417].event_id).await.expect("a leaf"), Some(expected[417].clone()), "one leaf");
    assert_eq!(sealing.leaf_of(event(9999).event_id).await.expect("no leaf"), None, "of an unknown event");
    let nodes: Vec<_> = [&first, &second].iter().flat_map(|batch| batch.nodes.clone()).collect();
    assert_eq!(sealing.nodes(1, 0, 10).await.expect("nodes"), nodes, "the nodes");
    assert_eq!(sealing.nodes(1, 1, 10).await.expect("nodes"), nodes[1..], "some of the nodes");
    assert_eq!(sealing.newest_checkpoint().await.expect("a checkpoint"), Some(second.checkpoint.clone()));
    let checkpoints = sealing.checkpoints(0, 10).await.expect("checkpoints");
    assert_eq!(checkpoints, [first.checkpoint, second.checkpoint.clone()], "the checkpoints");
    assert_eq!(sealing.checkpoints(300, 10).await.expect("checkpoints"), [second.checkpoint], "those after one");
    let ids: Vec<_> = [5, 599, 9999].map(|number| event(number).event_id).to_vec();
    let mut found = sealing.events(&ids).await.expect("events by their ids");
    found.sort_by_key(|event| event.event_id);
    assert_eq!(found, [event(5), event(599)], "events by their ids");
    let mut indexes = sealing.leaf_indexes(&ids).await.expect("the numbers of leaves");
    indexes.sort_unstable();
    let number = |id| expected.iter().find(|leaf| leaf.event_id == id).map(|leaf| (id, leaf.index));
    assert_eq!(indexes, [number(ids[0]), number(ids[1])].map(|found| found.expect("it is sealed")), "leaves by ids");
}

pub(super) async fn a_removal_takes_the_seed(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    let all = events(0..50);
    append(&*fresh.store, &all).await;
    seal_all(sealing, 100).await;
    let before = sealing.leaves(0, 100).await.expect("leaves");
    let positions: Vec<_> = all[10..20].iter().map(Cursor::of).collect();
    // A position that is not the event's own deletes neither the event nor its seed.
    let forged = Cursor { created_at: all[0].created_at, event_id: all[30].event_id };
    let positions = [&positions[..], &[forged]].concat();
    assert_eq!(removal(&*fresh.store).remove(&positions).await.expect("a removal"), 10);
    let gone: Vec<_> = all[10..20].iter().map(|event| event.event_id).collect();
    let leaves = sealing.leaves(0, 100).await.expect("leaves");
    assert_eq!(leaves.len(), before.len(), "every leaf stays");
    for (leaf, before) in leaves.iter().zip(&before) {
        assert_eq!((leaf.index, leaf.event_id, leaf.hash), (before.index, before.event_id, before.hash));
        let expected = if gone.contains(&leaf.event_id) { &StoredSeed::Gone } else { &before.seed };
        assert!(leaf.seed == *expected, "the seed of leaf {}: {:?}", leaf.index, leaf.seed);
    }
    assert_eq!(sealing.leaf_of(gone[0]).await.expect("a leaf").map(|leaf| leaf.seed), Some(StoredSeed::Gone));
}

pub(super) async fn signed_removals_come_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    append(&*fresh.store, &events(0..3)).await;
    assert!(sealing.removals(0, 10).await.expect("none").is_empty(), "before the first seal");
    seal_all(sealing, 100).await;
    assert!(sealing.removals(0, 10).await.expect("none").is_empty(), "before the first");
    let notes = ["one\n\n— key AAAA\n", "two\n", "one\n\n— key AAAA\n"];
    for (number, note) in (0..).zip(notes) {
        assert!(sealing.add_removal(number, note).await.expect("a removal is stored"));
        assert!(!sealing.add_removal(number, "other\n").await.expect("an answer"), "the number is taken");
    }
    assert!(sealing.foreign_rows(10).await.expect("none").is_empty());
    let stored = sealing.removals(0, 10).await.expect("removals");
    let found: Vec<_> = stored.iter().map(|stored| (stored.number, &*stored.note)).collect();
    assert_eq!(found, [(0, notes[0]), (1, notes[1]), (2, notes[2])], "in their order");
    assert_eq!(sealing.removals(1, 1).await.expect("removals"), stored[1..2], "some of them");
}

pub(super) async fn a_batch_that_does_not_follow_is_refused(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    let all = events(0..30);
    append(&*fresh.store, &all).await;
    assert!(!sealing.seal(&batch(Some(3), &all[..10], "")).await.expect("an answer"), "there is no tree of 3 leaves");
    assert!(sealing.seal(&batch(None, &all[..10], "")).await.expect("an answer"));
    for after in [None, Some(9), Some(11)] {
        let late = batch(after, &all[10..20], "");
        assert!(!sealing.seal(&late).await.expect("an answer"), "the tree has 10 leaves, not {after:?}");
    }
    assert_eq!(sealing.leaves(0, 100).await.expect("leaves").len(), 10, "a refused batch leaves nothing behind");
    assert!(sealing.seal(&batch(Some(10), &all[10..], "")).await.expect("an answer"), "this one follows");
}

pub(super) async fn each_event_is_sealed_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    let all = shuffled(events(0..harness.total() as u64));
    let mut sealed = Vec::new();
    // Maintenance moves events between the tables of a store, before and after they are sealed.
    for (number, events) in all.chunks(all.len().div_ceil(20).max(1)).enumerate() {
        for batch in events.chunks(100) {
            append(&*fresh.store, batch).await;
        }
        if number % 3 != 0 {
            sealed.extend(seal_all(sealing, 700).await);
        }
        while number % 2 == 0 && fresh.store.maintain().await.expect("maintenance") {}
    }
    sealed.extend(seal_all(sealing, 700).await);
    assert_each_once(&sealed, &all, "after maintenance");
    let mut by_id: HashMap<_, _> = all.iter().map(|event| (event.event_id, event)).collect();
    assert!(sealed.iter().all(|event| by_id.remove(&event.event_id) == Some(event)), "they are what was appended");
    for position in ["", "no position", "9/9/9"] {
        let again = sealing.unsealed(position, 10_000).await.expect("unsealed events");
        assert!(again.events.is_empty(), "sealed already, whatever the position: {position:?}");
    }
}

pub(super) async fn late_events_are_not_skipped(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    // Ids and times say nothing of the order of the commits.
    append(&*fresh.store, &events(5000..5010)).await;
    let mut sealed = seal_all(sealing, 4).await;
    append(&*fresh.store, &events(100..110)).await;
    append(&*fresh.store, &[event_at(1, 9_000_000)]).await;
    sealed.extend(seal_all(sealing, 4).await);
    let all = [events(5000..5010), events(100..110), vec![event_at(1, 9_000_000)]].concat();
    assert_each_once(&sealed, &all, "late events");
}

pub(super) async fn concurrent_appends_are_all_sealed(harness: &Harness) {
    let fresh = harness.fresh().await;
    let other = fresh.backing.reopen().await;
    let all = events(0..1200);
    let writers = [fresh.store.clone(), other.clone()].into_iter().zip(all.chunks(600)).map(|(store, events)| {
        let events = shuffled(events.to_vec());
        tokio::spawn(async move {
            for batch in events.chunks(7) {
                append(&*store, batch).await;
                tokio::task::yield_now().await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut sealed = Vec::new();
    for writer in writers {
        while !writer.is_finished() {
            sealed.extend(seal_all(sealing(&*fresh.store), 100).await);
            tokio::task::yield_now().await;
        }
        writer.await.expect("a writer only appends");
    }
    // Another sealer takes over.
    sealed.extend(seal_all(sealing(&*other), 100).await);
    assert_each_once(&sealed, &all, "two writers and two sealers");
}

pub(super) async fn a_leaf_outlives_its_event(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    let all = events(0..50);
    append(&*fresh.store, &all).await;
    let sealed = seal_all(sealing, 100).await;
    while keeper(&*fresh.store).purge(at(20), 1000).await.expect("a purge").has_more {}
    let leaves = sealing.leaves(0, 100).await.expect("leaves");
    let ids: Vec<_> = leaves.iter().map(|leaf| leaf.event_id).collect();
    assert_eq!(ids, sealed.iter().map(|event| event.event_id).collect::<Vec<_>>(), "every leaf, in its place");
    assert!(sealing.leaf_of(event(3).event_id).await.expect("a leaf").is_some(), "the event is gone, the leaf is not");
    assert!(sealing.events(&[event(3).event_id]).await.expect("events").is_empty(), "the event is gone");
    // New events follow, also where a store begins anew.
    while keeper(&*fresh.store).purge(at(1_000_000), 1000).await.expect("a purge").has_more {}
    append(&*fresh.store, &events(60..70)).await;
    while fresh.store.maintain().await.expect("maintenance") {}
    assert_each_once(&seal_all(sealing, 100).await, &events(60..70), "after everything was purged");
}
