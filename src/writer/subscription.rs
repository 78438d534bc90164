//! Durable events as a feed, for the app's own alerts, caches and live views.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, Stream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::catch_panic::catch_panic;
use super::limits::MAX_SUBSCRIPTION_EVENTS;
use crate::event::AuditEvent;

/// One message of a [`Subscription`].
///
/// Exhaustive: a subscriber that ignores a gap would mistake its feed for the log.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a subscriber handles both")]
pub enum Delivery {
    /// An event that the store has acknowledged.
    Event(Arc<AuditEvent>),
    /// A gap: this many events are in the log and not in the feed. They can be read from the store.
    Missed(u64),
}

/// A feed of durable events, from [`AuditLog::subscribe`](super::AuditLog::subscribe).
///
/// # Limits
/// A subscriber may be [`MAX_SUBSCRIPTION_EVENTS`] events behind. For one that is slower, the oldest are dropped and
/// counted in a [`Delivery::Missed`] in their place; the writer never waits. All subscribers of a log share these events,
/// which take at most [`MAX_EVENT_BYTES`](crate::event::limits::MAX_EVENT_BYTES) each and usually about 1 KiB.
pub struct Subscription(Option<broadcast::Receiver<Delivery>>);

impl Subscription {
    /// A feed without messages.
    pub(super) const fn ended() -> Self {
        Self(None)
    }

    /// Waits for the next message. Returns none when the log is closed and everything was delivered, and at once if auditing
    /// is off.
    ///
    /// # Cancel safety
    /// Can be dropped at any time: no message is lost.
    pub async fn recv(&mut self) -> Option<Delivery> {
        match self.0.as_mut()?.recv().await {
            Ok(delivery) => Some(delivery),
            Err(RecvError::Lagged(missed)) => Some(Delivery::Missed(missed)),
            Err(RecvError::Closed) => {
                self.0 = None;
                None
            }
        }
    }

    /// Returns the messages as a stream, which ends as [`recv`](Self::recv) does.
    pub fn into_stream(self) -> impl Stream<Item = Delivery> + Send + Unpin {
        Box::pin(stream::unfold(self, async |mut subscription| Some((subscription.recv().await?, subscription))))
    }
}

/// Omits the events.
impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("is_open", &self.0.is_some()).finish_non_exhaustive()
    }
}

/// The subscribers of a log.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<Feed>);

/// The sending end of the feed.
#[derive(Default)]
enum Feed {
    /// No subscriber came yet: no memory is taken.
    #[default]
    Unused,
    Open(broadcast::Sender<Delivery>),
    /// The worker has ended.
    Closed,
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscribers")
    }
}

impl Subscribers {
    fn lock(&self) -> MutexGuard<'_, Feed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> Subscription {
        let mut feed = self.lock();
        match &*feed {
            Feed::Open(sender) => Subscription(Some(sender.subscribe())),
            Feed::Closed => Subscription::ended(),
            Feed::Unused => {
                let (sender, receiver) = broadcast::channel(MAX_SUBSCRIPTION_EVENTS);
                *feed = Feed::Open(sender);
                Subscription(Some(receiver))
            }
        }
    }

    /// Returns true if there is a subscriber.
    pub(super) fn is_any(&self) -> bool {
        self.sender().is_some()
    }

    fn sender(&self) -> Option<broadcast::Sender<Delivery>> {
        match &*self.lock() {
            Feed::Open(sender) if sender.receiver_count() > 0 => Some(sender.clone()),
            _ => None,
        }
    }

    /// Delivers durable events, and takes them out of the vector if there is a subscriber.
    pub(super) fn deliver(&self, events: &mut Vec<AuditEvent>) {
        let Some(sender) = self.sender() else { return };
        for event in events.drain(..) {
            send(&sender, Delivery::Event(Arc::new(event)));
        }
    }

    /// Delivers one message.
    pub(super) fn send(&self, delivery: Delivery) {
        if let Some(sender) = self.sender() {
            send(&sender, delivery);
        }
    }

    /// Ends every subscription once it has delivered what is left.
    pub(super) fn close(&self) {
        let feed = std::mem::replace(&mut *self.lock(), Feed::Closed);
        // It wakes the subscribers: not under the lock.
        catch_panic(|| drop(feed));
    }
}

/// Sends to all subscribers. They may be gone, which is no error.
fn send(sender: &broadcast::Sender<Delivery>, delivery: Delivery) {
    // The wakers are the app's.
    catch_panic(|| drop(sender.send(delivery)));
}
