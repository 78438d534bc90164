//! A batch of events as messages.

use async_nats::HeaderMap;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::error::{APPEND, error};
use crate::event::limits::MAX_EVENT_BYTES;
use crate::event::{AuditEvent, WriteJson as _, hex};
use crate::store::{StoreError, StoreErrorKind};

/// Events in one message: JSON, one event a line.
///
/// The id is a digest of the ids of the events, so that the same batch has the same id whenever it is published.
pub(super) struct BatchMessage {
    id: String,
    pub(super) payload: Bytes,
}

/// Room for the headers of a message, in bytes: the id, and the name of the stream.
const HEADER_BYTES: usize = 512;
/// The least size of a message that a server and a stream must take, in bytes.
pub(super) const MIN_MESSAGE_BYTES: usize = MAX_EVENT_BYTES + 1 + HEADER_BYTES;
/// Above it a batch is several messages. The servers copy a message between them as a whole.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;

pub(super) const ID_HEADER: &str = "Nats-Msg-Id";
pub(super) const STREAM_HEADER: &str = "Nats-Expected-Stream";

impl BatchMessage {
    /// Divides a batch into messages of at most `limit` bytes, headers included.
    pub(super) fn of_batch(events: &[AuditEvent], limit: usize) -> Result<Vec<Self>, StoreError> {
        let limit = limit.min(MAX_MESSAGE_BYTES).saturating_sub(HEADER_BYTES);
        let mut messages = Vec::new();
        let mut draft = Draft::default();
        for event in events {
            let start = draft.payload.len();
            draft.push(event)?;
            let line = draft.payload.len() - start;
            if line > limit {
                let hint = format!(
                    "an event of {line} bytes is larger than a message may be ({limit} bytes): raise `max_payload` of the servers"
                );
                return Err(error(StoreErrorKind::Permanent, APPEND, hint));
            }
            if draft.payload.len() > limit {
                let mut next = Draft::default();
                next.payload.extend_from_slice(&draft.payload[start..]);
                draft.payload.truncate(start);
                next.add_id(event);
                messages.push(std::mem::replace(&mut draft, next).finish());
            } else {
                draft.add_id(event);
            }
        }
        if !draft.payload.is_empty() {
            messages.push(draft.finish());
        }
        Ok(messages)
    }

    pub(super) fn headers(&self, stream: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ID_HEADER, self.id.as_str());
        headers.insert(STREAM_HEADER, stream);
        headers
    }
}

#[derive(Default)]
struct Draft {
    payload: Vec<u8>,
    ids: Sha256,
}

impl Draft {
    fn push(&mut self, event: &AuditEvent) -> Result<(), StoreError> {
        event.write_json(&mut self.payload).map_err(|cause| {
            error(StoreErrorKind::Permanent, APPEND, "an event cannot be written as JSON").with_source(cause)
        })?;
        self.payload.push(b'\n');
        Ok(())
    }

    fn add_id(&mut self, event: &AuditEvent) {
        self.ids.update(event.event_id.to_bytes());
    }

    fn finish(self) -> BatchMessage {
        let digest: [u8; 32] = self.ids.finalize().into();
        BatchMessage { id: hex::encode(&digest[..16], &mut [0; 32]).to_owned(), payload: self.payload.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    fn events(count: usize) -> Vec<AuditEvent> {
        (0..count).map(|_| AuditEvent::new(EventType::UPLOAD)).collect()
    }

    fn lines(message: &BatchMessage) -> Vec<AuditEvent> {
        let text = std::str::from_utf8(&message.payload).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_id_is_that_of_the_events_and_not_of_their_text() {
        let mut batch = events(3);
        let id = |batch: &[AuditEvent]| BatchMessage::of_batch(batch, usize::MAX).unwrap().remove(0).id;
        let before = id(&batch);
        batch[1].outcome = Some(500);
        assert_eq!(id(&batch), before);
        assert_ne!(id(&batch[..2]), before);
        assert_eq!(before.len(), 32);
    }

    #[test]
    fn a_batch_above_the_limit_is_several_messages_with_every_event_once_and_in_order() {
        let batch = events(100);
        for limit in [1500, 4000, 20_000, usize::MAX] {
            let messages = BatchMessage::of_batch(&batch, limit).unwrap();
            assert!(messages.iter().all(|message| message.payload.len() + HEADER_BYTES <= limit));
            let all: Vec<_> = messages.iter().flat_map(lines).map(|event| event.event_id).collect();
            assert_eq!(all, batch.iter().map(|event| event.event_id).collect::<Vec<_>>());
            let ids: std::collections::HashSet<_> = messages.iter().map(|message| &message.id).collect();
            assert_eq!(ids.len(), messages.len());
        }
        assert!(BatchMessage::of_batch(&[], usize::MAX).unwrap().is_empty());
    }

    #[test]
    fn an_event_above_the_limit_is_an_error_with_the_sizes() {
        let Err(error) = BatchMessage::of_batch(&events(1), 600) else { panic!("it fits") };
        assert_eq!(error.kind(), StoreErrorKind::Permanent);
        assert!(error.to_string().contains("88 bytes"), "{error}");
    }
}
