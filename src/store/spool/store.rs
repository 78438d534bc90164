//! The store: appends go to the directory, everything else to the target.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::config::{Config, Limits};
use super::diagnostics;
use super::error::{APPEND, DuringOperation as _, NAME, OPENING, blocking, config, transient};
use super::frame::Frame;
use super::metrics::SpoolMetrics;
use super::shipper::Shipper;
use super::spool_state::{Phase, Shared};
use super::status::SpoolStatus;
use super::target::{OpenStoreFn, Target};
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::files::{give_to_owner_of, sync_folder};
use crate::store::{
    AuditStore, Capabilities, CellErasure, Diagnostic, OpenOptions, Parts, Reader, Removal, Sealing, StoreAdmin,
    StoreError, StoreFuture,
};

/// A directory in front of a durable store; see the documentation of the module.
///
/// # Cancel safety
/// A dropped append goes on to its end; appending the events again is right in any case. A dropped read stops at once.
pub struct SpoolStore {
    pub(super) shared: Arc<Shared>,
    options: OpenOptions,
    capabilities: Capabilities,
    is_started: AtomicBool,
    is_closed: AtomicBool,
}

impl SpoolStore {
    /// Opens the spool that a URL names, behind its scheme.
    pub(in crate::store) async fn open_url(
        rest: &str,
        options: OpenOptions,
        open: OpenStoreFn,
    ) -> Result<Self, StoreError> {
        let parsed = Config::parse(rest)?;
        if !options.create_if_missing {
            check_is_there(&parsed.directory)?;
        }
        let target = Target::of_url(parsed.target, options, open).await?;
        Self::open(parsed.directory, parsed.limits, target, options).await
    }

    pub(super) async fn open(
        directory: PathBuf,
        limits: Limits,
        target: Target,
        options: OpenOptions,
    ) -> Result<Self, StoreError> {
        let directory = std::path::absolute(directory).during(OPENING)?;
        let own = Capabilities::new(NAME).with_durable(target.is_durable());
        // A target that is not open yet is a server, which needs none while events are appended.
        let maintenance = target.get().and_then(|target| target.capabilities().maintenance_after);
        let store = Self {
            capabilities: maintenance.map_or(own, |events| own.with_maintenance_after(events)),
            shared: Arc::new(Shared::new(directory, limits, target)),
            options,
            is_started: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        };
        if options.create_if_missing {
            let shared = Arc::clone(&store.shared);
            blocking(OPENING, move || {
                make(&shared.directory)?;
                shared.own.ensure().during(OPENING)
            })
            .await?;
            store.start();
        } else {
            check_is_there(&store.shared.directory)?;
        }
        Ok(store)
    }

    /// Returns the state of the spool: its backlog, its dead letters, the error of the target.
    pub fn status(&self) -> SpoolStatus {
        self.shared.status()
    }

    /// Waits until the target has every event that was acknowledged before, by any process with this directory.
    ///
    /// # Errors
    /// If the target does not take events, or the timeout of the spool is over first.
    pub async fn wait_shipped(&self) -> Result<(), StoreError> {
        self.caught_up("waiting for the target").await
    }

    /// Waits as [`wait_shipped`](Self::wait_shipped) does, if reads are to be complete.
    pub(super) async fn before_read(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.shared.limits.has_complete_reads { self.caught_up(operation).await } else { Ok(()) }
    }

    pub(super) async fn caught_up(&self, operation: &'static str) -> Result<(), StoreError> {
        let deadline = tokio::time::Instant::now() + self.options.timeout;
        let own_end = self.shared.own.backlog().end();
        let mut changed = self.shared.changed.subscribe();
        let shared = Arc::clone(&self.shared);
        let mut others = blocking(operation, move || shared.other_backlogs().during(operation)).await?;
        if !others.is_empty() {
            self.shared.is_look_due.store(true, Ordering::Release);
        }
        // An error of before tells nothing: the target is tried now.
        let failures = self.shared.state().failures;
        self.shared.retry.notify_one();
        self.shared.wake.notify_one();
        loop {
            changed.mark_unchanged();
            if !others.is_empty() {
                others = blocking(operation, move || {
                    let mut left = Vec::new();
                    for (folder, end) in others {
                        if !super::spool_state::is_shipped_to(&folder, end).during(operation)? {
                            left.push((folder, end));
                        }
                    }
                    Ok(left)
                })
                .await?;
            }
            if others.is_empty() && self.shared.own.backlog().is_shipped_to(own_end) {
                return Ok(());
            }
            let error = {
                let state = self.shared.state();
                state.target_error.clone().filter(|_| state.failures > failures)
            };
            if error.is_some() || tokio::time::Instant::now() >= deadline {
                let SpoolStatus { events, .. } = self.status();
                let cause = error.map_or_else(String::new, |error| format!(" ({error})"));
                return Err(transient(operation).with_hint(format!(
                    "acknowledged events are still in the spool, {events} of them of this process: see to the target{cause}, or read \
                     it without the newest events by its own URL or with `reads=target`"
                )));
            }
            let pause = if others.is_empty() { Duration::from_millis(100) } else { Duration::from_millis(2) };
            // Whichever of the two ends the pause: the state is looked at again.
            let _ = tokio::time::timeout(pause, changed.changed()).await;
        }
    }

    /// Starts the shipper, once.
    pub(super) fn start(&self) {
        if !self.is_started.swap(true, Ordering::AcqRel) {
            self.shared.metrics.get_or_init(|| SpoolMetrics::register(&self.shared.directory));
            Shipper::spawn(Arc::clone(&self.shared));
        }
    }
}

/// Without the directory, which is in the URL.
impl fmt::Debug for SpoolStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolStore").field("target", &self.shared.target).finish_non_exhaustive()
    }
}

/// A process that drops the store without closing it counts as dead: others adopt its folder.
impl Drop for SpoolStore {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Stopped);
        self.shared.wake.notify_one();
        self.shared.release();
    }
}

impl AuditStore for SpoolStore {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The parts of the target, but the recovery, which is the spool's own, and the transactions: an event in one would go past the spool,
    /// which would not see the end of a `started` event. Before the target is open, the parts that a durable store has as a rule.
    fn parts(&self) -> Parts<'_> {
        let all = Parts {
            reader: Some(self as &dyn Reader),
            admin: Some(self as &dyn StoreAdmin),
            removal: Some(self as &dyn Removal),
            recovery: Some(self),
            transactional: None,
            sealing: Some(self as &dyn Sealing),
            erasure: Some(self as &dyn CellErasure),
        };
        let Some(target) = self.shared.target.get() else { return all };
        let parts = target.parts();
        Parts {
            reader: all.reader.filter(|_| parts.reader.is_some()),
            admin: all.admin.filter(|_| parts.admin.is_some()),
            removal: all.removal.filter(|_| parts.removal.is_some()),
            recovery: all.recovery,
            transactional: None,
            sealing: all.sealing.filter(|_| parts.sealing.is_some()),
            erasure: all.erasure.filter(|_| parts.erasure.is_some()),
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if self.is_closed.load(Ordering::Acquire) {
                return Err(super::error::closed_error(APPEND));
            }
            self.start();
            let frame = Frame::encode(events)?;
            if frame.events == 0 {
                return Ok(());
            }
            let marked: Vec<AuditEvent> =
                events.iter().filter(|event| super::open_events::matters(event)).cloned().collect();
            let shared = Arc::clone(&self.shared);
            let mut journal = Arc::clone(&shared.journal).lock_owned().await;
            blocking(APPEND, move || {
                journal.append(&frame, &marked, shared.adopted_waiting())?;
                shared.wake.notify_one();
                Ok(())
            })
            .await?;
            self.shared.publish_metrics();
            Ok(())
        })
    }

    /// Does what an append does, with a file of its own beside the segments. The target is not asked: while it is away, the next event is
    /// accepted as long as there is room.
    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            const DOING: &str = "health check";
            let shared = Arc::clone(&self.shared);
            let mut journal = Arc::clone(&shared.journal).lock_owned().await;
            let is_stopped = self.is_started.load(Ordering::Acquire) && !shared.state().is_running;
            blocking(DOING, move || journal.probe(shared.adopted_waiting())).await?;
            if is_stopped {
                return Err(
                    transient(DOING).with_hint("the runtime on which the spool was opened has ended: open it again")
                );
            }
            Ok(())
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let mut found = blocking("diagnosis", move || diagnostics::inspect(&shared)).await?;
            if let Some(target) = self.shared.target.get() {
                found.extend(target.diagnose().await?);
            }
            Ok(found)
        })
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            match self.shared.target.get() {
                Some(target) => target.maintain().await,
                None => Ok(false),
            }
        })
    }

    /// Ships what is left, within four fifths of the timeout; what then remains is shipped by the next process.
    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            const DOING: &str = "closing";
            if self.is_closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            self.shared.journal.lock().await.close();
            self.shared.phase.send_replace(Phase::Draining);
            self.shared.wake.notify_one();
            let mut changed = self.shared.changed.subscribe();
            let drained = async { while self.shared.state().is_running && changed.changed().await.is_ok() {} };
            // What is left after that is counted below.
            let _ = tokio::time::timeout(self.options.timeout.mul_f64(0.8), drained).await;
            self.shared.phase.send_replace(Phase::Stopped);
            let SpoolStatus { events, .. } = self.status();
            if events > 0 {
                log_line(move || {
                    tracing::warn!(events, "events stay in the audit spool, and are shipped by the next process")
                });
            }
            let shared = Arc::clone(&self.shared);
            let left = blocking(DOING, move || {
                let left = shared.own.leave().and_then(|()| shared.leave_shipped());
                shared.release();
                left.during(DOING)
            })
            .await;
            match self.shared.target.get() {
                Some(target) => left.and(target.close().await),
                None => left,
            }
        })
    }
}

/// Makes the directory, readable by its owner alone. Its own folder must be there.
fn make(directory: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => check_is_there(directory),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(config("the folder of the directory is not there: make it").with_source(error))
        }
        made => {
            made.during(OPENING)?;
            let parent = directory.parent().unwrap_or(Path::new("/"));
            give_to_owner_of(parent, &std::fs::File::open(directory).during(OPENING)?);
            sync_folder(parent).during(OPENING)
        }
    }
}

fn check_is_there(directory: &Path) -> Result<(), StoreError> {
    match crate::store::files::stat(directory).during(OPENING)? {
        Some(metadata) if metadata.is_dir() => Ok(()),
        Some(_) => Err(config("the path of the spool is no folder: name one")),
        None => Err(config("the directory of the spool is not there, and is not to be made here: check the path")),
    }
}
