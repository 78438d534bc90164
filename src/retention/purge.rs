//! A purge: its plan, and the facts about it that the log will hold.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::delete_chunks::{Deleter, End};
use super::pacing::{Stop, retry};
use super::plan::RetentionPlan;
use super::purge_error::PurgeError;
use super::purge_preview::PurgePreview;
use super::purge_report::PurgeReport;
use super::record;
#[cfg(feature = "seal")]
use super::sealed_removal::SealedRemoval;
use super::survey::{RequiredParts, newest_origin, survey};
#[cfg(feature = "seal")]
use crate::event::AuditEvent;
use crate::event::{Actor, Timestamp};
use crate::query::TimeError;
#[cfg(feature = "seal")]
use crate::seal::VerifierKey;
#[cfg(feature = "seal")]
use crate::sealing::{RetentionKey, trusted_keys};
use crate::store::AuditStore;

/// A purge: its plan, and the facts about it that the log will hold. See the documentation of the module.
#[derive(Debug, Clone)]
#[must_use]
pub struct Purge {
    plan: RetentionPlan,
    actor: Actor,
    floor: Option<Duration>,
    as_of: Option<Timestamp>,
    #[cfg(feature = "seal")]
    key: Option<RetentionKey>,
    #[cfg(feature = "seal")]
    seal_keys: Vec<VerifierKey>,
}

impl Purge {
    /// A purge by a plan.
    pub fn new(plan: RetentionPlan) -> Self {
        Self {
            plan,
            actor: Actor::default(),
            floor: None,
            as_of: None,
            #[cfg(feature = "seal")]
            key: None,
            #[cfg(feature = "seal")]
            seal_keys: Vec::new(),
        }
    }

    /// Deletes events from before `cutoff`.
    pub fn before(cutoff: Timestamp) -> Self {
        Self::new(RetentionPlan::Before(cutoff))
    }

    /// Deletes events older than `age`, such as `180d` or `2y`, counted from the run. The purge's event holds this text.
    ///
    /// # Errors
    /// Those of [`parse_cutoff`](crate::query::parse_cutoff).
    pub fn older_than(age: &str) -> Result<Self, TimeError> {
        Ok(Self::new(RetentionPlan::older_than(age)?))
    }

    /// Sets the actor of the purge's event: the operator or the job that asked for it.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Sets the floor: no event younger than this is deleted. An age shorter than the floor is an error; watermarks and rules
    /// keep every younger event. The floor of the log counts as well, if it is longer.
    pub fn floor(mut self, floor: Duration) -> Self {
        self.floor = Some(floor);
        self
    }

    /// Sets the moment from which ages are counted, instead of the moment of each preview or run.
    pub fn as_of(mut self, now: Timestamp) -> Self {
        self.as_of = Some(now);
        self
    }

    /// Sets the key that signs the purge. A purge of a sealed log needs it; one of another log refuses it.
    #[cfg(feature = "seal")]
    pub fn key(mut self, key: RetentionKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Adds a public key of the seal: no event is purged that differs from the sealed one, its time included. Needs the right to read.
    ///
    /// Without one, the purge believes what the database says of an event, so somebody who can write to the database can have any
    /// event purged.
    #[cfg(feature = "seal")]
    pub fn seal_key(mut self, key: VerifierKey) -> Self {
        self.seal_keys.push(key);
        self
    }

    /// Returns the plan.
    pub fn plan(&self) -> &RetentionPlan {
        &self.plan
    }

    /// Counts the events that a purge would delete now. Changes nothing: a dry run.
    ///
    /// Rules read every event that is older than the least of their ages, a page at a time.
    ///
    /// # Errors
    /// [`PurgeError::BelowFloor`], or [`PurgeError::NotPlanned`] if the store cannot be read or lacks a part that the plan
    /// needs.
    pub async fn preview(&self, store: &dyn AuditStore) -> Result<PurgePreview, PurgeError> {
        let own = store.parts().admin.and_then(|admin| admin.retention_floor());
        let floor = self.floor.into_iter().chain(own).max();
        survey(RequiredParts::of(store), &self.plan, self.as_of.unwrap_or_else(Timestamp::now), floor).await
    }

    /// Records and runs the purge.
    ///
    /// It deletes [`CHUNK_EVENTS`](super::CHUNK_EVENTS) events at a time and pauses between the chunks. What fails with a
    /// transient error is repeated for [`RETRY_TIMEOUT`](super::RETRY_TIMEOUT).
    ///
    /// # Errors
    /// [`PurgeError`] says how much was deleted, and whether that is recorded.
    ///
    /// # Cancel safety
    /// Dropped after the first chunk, the `started` event stays without an end. Use [`run_until`](Self::run_until) to stop
    /// a purge.
    pub async fn run(&self, store: &dyn AuditStore) -> Result<PurgeReport, PurgeError> {
        let preview = self.preview(store).await?;
        self.run_until(store, &preview, std::future::pending(), |_| ()).await
    }

    /// Records and runs the purge within the bounds of a preview, ends after the current chunk once `stop` is ready, and
    /// calls `progress` with the number of deleted events after each chunk.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and [`PurgeError::Interrupted`] if it was stopped.
    pub async fn run_until(
        &self,
        store: &dyn AuditStore,
        preview: &PurgePreview,
        stop: impl Future<Output = ()> + Send,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<PurgeReport, PurgeError> {
        #[cfg_attr(not(feature = "seal"), expect(unused_mut, reason = "a signed event gets a nonce"))]
        let mut started = record::started(&self.plan, &self.actor, preview);
        #[cfg(feature = "seal")]
        let mut sealed = self.sealed(store, &started).await?;
        #[cfg(feature = "seal")]
        if let Some(sealed) = &mut sealed {
            sealed.sign_event(&mut started).await.map_err(PurgeError::NotStarted)?;
        }
        #[cfg(not(feature = "seal"))]
        if newest_origin(store).await.map_err(PurgeError::NotPlanned)?.is_some() {
            return Err(PurgeError::KeyRequired);
        }
        retry(|| store.append(std::slice::from_ref(&started))).await.map_err(PurgeError::NotStarted)?;
        let stop = pin!(stop);
        let mut deleter = Deleter {
            parts: RequiredParts::of(store),
            stop: Stop::new(stop),
            progress: &mut progress,
            report: PurgeReport { deleted: 0, rules: Vec::new(), unsealed: 0 },
            #[cfg(feature = "seal")]
            sealed,
        };
        let end = deleter.run(&self.plan, preview).await;
        let report = deleter.report.clone();
        let deleted = report.deleted;
        #[cfg_attr(not(feature = "seal"), expect(unused_mut, reason = "a signed event gets a nonce"))]
        let mut completed = record::completed(&started, &self.plan, preview, &report, end.as_str());
        #[cfg(feature = "seal")]
        if matches!(end, End::Sealed(_)) {
            // Without a key, the end would be a claim that nobody has signed: the log closes the started event as it does of a purge that died.
            deleter.sealed = self.sealed(store, &started).await.ok().flatten();
        }
        let end = match end {
            End::Sealed(source) if deleter.is_unsigned() => return Err(PurgeError::Failed { deleted, source }),
            end => end,
        };
        #[cfg(feature = "seal")]
        if let Some(sealed) = &mut deleter.sealed {
            sealed.sign_event(&mut completed).await.map_err(|source| PurgeError::NotRecorded { deleted, source })?;
        }
        retry(|| store.append(std::slice::from_ref(&completed)))
            .await
            .map_err(|source| PurgeError::NotRecorded { deleted, source })?;
        match end {
            End::Done => Ok(report),
            End::Interrupted => Err(PurgeError::Interrupted { deleted }),
            End::Failed(source) | End::Sealed(source) => Err(PurgeError::Failed { deleted, source }),
        }
    }
}

impl Purge {
    /// Begins the signed removal of a sealed log.
    #[cfg(feature = "seal")]
    async fn sealed<'a>(
        &'a self,
        store: &'a dyn AuditStore,
        started: &AuditEvent,
    ) -> Result<Option<SealedRemoval<'a>>, PurgeError> {
        let Some(log) = newest_origin(store).await.map_err(PurgeError::NotPlanned)? else {
            // Somebody may have hidden the tables of the seal.
            return if self.key.is_some() { Err(PurgeError::NotSealed) } else { Ok(None) };
        };
        let Some(key) = &self.key else { return Err(PurgeError::KeyRequired) };
        if key.origin() != log {
            return Err(PurgeError::WrongKey { key: key.origin().to_owned(), log });
        }
        let name = store.capabilities().name;
        // Keys for which the given ones vouch; a purge without any reads no event.
        let seal_keys = match self.seal_keys.as_slice() {
            [] => Vec::new(),
            keys => trusted_keys(store, keys).await.map_err(PurgeError::NotPlanned)?,
        };
        Ok(store.parts().sealing.map(|sealing| SealedRemoval::new(sealing, key, seal_keys, name, started)))
    }
}
