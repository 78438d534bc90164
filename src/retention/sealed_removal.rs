//! A purge of a sealed log: each part is signed before its events are deleted.
//!
//! ```text
//! t0  `started` is signed and appended
//! t1  the leaves of part 1 are signed: their events may be gone from now on
//! t2  the events of part 1 are deleted, each with its seed
//! t3  `completed` is signed and appended, with the number of parts that are deleted: their events must be gone
//! ```
//!
//! A process that dies between t1 and t3 leaves a part of which some events are gone. The next purge lists the others again.
//!
//! With public keys of the seal, each event of a part is first compared with its leaf, and the leaf with the newest checkpoint. Without,
//! the purge believes the database.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::pacing::{CHUNK_EVENTS, retry};
use crate::event::{AuditEvent, EventId};
use crate::query::Cursor;
use crate::seal::{LeafRanges, RemovalNote, SealError, VerifierKey};
use crate::sealing::{RetentionKey, check_sealed};
use crate::store::{Sealing, StoreError, StoreErrorKind};

/// The signed removal of events from a sealed log.
pub(super) struct SealedRemoval<'a> {
    sealing: &'a dyn Sealing,
    key: &'a RetentionKey,
    /// The public keys of the seal.
    seal_keys: &'a [VerifierKey],
    store: &'static str,
    purge: EventId,
    positions: Vec<Cursor>,
    parts: u64,
    done: u64,
    /// The number of the next removal.
    next: u64,
    /// The number of events that stay because they have no leaf.
    unsealed: u64,
    /// The moment until which the purge waits for the sealer.
    wait_until: Option<Instant>,
}

impl<'a> SealedRemoval<'a> {
    pub(super) fn new(
        sealing: &'a dyn Sealing,
        key: &'a RetentionKey,
        seal_keys: &'a [VerifierKey],
        store: &'static str,
        started: &AuditEvent,
    ) -> Self {
        Self {
            sealing,
            key,
            seal_keys,
            store,
            purge: started.event_id,
            positions: Vec::new(),
            parts: 0,
            done: 0,
            next: 0,
            unsealed: 0,
            wait_until: None,
        }
    }

    /// Adds events to the next part. Returns true if it is full.
    pub(super) fn add(&mut self, positions: Vec<Cursor>) -> bool {
        self.positions.extend(positions);
        self.positions.len() >= PART_EVENTS
    }

    /// Signs the part, and returns its events, which are to be deleted now.
    pub(super) async fn sign_part(&mut self) -> Result<Vec<Cursor>, StoreError> {
        let mut sealed = Vec::with_capacity(self.positions.len());
        let mut indexes = Vec::with_capacity(self.positions.len());
        let positions = std::mem::take(&mut self.positions);
        for chunk in positions.chunks(CHUNK_EVENTS) {
            let leaves = self.leaves_of(chunk).await?;
            if !self.seal_keys.is_empty() {
                let ids: Vec<EventId> = leaves.keys().copied().collect();
                let checked = check_sealed(self.sealing, self.seal_keys, &ids).await?;
                checked.map_err(|reason| {
                    StoreError::new(StoreErrorKind::Permanent, self.store, "purge").with_hint(reason)
                })?;
            }
            for position in chunk {
                match leaves.get(&position.event_id) {
                    Some(index) => {
                        sealed.push(*position);
                        indexes.push((*index, position.event_id));
                    }
                    None => self.unsealed += 1,
                }
            }
        }
        if !sealed.is_empty() {
            self.parts += 1;
            let mut note = RemovalNote::new(self.key.origin(), self.purge);
            note.part = Some(self.parts);
            indexes.sort_unstable();
            note.ids = Some(RemovalNote::digest_of_ids(indexes.iter().map(|(_, id)| *id)));
            note.leaves = indexes.into_iter().map(|(index, _)| index).collect::<LeafRanges>();
            self.store_note(note).await?;
        }
        Ok(sealed)
    }

    /// Notes that every event of the last part was deleted.
    pub(super) fn note_deleted(&mut self) {
        self.done = self.parts;
    }

    /// Signs an event of the purge, which is to be appended afterwards.
    pub(super) async fn sign_event(&mut self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut note = RemovalNote::new(self.key.origin(), self.purge);
        note.event = Some((event.event_id, RemovalNote::digest_of(event)));
        note.done = (self.done > 0).then_some(self.done);
        self.store_note(note).await
    }

    pub(super) fn unsealed(&self) -> u64 {
        self.unsealed
    }

    /// Returns the leaves of these events. Waits for the sealer, but not longer than [`SEAL_TIMEOUT`] in the whole purge.
    async fn leaves_of(&mut self, positions: &[Cursor]) -> Result<HashMap<EventId, u64>, StoreError> {
        let ids: Vec<EventId> = positions.iter().map(|position| position.event_id).collect();
        loop {
            let leaves = retry(|| self.sealing.leaf_indexes(&ids)).await?;
            let until = *self.wait_until.get_or_insert_with(|| Instant::now() + SEAL_TIMEOUT);
            if leaves.len() == ids.len() || Instant::now() >= until {
                return Ok(leaves.into_iter().collect());
            }
            tokio::time::sleep(SEAL_POLL).await;
        }
    }

    /// Signs a note with the next number, and stores it. Another purge may take that number: then it is signed again.
    async fn store_note(&mut self, mut note: RemovalNote) -> Result<(), StoreError> {
        let failed = |reason: String| StoreError::new(StoreErrorKind::Permanent, self.store, "purge").with_hint(reason);
        for _ in 0..ATTEMPTS {
            loop {
                let page = retry(|| self.sealing.removals(self.next, REMOVALS)).await?;
                let Some(last) = page.last() else { break };
                self.next = last.number.saturating_add(1);
            }
            note.number = self.next;
            let signed = self.key.sign(&note).map_err(|error: SealError| failed(error.to_string()))?;
            if retry(|| self.sealing.add_removal(note.number, &signed)).await? {
                return Ok(());
            }
        }
        Err(failed("other purges take every number; run them one after the other".to_owned()))
    }
}

/// The events of a part, which are in memory: half a mebibyte.
const PART_EVENTS: usize = 16 * CHUNK_EVENTS;
/// The time that a purge waits for events to be sealed. A sealer takes two seconds.
const SEAL_TIMEOUT: Duration = Duration::from_secs(5);
const SEAL_POLL: Duration = Duration::from_millis(250);
const REMOVALS: usize = 16;
const ATTEMPTS: usize = 100;
