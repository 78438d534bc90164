//! Reading the events of every stream of a log.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::api;
use super::connection::Connection;
use super::connections::Connections;
use super::consumer::{Consumer, Progress, Received, SHIP, Start};
use super::error::config;
use super::url;
use super::url_settings::UrlSettings;
use crate::event::{AuditEvent, Timestamp};
use crate::store::{OpenOptions, StoreError};

/// The streams of a log, each read as a durable consumer of the same name. They take turns.
pub(crate) struct StreamReader {
    settings: UrlSettings,
    connections: Connections,
    timeout: Duration,
    start: Start,
    streams: Vec<Stream>,
    /// The stream to look at next.
    turn: usize,
    listed_at: Option<Instant>,
    taken: Option<Taken>,
}

struct Stream {
    consumer: Consumer,
    /// Every message that was stored before it is acknowledged.
    until: Option<Timestamp>,
}

/// Messages that were handed out, and not acknowledged.
struct Taken {
    stream: usize,
    number: u64,
    until: Option<Timestamp>,
}

/// Events of one stream, in its order.
#[derive(Debug, Default)]
pub(crate) struct StreamBatch {
    pub(crate) events: Vec<AuditEvent>,
    pub(crate) unreadable: Vec<UnreadableLine>,
}

/// A line of a message that is no event.
#[derive(Debug)]
pub(crate) struct UnreadableLine {
    pub(crate) stream: String,
    pub(crate) number: u64,
    /// The number of the line in its message, from 1 on.
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) reason: String,
}

/// The progress of a consumer on one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamProgress {
    /// The name of the stream.
    pub stream: String,
    /// The sequence number up to which every message is shipped.
    pub acknowledged: u64,
    /// The number of messages that wait.
    pub pending: u64,
    /// The number of messages that an instance has taken, and not shipped yet.
    pub unacknowledged: u64,
    /// True while the consumer is paused.
    pub is_paused: bool,
}

/// The place where a stream is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ReplayFrom {
    /// The position of the consumer.
    #[default]
    Progress,
    Number(u64),
    Time(Timestamp),
}

impl StreamReader {
    /// Connects, and finds the streams of the log. A replay moves the consumer for all of its instances.
    pub(crate) async fn open(url: &str, from: ReplayFrom, options: OpenOptions) -> Result<Self, StoreError> {
        let start = match from {
            ReplayFrom::Progress => Start::First,
            ReplayFrom::Number(number) => Start::Number(number.max(1)),
            ReplayFrom::Time(time) => Start::Time(time),
        };
        let mut reader = Self {
            settings: url::parse(url)?,
            connections: Connections::new(),
            timeout: options.timeout,
            start,
            streams: Vec::new(),
            turn: 0,
            listed_at: None,
            taken: None,
        };
        let connection = reader.connection().await?;
        reader.list(&connection, from != ReplayFrom::Progress).await?;
        if reader.streams.is_empty() {
            return Err(config(format!(
                "there is no stream {:?}: a log creates it when it is opened for writing; or correct `stream` and `subject`",
                reader.settings.stream_name(0)
            )));
        }
        Ok(reader)
    }

    /// Returns the next events of one stream, about `at_most`; nothing if every stream is at its end, or paused.
    pub(crate) async fn next(&mut self, at_most: usize) -> Result<StreamBatch, StoreError> {
        // What was not acknowledged comes again.
        self.turn = self.taken.as_ref().map_or(self.turn, |taken| taken.stream);
        loop {
            let connection = self.connection().await?;
            if self.listed_at.is_none_or(|at| at.elapsed() >= LIST_PAUSE) {
                self.list(&connection, false).await?;
            }
            let wait = WAIT / self.streams.len().max(1) as u32;
            for _ in 0..self.streams.len() {
                let number = self.turn % self.streams.len();
                self.turn = number;
                let stream = &mut self.streams[number];
                let messages = stream.consumer.next(&self.settings, &connection, MAX_MESSAGES, wait).await?;
                let mut batch = StreamBatch::default();
                let mut last = None;
                for message in messages {
                    if last.is_some() && batch.events.len() >= at_most {
                        break;
                    }
                    read_lines(message, &mut batch);
                    last = Some((message.number, message.stored_at, message.pending));
                }
                self.turn = number + 1;
                let Some((last, stored_at, pending)) = last else { continue };
                for line in &mut batch.unreadable {
                    line.stream.clone_from(&stream.consumer.stream);
                }
                let until = if pending == 0 { Some(Timestamp::now()) } else { stored_at };
                self.taken = Some(Taken { stream: number, number: last, until });
                if batch.events.is_empty() && batch.unreadable.is_empty() {
                    // A message without a line.
                    self.acknowledge().await?;
                    continue;
                }
                return Ok(batch);
            }
            if self.is_at_end(&connection).await? {
                return Ok(StreamBatch::default());
            }
        }
    }

    /// Acknowledges the events that were returned last.
    pub(crate) async fn acknowledge(&mut self) -> Result<(), StoreError> {
        let Some(taken) = &self.taken else { return Ok(()) };
        let connection = self.connections.get(&self.settings, SHIP, Instant::now() + self.timeout).await?;
        let Some(stream) = self.streams.get_mut(taken.stream) else { return Ok(()) };
        stream.consumer.acknowledge(&self.settings, &connection, taken.number).await?;
        stream.until = taken.until;
        self.taken = None;
        Ok(())
    }

    /// Returns the time up to which every stream is acknowledged.
    pub(crate) fn acknowledged_until(&self) -> Option<Timestamp> {
        self.streams.iter().map(|stream| stream.until).min().flatten()
    }

    pub(crate) async fn progress(&self) -> Result<Vec<StreamProgress>, StoreError> {
        let connection = self.connection().await?;
        let mut all = Vec::with_capacity(self.streams.len());
        for stream in &self.streams {
            let Progress { acknowledged, pending, unacknowledged, is_paused } =
                stream.consumer.progress(&self.settings, &connection).await?;
            let stream = stream.consumer.stream.clone();
            all.push(StreamProgress { stream, acknowledged, pending, unacknowledged, is_paused });
        }
        Ok(all)
    }

    /// Pauses the consumer until this moment, for all of its instances.
    pub(crate) async fn pause(&self, until: Timestamp) -> Result<(), StoreError> {
        let connection = self.connection().await?;
        for stream in &self.streams {
            stream.consumer.pause(&self.settings, &connection, until).await?;
        }
        Ok(())
    }

    async fn connection(&self) -> Result<Arc<Connection>, StoreError> {
        self.connections.get(&self.settings, SHIP, Instant::now() + self.timeout).await
    }

    /// Returns true if nothing waits on any stream, or what waits is paused.
    async fn is_at_end(&mut self, connection: &Connection) -> Result<bool, StoreError> {
        let now = Timestamp::now();
        for stream in &mut self.streams {
            let progress = stream.consumer.progress(&self.settings, connection).await?;
            if progress.is_paused {
                continue;
            }
            if progress.pending > 0 || progress.unacknowledged > 0 {
                return Ok(false);
            }
            stream.until = Some(now);
        }
        Ok(true)
    }

    /// Finds streams that are new, and creates their consumers.
    async fn list(&mut self, connection: &Connection, is_replay: bool) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.timeout;
        let subject = self.settings.api("STREAM.NAMES");
        let filter = json!({"subject": format!("{}.*", self.settings.subject)}).to_string();
        let names: Names =
            api::call(connection, &subject, filter, deadline).await.map_err(|failure| failure.during(SHIP))?;
        let prefix = format!("{}-", self.settings.stream);
        let mut names = names.streams.unwrap_or_default();
        names.retain(|name| name.strip_prefix(&prefix).is_some_and(|number| number.parse::<u32>().is_ok()));
        names.sort();
        for name in names {
            if self.streams.iter().any(|stream| stream.consumer.stream == name) {
                continue;
            }
            let mut consumer = Consumer::new(name, self.settings.consumer.clone());
            if is_replay {
                consumer.delete(&self.settings, connection).await?;
            }
            consumer.create(&self.settings, connection, self.start).await?;
            self.streams.push(Stream { consumer, until: None });
        }
        self.listed_at = Some(Instant::now());
        Ok(())
    }
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let streams: Vec<_> = self.streams.iter().map(|stream| &stream.consumer.stream).collect();
        f.debug_struct("StreamReader").field("streams", &streams).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Names {
    streams: Option<Vec<String>>,
}

/// Reads the lines of a message. Events are made to fit: anyone who may publish may have written them.
fn read_lines(message: &Received, batch: &mut StreamBatch) {
    for (number, line) in message.payload.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<AuditEvent>(line) {
            Ok(mut event) => {
                event.truncate_to_limits();
                batch.events.push(event);
            }
            Err(error) => batch.unreadable.push(UnreadableLine {
                stream: String::new(),
                number: message.number,
                line: number + 1,
                text: String::from_utf8_lossy(line).into_owned(),
                reason: error.to_string(),
            }),
        }
    }
}

/// The messages of one batch, at most.
const MAX_MESSAGES: usize = 64;
/// The wait for a message when there is none.
const WAIT: Duration = Duration::from_millis(500);
/// New streams are found after it.
const LIST_PAUSE: Duration = Duration::from_secs(30);
