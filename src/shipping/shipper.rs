//! The shipper: takes events from a source and appends them to a store.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::time::Instant;

use super::source::ShipSource;
use crate::event::{AuditEvent, Timestamp};
use crate::log_lines::log_line;
use crate::store::delivery::{Delivery, DeliveryEnds, append_caught, is_healthy_caught};
use crate::store::spool::DeadLetters;
use crate::store::{AuditStore, Durability, StoreError, StoreErrorKind, chain};

/// Moves events from a source to a store, in order, one batch after the other.
///
/// # Cancel safety
/// [`step`](Self::step) and [`run`](Self::run) can be dropped: a batch that was taken and not acknowledged is appended again by the next call.
#[derive(Debug)]
pub struct Shipper<S> {
    source: S,
    ends: Ends,
    delivery: Delivery,
    /// Taken from the source, and not acknowledged by the store.
    pending: Vec<AuditEvent>,
    batch_events: usize,
    status: watch::Sender<ShipStatus>,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShipStep {
    /// The number of events that were shipped; 0 if the source has none now.
    pub events: u64,
}

/// The state of a shipper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShipStatus {
    /// The number of events that this shipper has shipped.
    pub events: u64,
    /// The time up to which the source is shipped. The difference to now is the lag.
    pub until: Option<Timestamp>,
    /// The number of events set aside as dead letters.
    pub dead_letters: u64,
    /// The newest error, until something is shipped again. It has no connection string in it.
    pub error: Option<String>,
}

/// A view of a shipper's state, for another task.
#[derive(Debug, Clone)]
pub struct ShipStatusView(watch::Receiver<ShipStatus>);

impl ShipStatusView {
    /// Returns the state now.
    pub fn get(&self) -> ShipStatus {
        self.0.borrow().clone()
    }

    /// Waits for the next change. Returns false once the shipper is gone.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// The store and what is done about its failures.
#[derive(Debug)]
struct Ends {
    target: Arc<dyn AuditStore>,
    dead_letters: Option<DeadLetters>,
    /// The time after which a failing target ends the run.
    give_up: Option<Duration>,
    failing_since: Option<Instant>,
    is_told: bool,
    dead: u64,
    status: watch::Sender<ShipStatus>,
}

impl<S: ShipSource> Shipper<S> {
    /// A shipper from this source to this store.
    ///
    /// # Errors
    /// If the store may lose what it has acknowledged: the source would forget it.
    pub fn new(source: S, target: Arc<dyn AuditStore>) -> Result<Self, StoreError> {
        Self::with_durability(source, target, Durability::Required)
    }

    /// As [`new`](Self::new), and says whether a store that may lose events is refused.
    ///
    /// # Errors
    /// If it is refused.
    pub fn with_durability(source: S, target: Arc<dyn AuditStore>, durability: Durability) -> Result<Self, StoreError> {
        let capabilities = target.capabilities();
        if !capabilities.durable && durability == Durability::Required {
            return Err(error_of(StoreErrorKind::NotDurable).with_hint(format!(
                "`{}:` may lose what it has acknowledged: ship to a durable store",
                capabilities.name
            )));
        }
        let status = watch::Sender::new(ShipStatus::default());
        Ok(Self {
            source,
            ends: Ends {
                target,
                dead_letters: None,
                give_up: None,
                failing_since: None,
                is_told: false,
                dead: 0,
                status: status.clone(),
            },
            delivery: Delivery::default(),
            pending: Vec::new(),
            batch_events: DEFAULT_BATCH,
            status,
        })
    }

    /// Keeps events that the store refuses for good in this directory, as a [spool](crate::store::spool) does: `tower-audit spool list` shows
    /// them. Without it, such an event stops the shipping.
    #[must_use]
    pub fn dead_letters(mut self, directory: impl Into<PathBuf>) -> Self {
        self.ends.dead_letters = Some(DeadLetters::of(&directory.into()));
        self
    }

    /// Gives up when the store has failed for this long. Without it, a failing store is tried for ever.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.ends.give_up = Some(time);
        self
    }

    /// Sets the number of events of one append: about 1,000 by default, at least 1.
    #[must_use]
    pub fn batch_events(mut self, events: usize) -> Self {
        self.batch_events = events.max(1);
        self
    }

    /// Returns a view of the state, which changes with each batch. It outlives the shipper.
    pub fn status(&self) -> ShipStatusView {
        ShipStatusView(self.status.subscribe())
    }

    /// Ships one batch. Errors of the store that may pass are tried again within the call, see [`give_up_after`](Self::give_up_after).
    ///
    /// # Errors
    /// If the source cannot be read; if the store has failed for too long.
    pub async fn step(&mut self) -> Result<ShipStep, StoreError> {
        if self.pending.is_empty() {
            self.pending = self.source.next(self.batch_events).await?;
        }
        self.delivery.deliver(&mut self.ends, &self.pending).await?;
        self.source.acknowledge().await?;
        let events = self.pending.len() as u64;
        self.pending.clear();
        let (until, dead_letters) = (self.source.acknowledged_until(), self.ends.dead);
        self.status.send_modify(|status| {
            status.events += events;
            *status = ShipStatus { events: status.events, until, dead_letters, error: None };
        });
        Ok(ShipStep { events })
    }

    /// Ships until `stop` is ready. While the source has no event, asks it again every second; an error of the source is tried again, too.
    ///
    /// # Errors
    /// If the store has failed for too long, see [`give_up_after`](Self::give_up_after), or the source for good.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        let mut stop = pin!(stop);
        let mut failing_since: Option<Instant> = None;
        loop {
            let stepped = match select(pin!(self.step()), stop.as_mut()).await {
                Either::Left((stepped, _)) => stepped,
                Either::Right(_) => return Ok(()),
            };
            let pause = match stepped {
                Ok(ShipStep { events: 1.. }) => Duration::ZERO,
                Ok(_) => {
                    failing_since = None;
                    POLL_PAUSE
                }
                Err(error) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if !error.is_transient() || self.ends.give_up.is_some_and(|limit| since.elapsed() >= limit) {
                        return Err(error);
                    }
                    self.ends.tell(&error);
                    POLL_PAUSE
                }
            };
            if let Either::Right(_) = select(pin!(tokio::time::sleep(pause)), stop.as_mut()).await {
                return Ok(());
            }
        }
    }
}

impl Ends {
    fn tell(&mut self, error: &StoreError) {
        let text = chain(error).to_string();
        self.status.send_modify(|status| status.error = Some(text.clone()));
        if !std::mem::replace(&mut self.is_told, true) {
            log_line(move || tracing::warn!(error = text, "audit events are not shipped for now"));
        }
    }
}

impl DeliveryEnds for Ends {
    type Stop = StoreError;

    async fn append(&mut self, events: &[AuditEvent]) -> Result<(), StoreError> {
        append_caught(&*self.target, events, "ship").await
    }

    async fn is_healthy(&mut self) -> bool {
        is_healthy_caught(&*self.target).await
    }

    async fn set_aside(&mut self, event: &AuditEvent, reason: &StoreError) -> Result<bool, StoreError> {
        let Some(letters) = self.dead_letters.clone() else { return Ok(false) };
        let (event, text) = (event.clone(), chain(reason).to_string());
        let kept = tokio::task::spawn_blocking(move || letters.add_event(event, text)).await;
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            error_of(StoreErrorKind::Transient).with_hint("the dead letter cannot be kept").with_source(error)
        };
        kept.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))?;
        self.dead += 1;
        Ok(true)
    }

    async fn fail(&mut self, error: StoreError, pause: Duration) -> Result<(), StoreError> {
        self.tell(&error);
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        // An event that a healthy store refuses is refused again.
        if self.give_up.is_some_and(|limit| since.elapsed() >= limit) {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn succeed(&mut self) {
        self.failing_since = None;
        if std::mem::take(&mut self.is_told) {
            log_line(|| tracing::info!("audit events are shipped again"));
        }
    }
}

fn error_of(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "ship", "shipping")
}

const DEFAULT_BATCH: usize = 1000;
/// The time between two questions for new events.
const POLL_PAUSE: Duration = Duration::from_secs(1);
