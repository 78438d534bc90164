//! The successor of a sealer's key.

use std::path::PathBuf;

use super::key_chain::STATEMENT;
use super::stored_tree::edge;
use super::{Refusal, SealKey, SealKeyError, SealerError};
use crate::event::{Actor, AuditEvent, EventType};
use crate::seal::{Checkpoint, RestoredTree, SignedNote, TreeEdge, VerifierKey};
use crate::store::{AuditStore, Sealing};

/// Makes the key that takes the place of another, has the old key vouch for it, and records that in the log.
///
/// Trust in the old key is trust in the new one, as long as the event is in the log: see [`trusted_keys`](super::trusted_keys). Stop the old sealer, and start one
/// with the new key; until then, the old one goes on.
///
/// ```
/// use tower_audit::sealing::{KeySuccession, SealKey, Sealer, Verifier};
/// use tower_audit::store::{AuditStore as _, MemoryStore};
/// use tower_audit::{AuditEvent, EventType};
///
/// # let folder = tempfile::tempdir()?;
/// # let (old, new) = (folder.path().join("old"), folder.path().join("new"));
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let store = MemoryStore::new();
/// let first = SealKey::create(&old, "example.com/audit")?.verifier_key();
/// store.append(&[AuditEvent::new(EventType::UPLOAD)]).await?;
/// Sealer::new(store.clone(), SealKey::load(&old)?).step().await?;
///
/// KeySuccession::of(&old, &new).run(&store).await?;
/// Sealer::new(store.clone(), SealKey::load(&new)?).step().await?;
/// let report = Verifier::new(&store, vec![first]).verify(|_| {}).await?;
/// assert!(report.is_intact() && report.size == 2, "the event, and the one of the rotation");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct KeySuccession {
    old: PathBuf,
    new: PathBuf,
    actor: Actor,
    restored_as: Option<String>,
}

impl KeySuccession {
    /// The succession of the key in the file `old` by one in the file `new`, which is made.
    pub fn of(old: impl Into<PathBuf>, new: impl Into<PathBuf>) -> Self {
        Self { old: old.into(), new: new.into(), actor: Actor::default(), restored_as: None }
    }

    /// Sets the actor of the event.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Goes on from a store that was restored from an older copy of its own, under this origin: the old key has signed a larger tree, which is lost. The
    /// old key says so in its statement, and the event is `audit.restored`.
    pub fn restored(mut self, origin: impl Into<String>) -> Self {
        self.restored_as = Some(origin.into());
        self
    }

    /// Makes the files of the new key, and appends the event. Returns the new public key.
    ///
    /// # Errors
    /// The old key's files cannot be read or the new ones not written; the tree in the store is not the one that the old key has signed, or, for a restored log,
    /// is; or the event cannot be appended. Then there is no new key.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the new files may be there, and the event or not. Remove the files, and run it again.
    pub async fn run(&self, store: &dyn AuditStore) -> Result<VerifierKey, SealerError> {
        let old = SealKey::load(&self.old).map_err(SealerError::Key)?;
        let sealing = store.parts().sealing.ok_or(Refusal::Unsupported)?;
        let (size, tree) = newest_tree(sealing, &old).await?;
        let signed = old.newest_checkpoint();
        let is_behind = signed.size > size || (signed.size == size && signed.root != tree.root());
        let restored = match (&self.restored_as, is_behind) {
            (None, true) => return Err(Refusal::RolledBack { signed: signed.size, stored: size }.into()),
            (Some(_), false) => return Err(Refusal::NotBehind { signed: signed.size, stored: size }.into()),
            (Some(_), true) => Some(RestoredTree::new(size, tree.root(), signed.size)),
            (None, false) => None,
        };
        if restored.is_none() && super::stored_tree::root(sealing, signed.size).await? != Some(signed.root) {
            return Err(Refusal::Forked { signed: signed.size }.into());
        }
        let name = self.restored_as.as_deref().unwrap_or(old.name());
        let memory = Checkpoint::new(name, size, tree.root());
        let memory = memory.map_err(|error| SealerError::Key(SealKeyError::new(&self.new, "made", error)))?;
        let new = old.create_successor(&self.new, memory, restored).map_err(SealerError::Key)?;
        let event = self.event(&old, &new, restored);
        match store.append(std::slice::from_ref(&event)).await {
            Ok(()) => Ok(new.verifier_key()),
            Err(error) => {
                new.remove_files();
                Err(SealerError::Store(error))
            }
        }
    }

    fn event(&self, old: &SealKey, new: &SealKey, restored: Option<RestoredTree>) -> AuditEvent {
        let mut event = AuditEvent::new(match restored {
            None => EventType::AUDIT_KEY_ROTATED,
            Some(_) => EventType::AUDIT_RESTORED,
        });
        event.actor = self.actor.clone();
        let details = &mut event.details;
        details.insert("from".into(), old.verifier_key().to_string().into());
        details.insert("to".into(), new.verifier_key().to_string().into());
        details.insert(STATEMENT.into(), new.statement().map(SignedNote::to_string).unwrap_or_default().into());
        if let Some(tree) = restored {
            details.insert("leaves".into(), tree.size.into());
            details.insert("lost".into(), tree.lost.saturating_sub(tree.size).into());
        }
        event.truncate_to_limits();
        event
    }
}

/// Returns the newest tree in the store, which the old key or one before it has signed.
async fn newest_tree(sealing: &dyn Sealing, old: &SealKey) -> Result<(u64, TreeEdge), SealerError> {
    let Some(newest) = sealing.newest_checkpoint().await? else { return Ok((0, TreeEdge::new())) };
    let wrong = |error: &dyn std::fmt::Display| Refusal::WrongKey(error.to_string());
    let note: SignedNote = newest.note.parse().map_err(|error| wrong(&error))?;
    let checkpoint = Checkpoint::open(&note, &old.known_keys()).map_err(|error| wrong(&error))?;
    let tree = edge(sealing, checkpoint.size).await?.map_err(|error| Refusal::Damaged(error.to_string()))?;
    if checkpoint.size != newest.size || tree.root() != checkpoint.root {
        return Err(Refusal::Damaged("its root is not that of the newest checkpoint".to_owned()).into());
    }
    Ok((checkpoint.size, tree))
}
