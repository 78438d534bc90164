//! The stores of the model.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tower_audit::AuditEvent;
use tower_audit::store::{AuditStore, Capabilities, Diagnostic, StoreError, StoreErrorKind, StoreFuture};

use super::execution_trace::lock;

/// Keeps events in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Kept(pub(super) Mutex<Vec<AuditEvent>>, pub(super) AtomicU64, pub(super) Mutex<Option<StoreOutage>>);

/// Appends fail, or hang until it is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreOutage {
    pub(super) from: Instant,
    pub(super) until: Instant,
    pub(super) fails: bool,
}

#[derive(Debug, Default)]
pub(super) struct Store(pub(super) Mutex<Arc<Kept>>);

impl AuditStore for Store {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("model")
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        let kept = Arc::clone(&lock(&self.0));
        Box::pin(async move {
            let pause = kept.1.load(Ordering::Relaxed);
            if pause > 0 {
                sleep(Duration::from_millis(pause)).await;
            }
            let outage = *lock(&kept.2);
            if let Some(outage) = outage
                && (outage.from..outage.until).contains(&Instant::now())
            {
                if outage.fails {
                    return Err(StoreError::new(StoreErrorKind::Transient, "model", "append"));
                }
                sleep_until(outage.until).await;
            }
            lock(&kept.0).extend_from_slice(events);
            Ok(())
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
