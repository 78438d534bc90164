//! The writer's lease: a counter by which others see that it lives.
//!
//! A writer is a document with a random id and a counter, which it counts up twice a second. For example:
//! - t0: the process dies. t0 + 0.2 s: another starts and reads the count 17. It reads it again every 250 ms.
//! - t0 + 3.2 s: the server has answered all the time, and the count is still 17. The writer is marked as dead, and its open
//!   events are closed.
//!
//! Clocks do not matter, and neither does a server that hangs: its answers must have come all the time. A process that was
//! stopped for longer finds its mark, registers under another id, and takes over the open events that are left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mongodb::bson::{Binary, doc, spec::BinarySubtype};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::collections::Collections;
use super::connection::{Change, Connection, Search};
use super::error::{permanent, transient};
use crate::random::random;
use crate::store::StoreError;

/// A writer.
#[derive(Debug)]
pub(super) struct WriterLease {
    connection: Arc<Connection>,
    names: Collections,
    /// Held while the writer is being registered, so that it is once.
    registering: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    current: Option<Registration>,
    /// The ids under which this writer was taken for dead.
    lost: Vec<Binary>,
}

/// An id, and the task that counts.
#[derive(Debug)]
struct Registration {
    id: Binary,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    /// The time at which the newest successful count was sent.
    counted: Mutex<Instant>,
    is_dead: AtomicBool,
}

impl State {
    fn age(&self) -> Duration {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// The task ends with the writer.
impl Drop for Registration {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WriterLease {
    /// A writer that is not registered yet.
    pub(super) fn new(connection: &Arc<Connection>, names: &Collections) -> Self {
        Self {
            connection: Arc::clone(connection),
            names: names.clone(),
            registering: tokio::sync::Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// The id, whose count is recent.
    pub(super) async fn id(&self) -> Result<Binary, StoreError> {
        if let Some(id) = self.recent() {
            return Ok(id);
        }
        let _once = self.registering.lock().await;
        if let Some(id) = self.recent() {
            return Ok(id);
        }
        // The server did not answer for a while, or the runtime of the task has ended.
        if let Some(id) = self.known() {
            let sent = Instant::now();
            if count(&self.connection, &self.names, &id).await? {
                self.keep(id.clone(), sent);
                return Ok(id);
            }
            self.forget(&id);
        }
        self.register().await
    }

    /// The id if there is one, even if its count is not recent.
    pub(super) fn known(&self) -> Option<Binary> {
        self.held().current.as_ref().map(|registration| registration.id.clone())
    }

    fn recent(&self) -> Option<Binary> {
        let held = self.held();
        let Registration { id, state, task } = held.current.as_ref()?;
        let is_recent = !task.is_finished() && !state.is_dead.load(Ordering::Acquire) && state.age() < RECENT;
        is_recent.then(|| id.clone())
    }

    async fn register(&self) -> Result<Binary, StoreError> {
        let bytes = [random().to_be_bytes(), random().to_be_bytes()].concat();
        let id = Binary { subtype: BinarySubtype::Generic, bytes };
        let sent = Instant::now();
        let change = Change {
            filter: doc! {"_id": id.clone()},
            update: doc! {"$setOnInsert": {"count": 0_i64, "is_dead": false}},
            upsert: true,
            many: false,
        };
        if self.connection.update(DOING, &self.names.writers, [change]).await?.done(DOING)? != 1 {
            return Err(permanent(DOING).with_hint("the server did not keep the writer's document"));
        }
        let lost = self.held().lost.clone();
        if !lost.is_empty() {
            // The requests of these events still run here.
            let change = Change {
                filter: doc! {"writer": {"$in": lost.clone()}, "closing": {"$exists": false}},
                update: doc! {"$set": {"writer": id.clone()}},
                upsert: false,
                many: true,
            };
            self.connection.update(DOING, &self.names.started, [change]).await?.done(DOING)?;
            self.held().lost.retain(|old| !lost.contains(old));
        }
        self.keep(id.clone(), sent);
        Ok(id)
    }

    /// Starts the task that counts.
    fn keep(&self, id: Binary, counted: Instant) {
        let state = Arc::new(State { counted: Mutex::new(counted), is_dead: AtomicBool::new(false) });
        let counter = Counter {
            connection: Arc::clone(&self.connection),
            names: self.names.clone(),
            id: id.clone(),
            state: Arc::clone(&state),
        };
        let task = tokio::spawn(counter.run());
        self.held().current = Some(Registration { id, state, task });
    }

    /// Returns true if the server knows the writer, and nobody has taken it for dead.
    pub(super) async fn is_registered(&self, id: &Binary) -> Result<bool, StoreError> {
        let search = Search { filter: doc! {"_id": id.clone(), "is_dead": false}, limit: Some(1), ..Search::default() };
        let read = async { self.connection.read(DOING).await?.find(&self.names.writers, search).await };
        Ok(!self.connection.within(DOING, read).await?.is_empty())
    }

    /// Drops the id of a writer that was taken for dead.
    pub(super) fn forget(&self, id: &Binary) {
        let mut held = self.held();
        if held.current.as_ref().is_some_and(|registration| registration.id == *id) {
            held.current = None;
            held.lost.push(id.clone());
        }
    }

    /// Marks the writer as dead, so that its open events are closed without waiting.
    pub(super) async fn unregister(&self) -> Result<(), StoreError> {
        // Dropped: the task ends first.
        let Some(id) = self.held().current.take().map(|registration| registration.id.clone()) else { return Ok(()) };
        let change = Change {
            filter: doc! {"_id": id.clone()},
            update: doc! {"$set": {"is_dead": true}},
            upsert: false,
            many: false,
        };
        self.connection.update(LEAVING, &self.names.writers, [change]).await?.done(LEAVING)?;
        delete_if_done(&self.connection, &self.names, LEAVING, &id).await
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes the document of a dead writer without open events.
pub(super) async fn delete_if_done(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    writer: &Binary,
) -> Result<(), StoreError> {
    let search = Search { filter: doc! {"writer": writer.clone()}, limit: Some(1), ..Search::default() };
    if connection.read(doing).await?.find(&names.started, search).await?.is_empty() {
        connection.delete(doing, &names.writers, doc! {"_id": writer.clone(), "is_dead": true}).await?;
    }
    Ok(())
}

/// The task that counts.
struct Counter {
    connection: Arc<Connection>,
    names: Collections,
    id: Binary,
    state: Arc<State>,
}

impl Counter {
    async fn run(self) {
        loop {
            tokio::time::sleep(COUNT_EVERY).await;
            let sent = Instant::now();
            match count(&self.connection, &self.names, &self.id).await {
                Ok(true) => *self.state.counted.lock().unwrap_or_else(PoisonError::into_inner) = sent,
                Ok(false) => return self.state.is_dead.store(true, Ordering::Release),
                // The server is not there: it shows nobody the old count either.
                Err(_) => {}
            }
        }
    }
}

/// Counts up. False if the writer was taken for dead.
async fn count(connection: &Connection, names: &Collections, id: &Binary) -> Result<bool, StoreError> {
    let change = Change {
        filter: doc! {"_id": id.clone(), "is_dead": false},
        update: doc! {"$inc": {"count": 1_i64}},
        upsert: false,
        many: false,
    };
    let reply = connection.update(DOING, &names.writers, [change]).await?;
    let changed = reply.changed;
    match reply.done(DOING)? {
        0 => Ok(false),
        1 if changed == 1 => Ok(true),
        _ => Err(transient(DOING).with_hint("the server did not count up for the writer")),
    }
}

const DOING: &str = "registering the writer";
const LEAVING: &str = "taking the writer's leave";
const COUNT_EVERY: Duration = Duration::from_millis(500);
/// A write-ahead event is appended without a further count up to this age of the last one.
const RECENT: Duration = Duration::from_millis(1500);
