//! Signs the steps of a purge or an erasure of a sealed log, and stores them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::pacing::retry;
use super::record::NONCE;
use crate::event::{AuditEvent, EventId};
use crate::seal::{RemovalKind, RemovalNote, SealError};
use crate::sealing::RetentionKey;
use crate::store::{Sealing, StoreError, StoreErrorKind};

/// The retention key of a log, and the place for what it signs.
pub(super) struct RemovalSigner<'a> {
    pub(super) sealing: &'a dyn Sealing,
    key: &'a RetentionKey,
    store: &'static str,
    kind: RemovalKind,
    started: EventId,
    /// The number of the next removal.
    next: u64,
    /// The moment until which the action waits for the sealer.
    wait_until: Option<Instant>,
}

impl<'a> RemovalSigner<'a> {
    pub(super) fn new(
        sealing: &'a dyn Sealing,
        key: &'a RetentionKey,
        store: &'static str,
        kind: RemovalKind,
        started: &AuditEvent,
    ) -> Self {
        Self { sealing, key, store, kind, started: started.event_id, next: 0, wait_until: None }
    }

    /// Returns a note of the action that lists nothing.
    pub(super) fn note(&self) -> RemovalNote {
        RemovalNote::new(self.key.origin(), self.kind, self.started)
    }

    /// Signs an event of the action, which is to be appended afterwards. `done`: the number of parts that are finished.
    ///
    /// The note keeps the digest of the event for ever. So the event gets a random number, which goes with its first erased value: then the digest
    /// tells nobody whether a guess of that value is right.
    pub(super) async fn sign_event(&mut self, event: &mut AuditEvent, done: u64) -> Result<(), StoreError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| self.failed(format!("the system's source of randomness fails: {error}")))?;
        event.details.insert(NONCE.to_owned(), format!("{:032x}", u128::from_be_bytes(nonce)).into());
        event.truncate_to_limits();
        let mut note = self.note();
        note.event = Some((event.event_id, RemovalNote::digest_of(event)));
        note.done = (done > 0).then_some(done);
        self.store_note(note).await
    }

    /// Returns the leaves of these events. Waits for the sealer, but not longer than [`SEAL_TIMEOUT`] in the whole run.
    pub(super) async fn leaves_of(&mut self, ids: &[EventId]) -> Result<HashMap<EventId, u64>, StoreError> {
        loop {
            let leaves = retry(|| self.sealing.leaf_indexes(ids)).await?;
            let until = *self.wait_until.get_or_insert_with(|| Instant::now() + SEAL_TIMEOUT);
            if leaves.len() == ids.len() || Instant::now() >= until {
                return Ok(leaves.into_iter().collect());
            }
            tokio::time::sleep(SEAL_POLL).await;
        }
    }

    /// Signs a note with the next number, and stores it. Another run may take that number: then it is signed again.
    pub(super) async fn store_note(&mut self, mut note: RemovalNote) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            loop {
                let page = retry(|| self.sealing.removals(self.next, REMOVALS)).await?;
                let Some(last) = page.last() else { break };
                self.next = last.number.saturating_add(1);
            }
            note.number = self.next;
            let signed = self.key.sign(&note).map_err(|error: SealError| self.failed(error.to_string()))?;
            if retry(|| self.sealing.add_removal(note.number, &signed)).await? {
                return Ok(());
            }
        }
        Err(self.failed("other purges take every number; run them one after the other".to_owned()))
    }

    pub(super) fn failed(&self, reason: String) -> StoreError {
        StoreError::new(StoreErrorKind::Permanent, self.store, self.kind.as_str()).with_hint(reason)
    }
}

/// The time for which a run waits for events to be sealed. A sealer takes two seconds.
const SEAL_TIMEOUT: Duration = Duration::from_secs(5);
const SEAL_POLL: Duration = Duration::from_millis(250);
const REMOVALS: usize = 16;
const ATTEMPTS: usize = 100;
