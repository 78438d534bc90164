//! The task that seals beside a log.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::status::SharedStatus;
use super::{SealKey, SealStatus, Sealer};
use crate::event::Timestamp;
use crate::store::{AuditStore, StoreError};

/// The task that seals the store of a log. It ends when this is dropped, after a last step.
#[derive(Debug)]
pub(crate) struct SealTask {
    status: Arc<SharedStatus>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl SealTask {
    /// `on_caught_up` is called with the time of each step that leaves no event unsealed, and with none if the last one does.
    pub(crate) fn spawn(
        runtime: &Handle,
        store: Arc<dyn AuditStore>,
        key: SealKey,
        on_caught_up: impl Fn(Option<Timestamp>) + Send + Sync + 'static,
    ) -> Self {
        let status = Arc::new(SharedStatus::new(on_caught_up));
        let (stop, stopped) = watch::channel(false);
        let task = runtime.spawn(Sealer::new(store, key).run(Arc::clone(&status), stopped));
        Self { status, stop, task: Mutex::new(Some(task)) }
    }

    pub(crate) fn status(&self) -> SealStatus {
        self.status.get()
    }

    /// Fails if events are not sealed any more.
    pub(crate) fn check(&self, store: &'static str) -> Result<(), StoreError> {
        self.status.check(store)
    }

    /// Seals what is left, and ends the task.
    pub(crate) async fn stop(&self) {
        let _ = self.stop.send(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}
