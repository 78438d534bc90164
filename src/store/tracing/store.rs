//! The store `tracing:`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::callsite::SinkCallsite;
use super::config::{Config, NAME};
use super::event_line::EventLine;
use crate::event::{AuditEvent, EventId};
use crate::log_lines::call_subscriber;
use crate::store::sink_diagnostics::{diagnose_sink, warn_of_sink};
use crate::store::{AuditStore, Capabilities, Diagnostic, StoreError, StoreErrorKind, StoreFuture};

/// Events to the subscriber of `tracing` that is current where they are appended.
///
/// A sink: an acknowledged event has been given to the subscriber, and nothing more is known of it. The subscriber runs on the
/// thread of the operator's log. One that blocks lets the append wait, and the requests with it until their deadline; one that
/// panics fails the append, which the log tries again. An event is refused while no subscriber takes lines of its target and
/// level.
pub struct TracingStore {
    config: Config,
    callsite: &'static SinkCallsite,
    /// The events of failed appends that the subscriber has taken: the next try leaves them out.
    taken: Mutex<HashSet<EventId>>,
    is_closed: AtomicBool,
}

/// The maximum number of events of failed appends that are remembered. Those of more are given to the subscriber twice.
const MAX_TAKEN: usize = 16_384;

impl std::fmt::Debug for TracingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracingStore").field("config", &self.config).finish_non_exhaustive()
    }
}

impl TracingStore {
    /// Opens the store with the part of its URL behind `tracing:`: `TARGET?level=LEVEL&format=FORMAT`, each of which may be
    /// absent. See `docs/stores/tracing.md`.
    ///
    /// # Errors
    /// If the target or a parameter is malformed.
    pub fn open(rest: &str) -> Result<Self, StoreError> {
        let config = Config::parse(rest)?;
        let callsite = SinkCallsite::of(&config);
        warn_of_sink(NAME);
        Ok(Self { config, callsite, taken: Mutex::default(), is_closed: AtomicBool::new(false) })
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<EventId>> {
        // Nothing under this lock panics half way through a change.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Permanent, NAME, operation).with_hint("it was closed"));
        }
        Ok(())
    }

    fn no_listener(&self, operation: &'static str) -> StoreError {
        let Config { target, level, .. } = &self.config;
        StoreError::new(StoreErrorKind::Transient, NAME, operation).with_hint(format!(
            "no subscriber takes lines of the target {target} at level {level}: install one before the log is opened, with \
             a filter that lets them pass, such as `{target}={}`",
            level.as_str().to_lowercase()
        ))
    }
}

/// The error of a call that did not return.
fn interrupted(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, NAME, operation)
        .with_hint("the subscriber panicked, or too many lines wait for it")
}

impl AuditStore for TracingStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            const APPEND: &str = "append";
            self.check_open(APPEND)?;
            let mut lines = Vec::with_capacity(events.len());
            {
                let taken = self.taken();
                for event in events.iter().filter(|event| !taken.contains(&event.event_id)) {
                    let line = EventLine::of(event, self.config.format)
                        .map_err(|error| StoreError::new(StoreErrorKind::Permanent, NAME, APPEND).with_source(error))?;
                    lines.push((event.event_id, line));
                }
            }
            let ids: Vec<EventId> = lines.iter().map(|(id, _)| *id).collect();
            let written = Arc::new(AtomicUsize::new(0));
            let (callsite, progress) = (self.callsite, Arc::clone(&written));
            let result = call_subscriber(move || {
                for (_, line) in &lines {
                    if !callsite.write(line) {
                        return false;
                    }
                    progress.fetch_add(1, Ordering::Release);
                }
                true
            })
            .await;
            let mut taken = self.taken();
            match result {
                Some(true) => {
                    if !taken.is_empty() {
                        events.iter().for_each(|event| _ = taken.remove(&event.event_id));
                    }
                    return Ok(());
                }
                Some(false) | None => {
                    let written = written.load(Ordering::Acquire);
                    if taken.len() + written > MAX_TAKEN {
                        taken.clear();
                    }
                    taken.extend(&ids[..written.min(ids.len())]);
                }
            }
            drop(taken);
            Err(if result.is_some() { self.no_listener(APPEND) } else { interrupted(APPEND) })
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            const HEALTH: &str = "health check";
            self.check_open(HEALTH)?;
            let callsite = self.callsite;
            match call_subscriber(move || callsite.has_listener()).await {
                Some(true) => Ok(()),
                Some(false) => Err(self.no_listener(HEALTH)),
                None => Err(interrupted(HEALTH)),
            }
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(diagnose_sink())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.is_closed.store(true, Ordering::Release);
            Ok(())
        })
    }
}
