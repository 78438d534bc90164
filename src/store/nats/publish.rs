//! Publishing a message until the quorum acknowledges it.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use super::api::{self, Failure, OTHER_SEQUENCE_EXPECTED};
use super::connection::Connection;
use super::error::{APPEND, HEALTH, error, transient};
use super::message::{BatchMessage, STREAM_HEADER};
use crate::store::{StoreError, StoreErrorKind};

/// The acknowledgement of a message.
#[derive(Debug, Deserialize)]
pub(super) struct Acknowledgement {
    stream: String,
    pub(super) seq: u64,
    /// True if the stream had the message already.
    #[serde(default)]
    pub(super) duplicate: bool,
}

/// Publishes a message once, and judges the answer.
///
/// `duplicate: true` is an acknowledgement like any other: the id is a digest of the ids of the events, so the stream has
/// these events under the sequence number that the answer names. A message whose first copy is not stored yet is refused
/// by the server, and tried again.
pub(super) async fn publish(
    connection: &Connection,
    subject: &str,
    stream: &str,
    message: &BatchMessage,
    within: Duration,
) -> Result<Acknowledgement, StoreError> {
    let answer = connection.request(subject, message.headers(stream), message.payload.clone(), within).await;
    let answer = answer.map_err(|failure| Failure::Unanswered(failure).during(APPEND))?;
    let acknowledgement = acknowledged(&answer.payload, stream)?;
    connection.succeed();
    Ok(acknowledgement)
}

/// Reads an acknowledgement by this stream.
fn acknowledged(payload: &[u8], stream: &str) -> Result<Acknowledgement, StoreError> {
    let ack: Acknowledgement = api::read(payload).map_err(|failure| failure.during(APPEND))?;
    if ack.stream != stream {
        let hint = "another stream has acknowledged the message: is the subject mapped, or taken by another stream?";
        return Err(error(StoreErrorKind::Config, APPEND, hint));
    }
    if ack.seq == 0 {
        return Err(transient(APPEND, "the stream has acknowledged the message without a sequence number"));
    }
    Ok(ack)
}

/// Publishes an empty message on an impossible condition: it takes the way of an event up to the stream's leader, which
/// refuses it.
pub(super) async fn probe(
    connection: &Connection,
    subject: &str,
    stream: &str,
    deadline: Instant,
) -> Result<(), StoreError> {
    let mut headers = HeaderMap::new();
    headers.insert(STREAM_HEADER, stream);
    headers.insert("Nats-Expected-Last-Sequence", IMPOSSIBLE_SEQUENCE);
    let within = deadline.saturating_duration_since(Instant::now()).min(PROBE_TIMEOUT);
    let answer = connection.request(subject, headers, Bytes::new(), within).await;
    let answer = answer.map_err(|failure| Failure::Unanswered(failure).during(HEALTH))?;
    match api::read::<Acknowledgement>(&answer.payload) {
        Err(failure) if failure.is(OTHER_SEQUENCE_EXPECTED) => Ok(()),
        Err(failure) => Err(failure.during(HEALTH)),
        Ok(_) => Err(error(
            StoreErrorKind::Config,
            HEALTH,
            "a message was accepted that the stream must refuse: something else than JetStream answers for the subject",
        )),
    }
}

/// The highest number that JSON carries exactly.
const IMPOSSIBLE_SEQUENCE: &str = "9007199254740991";
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_acknowledgement_of_the_stream_counts() {
        assert_eq!(acknowledged(br#"{"stream":"AUDIT-0","seq":7}"#, "AUDIT-0").unwrap().seq, 7);
        assert!(acknowledged(br#"{"stream":"AUDIT-0","seq":7,"duplicate":true}"#, "AUDIT-0").unwrap().duplicate);
        for (answer, kind, named) in [
            (r#"{"stream":"SHOP","seq":7}"#, StoreErrorKind::Config, "another stream has acknowledged"),
            (r#"{"stream":"AUDIT-0","seq":0}"#, StoreErrorKind::Transient, "without a sequence number"),
            (r#"{"stream":"AUDIT-0"}"#, StoreErrorKind::Transient, "none of JetStream's"),
            ("+ACK", StoreErrorKind::Transient, "none of JetStream's"),
            ("", StoreErrorKind::Transient, "none of JetStream's"),
            (
                r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"AUDIT-0","seq":0}"#,
                StoreErrorKind::Transient,
                "the stream is full",
            ),
            (
                r#"{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"},"stream":"SHOP","seq":0}"#,
                StoreErrorKind::Config,
                "another stream takes the subject",
            ),
            (
                r#"{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"seq":0}"#,
                StoreErrorKind::Transient,
                "error 10158",
            ),
            (r#"{"error":{"code":503,"description":"x"}}"#, StoreErrorKind::Transient, "\"x\""),
        ] {
            let error = acknowledged(answer.as_bytes(), "AUDIT-0").unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains(named), "{answer}: {error}");
        }
    }
}
