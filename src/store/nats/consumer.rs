//! Reading a stream as one of its durable consumers.
//!
//! A consumer is state that the servers keep: the number up to which everything is acknowledged. Instances that read as the same
//! consumer share that state. From version 2.11 on the servers give messages to one of them at a time, and to another one five
//! seconds after it is silent.
//!
//! The order of the stream is kept here: a message is handed out only behind the one before it. Example: an instance dies with 1 to 10. Another one is given
//! 11 to 20, and holds them until the servers have given it 1 to 10, too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::api::{self, CONSUMER_NOT_FOUND, Failure};
use super::connection::Connection;
use super::error::{config, transient};
use super::url_settings::UrlSettings;
use crate::event::Timestamp;
use crate::store::StoreError;

/// One stream, read as a durable consumer.
pub(super) struct Consumer {
    pub(super) stream: String,
    name: String,
    reading: Option<Reading>,
}

/// The state of a consumer while a connection lasts.
struct Reading {
    connection: Arc<Connection>,
    inbox: String,
    messages: Subscriber,
    /// The last request for messages: how many are outstanding, and the time at which the servers forget it.
    requested: usize,
    requested_until: Option<Instant>,
    /// The servers' name for the instance that is given messages.
    pin: Option<String>,
    /// Received, and not handed out.
    held: BTreeMap<u64, Received>,
    /// The number of the next message to hand out.
    next: u64,
    looked_at: Instant,
    /// True if the consumer was deleted: the next one may begin elsewhere.
    is_over: bool,
}

/// A message of a stream.
pub(super) struct Received {
    pub(super) number: u64,
    pub(super) stored_at: Option<Timestamp>,
    /// The messages behind it in the stream.
    pub(super) pending: u64,
    pub(super) payload: Bytes,
    /// The subject for the acknowledgement.
    reply: String,
}

/// The progress of a consumer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The number up to which every message is acknowledged.
    pub(super) acknowledged: u64,
    /// Messages that are not delivered to an instance.
    pub(super) pending: u64,
    /// Messages that an instance has, and has not acknowledged.
    pub(super) unacknowledged: u64,
    pub(super) is_paused: bool,
}

/// The place where a new consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    First,
    Number(u64),
    Time(Timestamp),
}

#[derive(Debug, Deserialize)]
struct ConsumerInfo {
    config: ConsumerConfig,
    ack_floor: Position,
    #[serde(default)]
    num_pending: u64,
    #[serde(default)]
    num_ack_pending: u64,
    #[serde(default)]
    paused: bool,
}

#[derive(Debug, Deserialize)]
struct ConsumerConfig {
    #[serde(default)]
    ack_policy: String,
    #[serde(default)]
    filter_subject: String,
    #[serde(default)]
    opt_start_seq: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Position {
    stream_seq: u64,
}

#[derive(Deserialize)]
struct Anything {}

impl Consumer {
    pub(super) fn new(stream: String, name: String) -> Self {
        Self { stream, name, reading: None }
    }

    /// Returns the messages that follow the last ones, in the order of the stream; none if none comes within `within`.
    ///
    /// # Cancel safety
    /// Messages that a dropped call has received are held for the next one.
    pub(super) async fn next(
        &mut self,
        settings: &UrlSettings,
        connection: &Arc<Connection>,
        at_most: usize,
        within: Duration,
    ) -> Result<Vec<&Received>, StoreError> {
        let deadline = Instant::now() + within;
        let is_current = |reading: &Reading| Arc::ptr_eq(&reading.connection, connection) && !reading.is_over;
        if !self.reading.as_ref().is_some_and(is_current) {
            self.reading = None;
            self.reading = Some(self.begin(settings, connection).await?);
        }
        let request = settings.api(&format!("CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name));
        while let Some(reading) = self.reading.as_mut().filter(|reading| !reading.is_over) {
            while let Some(message) = reading.messages.next().now_or_never() {
                reading.take(message.ok_or_else(lost)?);
            }
            let is_gap = reading.held.keys().next().is_some_and(|first| *first > reading.next);
            if reading.held.contains_key(&reading.next) {
                break;
            }
            if is_gap && reading.looked_at.elapsed() >= LOOK_PAUSE {
                self.look_for_next(settings, connection).await?;
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            reading.request(&request).await?;
            if let Ok(message) = timeout(left.min(LOOK_PAUSE), reading.messages.next()).await {
                reading.take(message.ok_or_else(lost)?);
            }
        }
        let Some(reading) = self.reading.as_ref() else { return Ok(Vec::new()) };
        let ordered = reading.held.range(reading.next..).zip(reading.next..);
        Ok(ordered.take_while(|((number, _), next)| *number == next).map(|((_, one), _)| one).take(at_most).collect())
    }

    /// Acknowledges every message up to this one, and waits until the servers have noted it.
    pub(super) async fn acknowledge(
        &mut self,
        settings: &UrlSettings,
        connection: &Connection,
        number: u64,
    ) -> Result<(), StoreError> {
        let Some(reply) =
            self.reading.as_ref().and_then(|reading| reading.held.get(&number)).map(|one| one.reply.clone())
        else {
            // The connection was lost in between: the messages are delivered again.
            return Ok(());
        };
        let answer = connection.request(&reply, HeaderMap::new(), Bytes::from_static(b"+ACK"), ACK_TIMEOUT).await;
        if let Err(unanswered) = answer {
            let info = self.info(settings, connection).await.map_err(|failure| failure.during(SHIP))?;
            if info.ack_floor.stream_seq < number {
                return Err(Failure::Unanswered(unanswered).during(SHIP));
            }
        }
        if let Some(reading) = self.reading.as_mut() {
            reading.held = reading.held.split_off(&(number + 1));
            reading.next = number + 1;
        }
        Ok(())
    }

    pub(super) async fn progress(
        &self,
        settings: &UrlSettings,
        connection: &Connection,
    ) -> Result<Progress, StoreError> {
        let info = self.info(settings, connection).await.map_err(|failure| failure.during(SHIP))?;
        Ok(Progress {
            acknowledged: info.acknowledged(),
            pending: info.num_pending,
            unacknowledged: info.num_ack_pending,
            is_paused: info.paused,
        })
    }

    /// Creates the consumer if it is missing.
    pub(super) async fn create(
        &self,
        settings: &UrlSettings,
        connection: &Connection,
        start: Start,
    ) -> Result<(), StoreError> {
        match self.info(settings, connection).await {
            Ok(info) if info.config.ack_policy == "all" && info.config.filter_subject.is_empty() => return Ok(()),
            Ok(info) => {
                return Err(config(format!(
                    "consumer {:?} of stream {:?} is none of this crate: its `ack_policy` is {:?} and its filter {:?}; set `consumer` to \
                     another name",
                    self.name, self.stream, info.config.ack_policy, info.config.filter_subject
                )));
            }
            Err(failure) if failure.is(CONSUMER_NOT_FOUND) => {}
            Err(failure) => return Err(failure.during(SHIP)),
        }
        let mut configuration = json!({
            "name": self.name,
            "durable_name": self.name,
            "description": "moves audit events to a store",
            "deliver_policy": "all",
            "ack_policy": "all",
            "ack_wait": ACK_WAIT.as_nanos() as u64,
            "max_deliver": -1,
            "max_ack_pending": MAX_HELD,
            "replay_policy": "instant",
        });
        match start {
            Start::First => {}
            Start::Number(number) => {
                configuration["deliver_policy"] = json!("by_start_sequence");
                configuration["opt_start_seq"] = json!(number);
            }
            Start::Time(time) => {
                configuration["deliver_policy"] = json!("by_start_time");
                configuration["opt_start_time"] = json!(time.to_string());
            }
        }
        if is_at_least_2_11(&connection.server_version()) {
            configuration["priority_groups"] = json!([GROUP]);
            configuration["priority_policy"] = json!("pinned_client");
            configuration["priority_timeout"] = json!(SILENCE.as_nanos() as u64);
        }
        let subject = settings.api(&format!("CONSUMER.CREATE.{}.{}", self.stream, self.name));
        let request = json!({"stream_name": self.stream, "config": configuration}).to_string();
        let created: Result<Anything, _> = api::call(connection, &subject, request, soon()).await;
        match created {
            Ok(_) => Ok(()),
            // Another instance has made it.
            Err(failure) => match self.info(settings, connection).await {
                Ok(_) => Ok(()),
                Err(_) => Err(failure.during(SHIP)),
            },
        }
    }

    /// Deletes the consumer; the next one begins where it is told to.
    pub(super) async fn delete(&mut self, settings: &UrlSettings, connection: &Connection) -> Result<(), StoreError> {
        self.reading = None;
        let subject = settings.api(&format!("CONSUMER.DELETE.{}.{}", self.stream, self.name));
        let deleted: Result<Anything, _> = api::call(connection, &subject, "", soon()).await;
        match deleted {
            Ok(_) => Ok(()),
            Err(failure) if failure.is(CONSUMER_NOT_FOUND) => Ok(()),
            Err(failure) => Err(failure.during(SHIP)),
        }
    }

    /// Has the servers deliver nothing until this moment; one that has passed ends the pause.
    pub(super) async fn pause(
        &self,
        settings: &UrlSettings,
        connection: &Connection,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let subject = settings.api(&format!("CONSUMER.PAUSE.{}.{}", self.stream, self.name));
        let request = json!({"pause_until": until.to_string()}).to_string();
        let paused: Result<Anything, _> = api::call(connection, &subject, request, soon()).await;
        paused.map(|_| ()).map_err(|failure| failure.during(SHIP))
    }

    async fn begin(&self, settings: &UrlSettings, connection: &Arc<Connection>) -> Result<Reading, StoreError> {
        let info = self.info(settings, connection).await.map_err(|failure| failure.during(SHIP))?;
        let (inbox, messages) =
            connection.subscribe().await.map_err(|failure| Failure::Unanswered(failure).during(SHIP))?;
        Ok(Reading {
            connection: Arc::clone(connection),
            inbox,
            messages,
            requested: 0,
            requested_until: None,
            pin: None,
            held: BTreeMap::new(),
            next: info.acknowledged() + 1,
            looked_at: Instant::now(),
            is_over: false,
        })
    }

    /// Asks the servers which message is next: another instance may have acknowledged some, and some may not exist.
    async fn look_for_next(&mut self, settings: &UrlSettings, connection: &Connection) -> Result<(), StoreError> {
        let info = self.info(settings, connection).await.map_err(|failure| failure.during(SHIP))?;
        let Some(reading) = self.reading.as_mut() else { return Ok(()) };
        reading.looked_at = Instant::now();
        reading.next = reading.next.max(info.acknowledged() + 1);
        reading.held = reading.held.split_off(&reading.next);
        // Nobody else has a message: those before the first one here were deleted.
        if info.num_ack_pending <= reading.held.len() as u64
            && let Some(first) = reading.held.keys().next()
        {
            reading.next = *first;
        }
        Ok(())
    }

    async fn info(&self, settings: &UrlSettings, connection: &Connection) -> Result<ConsumerInfo, Failure> {
        let subject = settings.api(&format!("CONSUMER.INFO.{}.{}", self.stream, self.name));
        api::call(connection, &subject, "", soon()).await
    }
}

impl ConsumerInfo {
    fn acknowledged(&self) -> u64 {
        self.ack_floor.stream_seq.max(self.config.opt_start_seq.saturating_sub(1))
    }
}

impl Reading {
    /// Asks for messages, unless an earlier request is open.
    async fn request(&mut self, subject: &str) -> Result<(), StoreError> {
        if self.requested_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let mut request = json!({"batch": MAX_HELD, "expires": REQUEST_TIME.as_nanos() as u64});
        if is_at_least_2_11(&self.connection.server_version()) {
            request["group"] = json!(GROUP);
            if let Some(pin) = &self.pin {
                request["id"] = json!(pin);
            }
        }
        let sent = self.connection.send(subject, &self.inbox, request.to_string()).await;
        sent.map_err(|failure| Failure::Unanswered(failure).during(SHIP))?;
        (self.requested, self.requested_until) = (MAX_HELD, Some(Instant::now() + REQUEST_TIME));
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message.status.map(|status| status.as_u16()) {
            None => {}
            // Heartbeats.
            Some(100) => return,
            Some(423) => {
                // Another instance is given the messages now.
                (self.pin, self.requested_until) = (None, None);
                self.held.clear();
                return;
            }
            Some(status) => {
                let is_deleted = message.description.is_some_and(|text| text.contains("Deleted"));
                self.requested_until = None;
                self.is_over |= status == 503 || is_deleted;
                return;
            }
        }
        if let Some(pin) = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pin-Id")) {
            self.pin = Some(pin.as_str().to_owned());
        }
        self.requested = self.requested.saturating_sub(1);
        if self.requested == 0 {
            self.requested_until = None;
        }
        if let Some(received) = Received::of(message)
            && received.number >= self.next
        {
            self.held.insert(received.number, received);
        }
    }
}

impl Received {
    /// Reads `$JS.ACK.STREAM.CONSUMER.DELIVERED.NUMBER.CONSUMER_NUMBER.TIME.PENDING`, or the form with a domain and an account before
    /// the stream.
    fn of(message: Message) -> Option<Self> {
        let reply = message.reply?.to_string();
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let tokens = if tokens.len() >= 9 { tokens.get(2..)? } else { &tokens[..] };
        let number = |at: usize| tokens.get(at).and_then(|token| token.parse::<u64>().ok());
        let micros = number(5).and_then(|nanos| i64::try_from(nanos / 1000).ok());
        Some(Self {
            number: number(3)?,
            stored_at: micros.and_then(Timestamp::from_micros),
            pending: number(6)?,
            payload: message.payload,
            reply,
        })
    }
}

fn lost() -> StoreError {
    transient(SHIP, "the connection to the server was lost")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

fn is_at_least_2_11(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 11)
}

pub(super) const SHIP: &str = "ship";
const GROUP: &str = "ship";
/// The messages that are delivered and not acknowledged, at most.
const MAX_HELD: usize = 64;
/// A message that is not acknowledged within it is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(20);
/// An instance that asks for nothing for this time is followed by another one.
const SILENCE: Duration = Duration::from_secs(5);
const REQUEST_TIME: Duration = Duration::from_secs(2);
const ACK_TIMEOUT: Duration = Duration::from_secs(1);
const LOOK_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reply: &str) -> Message {
        Message {
            subject: "audit.0".into(),
            reply: Some(reply.into()),
            payload: Bytes::from_static(b"{}"),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn the_place_of_a_message_is_in_its_reply() {
        for reply in [
            "$JS.ACK.AUDIT-0.ship.1.42.7.1796053232354741840.29",
            "$JS.ACK.hub.ACC.AUDIT-0.ship.1.42.7.1796053232354741840.29.x",
        ] {
            let received = Received::of(message(reply)).unwrap_or_else(|| panic!("{reply}"));
            assert_eq!((received.number, received.pending), (42, 29));
            assert_eq!(received.stored_at.unwrap().as_micros(), 1_796_053_232_354_741);
        }
        for reply in ["", "_INBOX.x", "$JS.ACK.", "$JS.ACK.a.b.c", "$JS.ACK.a.b.1.x.1.1.1"] {
            assert!(Received::of(message(reply)).is_none(), "{reply}");
        }
    }

    #[test]
    fn versions_of_servers() {
        for (version, is_new) in [("2.15.1", true), ("2.11.0", true), ("2.10.29", false), ("3.0.0", true), ("", false)]
        {
            assert_eq!(is_at_least_2_11(version), is_new, "{version}");
        }
    }
}
