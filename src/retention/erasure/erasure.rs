//! An erasure: the person, and the facts about it that the log will hold.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;

use super::data_subject::DataSubject;
use super::erasable_cell::ErasableCell;
use super::eraser::{End, Eraser};
use super::erasure_error::ErasureError;
use super::erasure_preview::{ErasurePreview, ErasureReport};
use super::erasure_record;
use super::erasure_walk::ErasureWalk;
#[cfg(feature = "seal")]
use super::sealed_erasure::SealedErasure;
use crate::event::Actor;
use crate::retention::pacing::{Stop, retry};
#[cfg(feature = "seal")]
use crate::retention::removal_signer::RemovalSigner;
use crate::retention::survey::newest_origin;
#[cfg(feature = "seal")]
use crate::seal::RemovalKind;
#[cfg(feature = "seal")]
use crate::sealing::RetentionKey;
use crate::store::{AuditStore, CellErasure, Reader, StoreError, StoreErrorKind};

/// Blanks the values of one person in all events, or puts a pseudonym in place of their name, and records it. The events themselves stay.
///
/// Of the events whose actor is the person (`actor.user_email` is the id): the name, the hash of the key, address and headers, the URI, the ids of
/// request and trace. Of every event: each cell that has the id as a word, such as a target `user/ID` or a member of `details`. A cell is blanked
/// as a whole. Type, phase, time, outcome, classification, route and method stay. `docs/retention.md` says what else stays.
///
/// ```
/// use tower_audit::retention::Erasure;
/// use tower_audit::{Actor, AuditEvent, AuditLog, EventType};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = AuditLog::builder().url("memory:").open().await?;
/// let mut event = AuditEvent::new(EventType::UPLOAD);
/// event.actor = Actor::user("alice@example.org");
/// log.record(event).await?;
///
/// let store = log.store().ok_or("auditing is off")?;
/// let erasure = Erasure::of("alice@example.org")?.pseudonym("former-user-17")?.actor(Actor::user("privacy officer"));
/// let counted = erasure.preview(&**store).await?.events;
/// let report = erasure.run(&**store).await?;
/// assert_eq!((counted, report.events), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Erasure {
    person: DataSubject,
    actor: Actor,
    #[cfg(feature = "seal")]
    key: Option<RetentionKey>,
}

impl Erasure {
    /// An erasure of the person with this id, as `actor.user_email` has it. Letters are compared exactly.
    ///
    /// # Errors
    /// The id has no letter or digit.
    pub fn of(id: &str) -> Result<Self, ErasureError> {
        if !id.contains(char::is_alphanumeric) {
            return Err(ErasureError::Name(format!("{id:?} names no person: it has no letter and no digit")));
        }
        Ok(Self {
            person: DataSubject::new(id),
            actor: Actor::default(),
            #[cfg(feature = "seal")]
            key: None,
        })
    }

    /// Sets the text that takes the place of the name, in `actor.user_email` and `actor.acting_for`: then the events of one person are still
    /// known as those of one. Without it, the fields are null.
    ///
    /// # Errors
    /// The text is empty, longer than 128 bytes, has a control character or a blank at an end, or has the id in it.
    pub fn pseudonym(mut self, text: &str) -> Result<Self, ErasureError> {
        let is_fine = !text.is_empty()
            && text.len() <= MAX_PSEUDONYM_BYTES
            && !text.contains(char::is_control)
            && text.trim() == text;
        if !is_fine {
            return Err(ErasureError::Name(format!(
                "{text:?} is no pseudonym: expected 1 to {MAX_PSEUDONYM_BYTES} bytes without control characters, and no blank at the ends"
            )));
        }
        if self.person.is_in(text) {
            return Err(ErasureError::Name(format!("the pseudonym {text:?} names the person")));
        }
        self.person.pseudonym = Some(text.to_owned());
        Ok(self)
    }

    /// Adds a member of `details` that is erased in the person's own events, whatever is in it.
    pub fn detail(mut self, name: impl Into<String>) -> Self {
        self.person.details.insert(name.into());
        self
    }

    /// Sets the actor of the erasure's event: the operator or the job that asked for it. Left out if it names the person.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Sets the key that signs the erasure. An erasure of a sealed log needs it; one of another log refuses it.
    #[cfg(feature = "seal")]
    pub fn key(mut self, key: RetentionKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Counts the events and cells that an erasure would blank now. Changes nothing: a dry run. Reads every event, a page at a time.
    ///
    /// # Errors
    /// [`ErasureError::NotPlanned`] if the store cannot be read, or cannot erase.
    pub async fn preview(&self, store: &dyn AuditStore) -> Result<ErasurePreview, ErasureError> {
        self.preview_with(store, |_| ()).await
    }

    /// [`preview`](Self::preview) that calls `progress` with the number of events that were looked at, after each page.
    ///
    /// # Errors
    /// Those of [`preview`](Self::preview).
    pub async fn preview_with(
        &self,
        store: &dyn AuditStore,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<ErasurePreview, ErasureError> {
        let (reader, _) = parts(store).map_err(ErasureError::NotPlanned)?;
        let mut preview =
            ErasurePreview { events: 0, cells: Default::default(), range: None, unreadable: 0, newest: None };
        let mut walk = ErasureWalk::new(reader, &self.person);
        let mut seen = 0;
        while let Some(page) = walk.next().await.map_err(ErasureError::NotPlanned)? {
            preview.unreadable += page.unreadable;
            for (event, cells) in page.events {
                preview.events += 1;
                let at = event.created_at;
                let (first, last) = preview.range.unwrap_or((at, at));
                preview.range = Some((first.min(at), last.max(at)));
                let names: BTreeSet<&str> = cells.iter().map(ErasableCell::name).collect();
                names.into_iter().for_each(|name| *preview.cells.entry(name.to_owned()).or_default() += 1);
            }
            seen += page.seen;
            progress(seen);
        }
        preview.newest = walk.newest;
        Ok(preview)
    }

    /// Records and runs the erasure.
    ///
    /// # Errors
    /// [`ErasureError`] says how much was erased, and whether that is recorded.
    ///
    /// # Cancel safety
    /// Dropped after the first page, the `started` event stays without an end. The next run erases what is left. Use
    /// [`run_until`](Self::run_until) to stop an erasure.
    pub async fn run(&self, store: &dyn AuditStore) -> Result<ErasureReport, ErasureError> {
        let preview = self.preview(store).await?;
        self.run_until(store, &preview, std::future::pending(), |_| ()).await
    }

    /// Records and runs the erasure within the bounds of a preview, ends after the current page once `stop` is ready, and calls `progress` with
    /// the number of events that were looked at, after each page.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and [`ErasureError::Interrupted`] if it was stopped.
    pub async fn run_until(
        &self,
        store: &dyn AuditStore,
        preview: &ErasurePreview,
        stop: impl Future<Output = ()> + Send,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<ErasureReport, ErasureError> {
        let (reader, erasure) = parts(store).map_err(ErasureError::NotPlanned)?;
        #[cfg_attr(not(feature = "seal"), expect(unused_mut, reason = "a signed event gets a nonce"))]
        let mut started = erasure_record::started(&self.person, &self.actor, preview);
        let log = newest_origin(store).await.map_err(ErasureError::NotPlanned)?;
        #[cfg(feature = "seal")]
        let mut sealed = match (log, &self.key) {
            (None, None) => None,
            (None, Some(_)) => return Err(ErasureError::NotSealed),
            (Some(_), None) => return Err(ErasureError::KeyRequired),
            (Some(log), Some(key)) if key.origin() != log => {
                return Err(ErasureError::WrongKey { key: key.origin().to_owned(), log });
            }
            (Some(_), Some(key)) => store.parts().sealing.map(|sealing| {
                let name = store.capabilities().name;
                SealedErasure::new(RemovalSigner::new(sealing, key, name, RemovalKind::Erasure, &started))
            }),
        };
        #[cfg(feature = "seal")]
        if let Some(sealed) = &mut sealed {
            sealed.signer.sign_event(&mut started, 0).await.map_err(ErasureError::NotStarted)?;
        }
        #[cfg(not(feature = "seal"))]
        if log.is_some() {
            return Err(ErasureError::KeyRequired);
        }
        retry(|| store.append(std::slice::from_ref(&started))).await.map_err(ErasureError::NotStarted)?;
        let stop = pin!(stop);
        let mut eraser = Eraser {
            reader,
            erasure,
            person: &self.person,
            stop: Stop::new(stop),
            progress: &mut progress,
            report: ErasureReport::default(),
            #[cfg(feature = "seal")]
            sealed,
        };
        let end = eraser.run(preview).await;
        let report = eraser.report.clone();
        let events = report.events;
        #[cfg_attr(not(feature = "seal"), expect(unused_mut, reason = "a signed event gets a nonce"))]
        let mut completed = erasure_record::completed(&started, &self.person, preview, &report, end.as_str());
        let not_recorded = |source| ErasureError::NotRecorded { events, source };
        #[cfg(feature = "seal")]
        if let Some(sealed) = &mut eraser.sealed {
            let done = sealed.done;
            sealed.signer.sign_event(&mut completed, done).await.map_err(not_recorded)?;
        }
        retry(|| store.append(std::slice::from_ref(&completed))).await.map_err(not_recorded)?;
        match end {
            End::Done => Ok(report),
            End::Interrupted => Err(ErasureError::Interrupted { events }),
            End::Failed(source) => Err(ErasureError::Failed { events, source }),
        }
    }
}

fn parts(store: &dyn AuditStore) -> Result<(&dyn Reader, &dyn CellErasure), StoreError> {
    let parts = store.parts();
    let missing = || StoreError::new(StoreErrorKind::Unsupported, store.capabilities().name, "erasing");
    Ok((parts.reader.ok_or_else(missing)?, parts.erasure.ok_or_else(missing)?))
}

const MAX_PSEUDONYM_BYTES: usize = 128;
