//! The keys of a log, each vouched for by the one before.

use std::collections::VecDeque;

use super::finding::{Damage, Report};
use crate::event::{AuditEvent, EventType};
use crate::query::{Cursor, Filter, PageQuery};
use crate::seal::{Checkpoint, KeyRotation, NoteSignature, RestoredTree, SignedNote, VerifierKey};
use crate::store::{Reader, StoreError};

/// The given keys, and those for which they vouch, directly or through others.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyChain {
    keys: Vec<VerifierKey>,
    /// For each key, the number of rotations from a given key to it.
    ages: Vec<usize>,
    restored: Vec<(VerifierKey, RestoredTree)>,
}

impl KeyChain {
    /// Reads the statements in the events of the log. They prove themselves: it does not matter who has put them there.
    pub(super) async fn read(reader: Option<&dyn Reader>, given: &[VerifierKey]) -> Result<Self, StoreError> {
        let mut chain = Self { keys: given.to_vec(), ages: vec![0; given.len()], restored: Vec::new() };
        let Some(reader) = reader else { return Ok(chain) };
        let mut rotations = Vec::new();
        for event_type in [EventType::AUDIT_KEY_ROTATED, EventType::AUDIT_RESTORED] {
            let mut next = Some(PageQuery::new(Filter::new().event_type(event_type.as_str()), PAGE));
            while let Some(query) = next.take() {
                let events = reader.query(&query).await?;
                next = events.last().filter(|_| events.len() == query.limit).map(|last| query.after(Cursor::of(last)));
                rotations.extend(events.iter().filter_map(statement_of));
            }
        }
        chain.follow(&rotations);
        Ok(chain)
    }

    fn follow(&mut self, rotations: &[KeyRotation]) {
        let mut at = 0;
        while let Some(from) = self.keys.get(at).cloned() {
            for rotation in rotations.iter().filter(|rotation| rotation.from == from) {
                let age = self.ages.get(at).map_or(0, |age| age + 1);
                match self.keys.iter().position(|key| *key == rotation.to) {
                    // Both keys of a rotation may be given.
                    Some(known) if known > at => self.ages[known] = self.ages[known].max(age),
                    Some(_) => {}
                    None => {
                        self.keys.push(rotation.to.clone());
                        self.ages.push(age);
                    }
                }
                self.restored.extend(rotation.restored.map(|tree| (from.clone(), tree)));
            }
            at += 1;
        }
    }

    pub(super) fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// Returns true if the name is that of one of the keys.
    pub(super) fn has_origin(&self, origin: &str) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|key| key.name() == origin)
    }

    /// Returns the number of rotations before the newest key that has signed the note.
    pub(super) fn age_of(&self, note: &SignedNote) -> usize {
        let has_signed =
            |key: &VerifierKey, signature: &NoteSignature| signature.key_id == key.id() && signature.name == key.name();
        let ages = self.keys.iter().zip(&self.ages);
        let ages = ages.filter(|(key, _)| note.signatures().iter().any(|signature| has_signed(key, signature)));
        ages.map(|(_, age)| *age).max().unwrap_or(0)
    }

    /// Returns the restoration in which the end of this checkpoint's tree was lost, in words.
    pub(super) fn loss_of(&self, checkpoint: &Checkpoint) -> String {
        let lost =
            self.restored.iter().find(|(from, tree)| from.name() == checkpoint.origin && tree.size < checkpoint.size);
        match lost {
            Some((_, tree)) => format!(
                "; the key of the lost tree says that the log was restored from a copy of {} leaves (`audit.restored`)",
                tree.size
            ),
            None => String::new(),
        }
    }
}

/// The ages of the keys that have signed checkpoints, in the order of their sizes.
#[derive(Debug, Default)]
pub(super) struct SignerAges {
    /// The number of rotations before the newest key so far.
    newest: usize,
    /// The sizes of the checkpoints that were kept elsewhere, with the ages of their keys, the smallest first.
    kept: VecDeque<(u64, usize)>,
}

impl SignerAges {
    pub(super) fn new(mut kept: Vec<(u64, usize)>) -> Self {
        kept.sort_unstable();
        Self { newest: 0, kept: kept.into() }
    }

    /// Reports the checkpoint if its key is one that a newer one had replaced.
    ///
    /// ```text
    /// kept by key 2:             151
    /// stored by key 1:   100           161    key 2 has signed 151, so key 1 had been replaced before 161
    /// ```
    pub(super) fn check(&mut self, chain: &KeyChain, note: &SignedNote, size: u64, report: &mut Report) {
        while let Some((_, age)) = self.kept.pop_front_if(|(kept, _)| *kept < size) {
            self.newest = self.newest.max(age);
        }
        let age = chain.age_of(note);
        if age < self.newest {
            let text = format!("the checkpoint of {size} leaves is signed by a key that another has replaced before");
            report.add(Damage::WrongKey, None, None, text);
        }
        self.newest = self.newest.max(age);
    }
}

/// Returns the given keys, and those for which they vouch in the events of the log, directly or through others: see `keygen --continues`.
///
/// # Errors
/// The events cannot be read.
pub async fn trusted_keys(
    store: &dyn crate::store::AuditStore,
    given: &[VerifierKey],
) -> Result<Vec<VerifierKey>, StoreError> {
    Ok(KeyChain::read(store.parts().reader, given).await?.keys)
}

/// Returns the statement in an event, if its old key has signed it.
fn statement_of(event: &AuditEvent) -> Option<KeyRotation> {
    let note: SignedNote = event.details.get(STATEMENT)?.as_str()?.parse().ok()?;
    KeyRotation::open(&note).ok()
}

/// The member of `details` that has the statement.
pub(super) const STATEMENT: &str = "statement";
const PAGE: usize = 100;
