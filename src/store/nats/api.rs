//! Requests to JetStream's API, and its refusals.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::connection::{Connection, Unanswered};
use super::error::{error, transient};
use crate::store::{StoreError, StoreErrorKind};

/// A request without the answer that was asked for.
#[derive(Debug)]
pub(super) enum Failure {
    Unanswered(Unanswered),
    Refused(Refusal),
    /// The answer is none of JetStream's.
    Unreadable,
}

/// An error that JetStream answers with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) err_code: u32,
    description: String,
}

#[derive(Deserialize)]
struct Refused {
    error: Option<Refusal>,
}

pub(super) const STREAM_NOT_FOUND: u32 = 10059;
pub(super) const CONSUMER_NOT_FOUND: u32 = 10014;
pub(super) const STREAM_NAME_IN_USE: u32 = 10058;
pub(super) const SUBJECT_IN_USE: u32 = 10065;
pub(super) const NOT_ENABLED: u32 = 10076;
pub(super) const NOT_ENABLED_FOR_ACCOUNT: u32 = 10039;
pub(super) const OTHER_STREAM_EXPECTED: u32 = 10060;
pub(super) const OTHER_SEQUENCE_EXPECTED: u32 = 10071;
pub(super) const MESSAGE_TOO_LARGE: u32 = 10054;
pub(super) const STORE_FAILED: u32 = 10077;
pub(super) const STREAM_SEALED: u32 = 10109;

/// Calls the API, and reads the answer.
pub(super) async fn call<T: DeserializeOwned>(
    connection: &Connection,
    subject: &str,
    payload: impl Into<Bytes>,
    deadline: Instant,
) -> Result<T, Failure> {
    let answer = ask(connection, subject, payload, deadline).await;
    if answer.is_ok() {
        connection.succeed();
    }
    answer
}

/// Calls the API over a connection for messages: an answer is no sign that the server acknowledges any.
pub(super) async fn ask<T: DeserializeOwned>(
    connection: &Connection,
    subject: &str,
    payload: impl Into<Bytes>,
    deadline: Instant,
) -> Result<T, Failure> {
    let within = deadline.saturating_duration_since(Instant::now());
    let answer = connection.request(subject, HeaderMap::new(), payload.into(), within).await;
    read(&answer.map_err(Failure::Unanswered)?.payload)
}

/// Reads an answer, or the refusal in it.
pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Failure> {
    let refused: Refused = serde_json::from_slice(payload).map_err(|_| Failure::Unreadable)?;
    match refused.error {
        Some(refusal) => Err(Failure::Refused(refusal)),
        None => serde_json::from_slice(payload).map_err(|_| Failure::Unreadable),
    }
}

impl Failure {
    pub(super) fn is(&self, err_code: u32) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.err_code == err_code)
    }

    /// The error of an operation.
    pub(super) fn during(&self, operation: &'static str) -> StoreError {
        match self {
            Self::Unanswered(Unanswered::Denied) => error(
                StoreErrorKind::Denied,
                operation,
                "the account may not publish to a subject that is needed: grant it (see the store's page)",
            ),
            Self::Unanswered(Unanswered::Disconnected) => transient(operation, "the connection to the server was lost"),
            Self::Unanswered(Unanswered::TimedOut) => {
                transient(operation, "the servers do not answer in time: has the stream a leader?")
            }
            Self::Unanswered(Unanswered::NoResponders) => transient(
                operation,
                "no server answers: the stream has no leader, or JetStream is not enabled for this account",
            ),
            Self::Unreadable => transient(operation, "the answer is none of JetStream's: look at the server"),
            Self::Refused(refusal) => refusal.during(operation),
        }
    }
}

impl Refusal {
    fn during(&self, operation: &'static str) -> StoreError {
        let hint = match self.err_code {
            STREAM_NOT_FOUND => "there is no such stream: create it by opening the log with `create_if_missing`",
            NOT_ENABLED | NOT_ENABLED_FOR_ACCOUNT => {
                "JetStream is not enabled: enable it in the server and for the account"
            }
            OTHER_STREAM_EXPECTED => {
                "another stream takes the subject: set `subject`, or take the subject out of that stream"
            }
            SUBJECT_IN_USE | STREAM_NAME_IN_USE => {
                "another stream has the subject or the name: set `subject` and `stream`, or remove the subject from that stream"
            }
            MESSAGE_TOO_LARGE => "the message is larger than the stream takes: raise its `max_msg_size`",
            STORE_FAILED => {
                "the stream is full, or its disk: raise `max_bytes` or `max_msgs`, or give the servers room"
            }
            STREAM_SEALED => "the stream is sealed: set `stream` to another name",
            _ => "",
        };
        let kind = match (self.err_code, self.code) {
            (
                NOT_ENABLED | NOT_ENABLED_FOR_ACCOUNT | SUBJECT_IN_USE | STREAM_NAME_IN_USE | OTHER_STREAM_EXPECTED,
                _,
            ) => StoreErrorKind::Config,
            (MESSAGE_TOO_LARGE | STREAM_SEALED, _) => StoreErrorKind::Permanent,
            (STREAM_NOT_FOUND, _) => StoreErrorKind::Config,
            (_, 403) => StoreErrorKind::Denied,
            _ => StoreErrorKind::Transient,
        };
        let said = format!("JetStream says {:?} (error {})", self.description, self.err_code);
        let hint = if hint.is_empty() { said } else { format!("{hint}. {said}") };
        error(kind, operation, hint)
    }
}
