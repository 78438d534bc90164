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

use super::pacing::CHUNK_EVENTS;
use super::removal_signer::RemovalSigner;
use crate::event::{AuditEvent, EventId};
use crate::query::Cursor;
use crate::seal::{LeafRanges, RemovalKind, RemovalNote, VerifierKey};
use crate::sealing::{RetentionKey, check_sealed};
use crate::store::{Sealing, StoreError};

/// The signed removal of events from a sealed log.
pub(super) struct SealedRemoval<'a> {
    signer: RemovalSigner<'a>,
    /// The public keys of the seal.
    seal_keys: Vec<VerifierKey>,
    positions: Vec<Cursor>,
    parts: u64,
    done: u64,
    /// The number of events that stay because they have no leaf.
    unsealed: u64,
}

impl<'a> SealedRemoval<'a> {
    pub(super) fn new(
        sealing: &'a dyn Sealing,
        key: &'a RetentionKey,
        seal_keys: Vec<VerifierKey>,
        store: &'static str,
        started: &AuditEvent,
    ) -> Self {
        let signer = RemovalSigner::new(sealing, key, store, RemovalKind::Purge, started);
        Self { signer, seal_keys, positions: Vec::new(), parts: 0, done: 0, unsealed: 0 }
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
            let ids: Vec<EventId> = chunk.iter().map(|position| position.event_id).collect();
            let leaves = self.signer.leaves_of(&ids).await?;
            if !self.seal_keys.is_empty() {
                let ids: Vec<EventId> = leaves.keys().copied().collect();
                let checked = check_sealed(self.signer.sealing, &self.seal_keys, &ids).await?;
                checked.map_err(|reason| self.signer.failed(reason))?;
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
            let mut note = self.signer.note();
            note.part = Some(self.parts);
            indexes.sort_unstable();
            note.ids = Some(RemovalNote::digest_of_ids(indexes.iter().map(|(_, id)| *id)));
            note.leaves = indexes.into_iter().map(|(index, _)| index).collect::<LeafRanges>();
            self.signer.store_note(note).await?;
        }
        Ok(sealed)
    }

    /// Notes that every event of the last part was deleted.
    pub(super) fn note_deleted(&mut self) {
        self.done = self.parts;
    }

    /// Signs an event of the purge, which is to be appended afterwards.
    pub(super) async fn sign_event(&mut self, event: &mut AuditEvent) -> Result<(), StoreError> {
        self.signer.sign_event(event, self.done).await
    }

    pub(super) fn unsealed(&self) -> u64 {
        self.unsealed
    }
}

/// The events of a part, which are in memory: half a mebibyte.
const PART_EVENTS: usize = 16 * CHUNK_EVENTS;
