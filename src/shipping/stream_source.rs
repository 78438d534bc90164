//! The streams of a JetStream cluster as a source.

use std::path::PathBuf;

use super::source::ShipSource;
use crate::event::{AuditEvent, Timestamp};
use crate::store::nats::{ReplayFrom, StreamProgress, StreamReader};
use crate::store::spool::DeadLetters;
use crate::store::{OpenOptions, StoreError, StoreErrorKind, StoreFuture};

/// The events of a [`NatsStore`](crate::store::nats::NatsStore)'s streams, each stream in its order.
///
/// It reads as a durable consumer, whose progress the servers keep: its name is the parameter `consumer` of the URL, by default
/// `ship`. Instances with one name take over from each other: on servers from version 2.11 on, one of them is given messages at a time, and
/// another one five seconds after it is silent. Each target has a consumer of its own.
///
/// # Examples
/// ```no_run
/// # async fn ship(target: std::sync::Arc<dyn tower_audit::store::AuditStore>) -> Result<(), tower_audit::store::StoreError> {
/// use tower_audit::shipping::{Shipper, StreamSource};
///
/// let source = StreamSource::open("nats://app:secret@n1,n2,n3").await?.dead_letters("/var/lib/audit/letters");
/// let mut shipper = Shipper::new(source, target)?.dead_letters("/var/lib/audit/letters");
/// shipper.run(std::future::pending()).await
/// # }
/// ```
#[derive(Debug)]
pub struct StreamSource {
    reader: StreamReader,
    dead_letters: Option<DeadLetters>,
}

impl StreamSource {
    /// Connects, and goes on where the consumer is; a new one begins with the first event.
    ///
    /// # Errors
    /// If the URL is malformed, no server is reached, or there is no stream.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is open; the consumer may have been created.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_from(url, ReplayFrom::Progress).await
    }

    /// As [`open`](Self::open), and moves the consumer to the events that were stored from this moment on, for all of its instances.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn replay_since(url: &str, since: Timestamp) -> Result<Self, StoreError> {
        Self::open_from(url, ReplayFrom::Time(since)).await
    }

    /// As [`open`](Self::open), and moves the consumer to this sequence number of each stream, for all of its instances.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn replay_from(url: &str, sequence: u64) -> Result<Self, StoreError> {
        Self::open_from(url, ReplayFrom::Number(sequence)).await
    }

    async fn open_from(url: &str, from: ReplayFrom) -> Result<Self, StoreError> {
        Ok(Self { reader: StreamReader::open(url, from, OpenOptions::new()).await?, dead_letters: None })
    }

    /// Keeps lines that are no events in this directory, and goes on. Without it, such a line stops the shipping.
    #[must_use]
    pub fn dead_letters(mut self, directory: impl Into<PathBuf>) -> Self {
        self.dead_letters = Some(DeadLetters::of(&directory.into()));
        self
    }

    /// Returns the progress of the consumer on each stream.
    ///
    /// # Errors
    /// If the servers do not answer.
    pub async fn progress(&self) -> Result<Vec<StreamProgress>, StoreError> {
        self.reader.progress().await
    }

    /// Has the servers give no messages to any instance of the consumer until this moment. One that has passed ends a pause. Needs
    /// servers from version 2.11 on.
    ///
    /// # Errors
    /// If the servers do not answer, or cannot do it.
    pub async fn pause(&self, until: Timestamp) -> Result<(), StoreError> {
        self.reader.pause(until).await
    }
}

impl ShipSource for StreamSource {
    fn next(&mut self, at_most: usize) -> StoreFuture<'_, Vec<AuditEvent>> {
        Box::pin(async move {
            loop {
                let batch = self.reader.next(at_most).await?;
                let is_end = batch.unreadable.is_empty();
                for line in batch.unreadable {
                    let name = format!("{}-{}-{}", line.stream, line.number, line.line);
                    let Some(letters) = self.dead_letters.clone() else {
                        return Err(StoreError::new(StoreErrorKind::Corrupt, "ship", "reading the stream").with_hint(format!(
                            "line {} of message {} of stream {:?} is no event: name a directory for dead letters, to set it aside and \
                             go on",
                            line.line, line.number, line.stream
                        )));
                    };
                    let kept =
                        tokio::task::spawn_blocking(move || letters.add_text(name, line.text, line.reason)).await;
                    let kept = kept.map_err(std::io::Error::from).and_then(|kept| kept);
                    kept.map_err(|error| {
                        StoreError::new(StoreErrorKind::Transient, "ship", "keeping a dead letter").with_source(error)
                    })?;
                }
                if !batch.events.is_empty() || is_end {
                    return Ok(batch.events);
                }
                self.reader.acknowledge().await?;
            }
        })
    }

    fn acknowledge(&mut self) -> StoreFuture<'_, ()> {
        Box::pin(self.reader.acknowledge())
    }

    fn acknowledged_until(&self) -> Option<Timestamp> {
        self.reader.acknowledged_until()
    }
}
