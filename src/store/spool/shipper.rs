//! The shipper: moves the events of a spool to its target, in their order, each once by its id.
//!
//! One append at a time: folders of dead processes first, oldest first, then that of this process. A batch counts as shipped when the
//! target has acknowledged it, so whatever dies before that, the batch is appended again, and the target ignores ids that it has.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::backlog::Batch;
use super::delivery_ends::{SpoolEnds, Stopped};
use super::error::{DuringOperation as _, SHIPPING, blocking};
use super::process_folder::ProcessFolder;
use super::spool_state::{Phase, Shared};
use crate::event::{AuditEvent, Timestamp};
use crate::log_lines::log_line;
use crate::store::delivery::Delivery;
use crate::store::{StoreError, chain};

/// The shipper of a spool, as a task.
#[derive(Debug)]
pub(super) struct Shipper {
    shared: Arc<Shared>,
    ends: SpoolEnds,
    delivery: Delivery,
    next_look: Instant,
}

/// A step of the shipper.
enum Step {
    Shipped,
    NothingToShip,
}

/// The end of a pause.
#[derive(Debug, PartialEq, Eq)]
enum Paused {
    Woken,
    Whole,
}

impl Shipper {
    /// Starts the shipper on the current runtime.
    pub(super) fn spawn(shared: Arc<Shared>) {
        shared.state().is_running = true;
        let ends = SpoolEnds::new(Arc::clone(&shared));
        let shipper = Self { shared, ends, delivery: Delivery::default(), next_look: Instant::now() };
        tokio::spawn(shipper.run());
    }

    async fn run(mut self) {
        while let Err(panicked) = AssertUnwindSafe(self.work()).catch_unwind().await {
            drop(panicked);
            log_line(|| tracing::error!("the shipper of the audit spool panicked; it goes on"));
            tokio::time::sleep(AFTER_PANIC).await;
        }
    }

    async fn work(&mut self) {
        loop {
            let phase = *self.shared.phase.borrow();
            if phase == Phase::Stopped {
                return;
            }
            let stepped = self.step().await;
            self.shared.publish_metrics();
            match stepped {
                Ok(Step::Shipped) => {}
                Ok(Step::NothingToShip) if phase == Phase::Draining => return,
                Ok(Step::NothingToShip) => self.idle().await,
                Err(Failure::Stopped) => return,
                Err(Failure::Store(error)) => {
                    let text = chain(&error).to_string();
                    self.shared.change_state(|state| {
                        state.failures += 1;
                        state.target_error = Some(text);
                    });
                    log_line(move || tracing::error!(error = %chain(&error), "the audit spool cannot be read"));
                    self.pause(AFTER_FAILURE).await;
                    // Someone may have removed the folder. If it cannot be made, the next append says so.
                    let own = Arc::clone(&self.shared.own);
                    let _ = blocking(SHIPPING, move || own.ensure().during(SHIPPING)).await;
                }
            }
        }
    }

    /// Ships one batch of the first folder that has one.
    async fn step(&mut self) -> Result<Step, Failure> {
        if self.shared.is_look_due.swap(false, Ordering::AcqRel) || Instant::now() >= self.next_look {
            self.adopt().await?;
        }
        let mut folders = self.shared.adopted();
        folders.push(Arc::clone(&self.shared.own));
        for folder in folders {
            if self.ship_from(&folder).await? {
                return Ok(Step::Shipped);
            }
            if !Arc::ptr_eq(&folder, &self.shared.own) {
                self.leave_shipped().await?;
            }
        }
        Ok(Step::NothingToShip)
    }

    /// Ships a batch. Returns false if there is none.
    async fn ship_from(&mut self, folder: &Arc<ProcessFolder>) -> Result<bool, Failure> {
        let read = Arc::clone(folder);
        let batch = blocking(SHIPPING, move || read.next_batch(MOST_EVENTS).during(SHIPPING)).await?;
        let Some(batch) = batch else { return Ok(false) };
        let count = batch.frames.iter().map(|frame| frame.events).sum();
        let end = batch.end;
        let events = self.set_damage_aside(folder, batch).await?;
        self.delivery.deliver(&mut self.ends, &events).await?;
        let moved = Arc::clone(folder);
        blocking(SHIPPING, move || moved.advance(end, count).during(SHIPPING)).await?;
        self.shared.change_state(|state| {
            state.target_error = None;
            state.shipped_at = Some(Timestamp::now());
        });
        Ok(true)
    }

    /// Returns the events of a batch. What cannot be read becomes a dead letter.
    async fn set_damage_aside(&self, folder: &Arc<ProcessFolder>, batch: Batch) -> Result<Vec<AuditEvent>, StoreError> {
        let (shared, folder) = (Arc::clone(&self.shared), Arc::clone(folder));
        blocking(SHIPPING, move || {
            let mut dead = Vec::new();
            if let Some((at, bytes)) = batch.damage {
                if Arc::ptr_eq(&folder, &shared.own) {
                    shared.is_damaged.store(true, Ordering::Release);
                }
                dead.push((at, bytes, "the bytes were durable in the spool and are damaged".to_owned()));
            }
            let mut events = Vec::new();
            let mut number = 0;
            for line in batch.frames.iter().flat_map(|frame| frame.lines.split(|byte| *byte == b'\n')) {
                number += 1;
                match serde_json::from_slice(line) {
                    Ok(event) => events.push(event),
                    Err(_) if line.is_empty() => {}
                    Err(error) => {
                        let mut at = batch.end;
                        at.offset += number;
                        dead.push((at, line.to_vec(), format!("the event cannot be read: {error}")));
                    }
                }
            }
            for (at, bytes, reason) in dead {
                let text = reason.clone();
                shared.dead_letters.add_bytes(&folder.path, at, &bytes, reason).during(SHIPPING)?;
                shared.change_state(|state| state.dead_letters += 1);
                log_line(move || {
                    tracing::error!(reason = text, "a part of the audit spool was set aside as a dead letter")
                });
            }
            Ok(events)
        })
        .await
    }

    async fn adopt(&mut self) -> Result<(), StoreError> {
        self.next_look = Instant::now() + LOOK_PAUSE;
        let shared = Arc::clone(&self.shared);
        let _adoption = self.shared.adoption.lock().await;
        blocking(SHIPPING, move || shared.adopt().during(SHIPPING)).await
    }

    async fn leave_shipped(&self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let _adoption = self.shared.adoption.lock().await;
        blocking(SHIPPING, move || shared.leave_shipped().during(SHIPPING)).await
    }

    /// Waits for an append, or for a reader who waits for the target. After a moment without either, removes the segment that is shipped.
    async fn idle(&mut self) {
        if self.pause(IDLE).await == Paused::Whole && self.shared.own.backlog().is_shipped() {
            let mut journal = Arc::clone(&self.shared.journal).lock_owned().await;
            // What could not be removed is tried again before the next batch is read.
            let _ = blocking(SHIPPING, move || journal.end_shipped_segment()).await;
            let until_look = self.next_look.saturating_duration_since(Instant::now());
            self.pause(until_look).await;
        }
    }

    /// Waits until the time is over, or the shipper is woken.
    async fn pause(&mut self, time: Duration) -> Paused {
        let woken = pin!(self.shared.wake.notified());
        let slept = pin!(tokio::time::sleep(time));
        match select(woken, slept).await {
            Either::Left(_) => Paused::Woken,
            Either::Right(_) => Paused::Whole,
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.shared.change_state(|state| state.is_running = false);
    }
}

/// The end of a step that has shipped nothing.
enum Failure {
    Stopped,
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// The number of events from which an append takes no further frame.
const MOST_EVENTS: u64 = 1000;
/// The time without an append after which a shipped segment is removed.
const IDLE: Duration = Duration::from_secs(1);
/// The time between two looks for folders of dead processes.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
const AFTER_PANIC: Duration = Duration::from_millis(100);
