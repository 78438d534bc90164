//! The stream as this store has known it: a stream that was made again, or put back to an earlier state, has lost events.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::stream::StreamInfo;

/// The stream as this store has known it.
#[derive(Default)]
pub(super) struct History(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The time at which the stream was made, as the server writes it.
    created: Option<String>,
    /// The highest sequence number that was acknowledged.
    newest: u64,
    /// True if a new message had a number that was acknowledged before.
    is_behind: bool,
    /// The time since which the stream ends before the newest acknowledged message.
    short_since: Option<Instant>,
    /// Streams that took the place of another one.
    replaced: u64,
    is_lost: bool,
}

/// A change of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// Another stream has its name. It takes events; those of the one before it are gone.
    Replaced,
    /// The stream has lost messages that it has acknowledged.
    Lost,
}

impl History {
    pub(super) fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// Notes the acknowledgement of a message that was published after `before` was the newest number. Returns false if
    /// the number shows that the stream is another one, or has lost messages.
    ///
    /// Example: 41 is acknowledged, then a message is published. Its number is 42 or more, whatever other writers do.
    pub(super) fn acknowledged(&self, seq: u64, is_duplicate: bool, before: u64) -> bool {
        let mut known = self.lock();
        if !is_duplicate && seq <= before {
            known.is_behind = true;
            return false;
        }
        known.newest = known.newest.max(seq);
        true
    }

    /// Compares the stream with what is known of it. `newest` is the newest number from before the stream was asked.
    pub(super) fn compare(&self, info: &StreamInfo, newest: u64) -> Change {
        let mut known = self.lock();
        let is_same = known.created.as_ref().is_none_or(|created| *created == info.created);
        known.created = Some(info.created.clone());
        if !is_same {
            known.newest = info.state.last_seq;
            (known.is_behind, known.short_since) = (false, None);
            known.replaced += 1;
            return Change::Replaced;
        }
        if info.state.last_seq >= newest {
            known.short_since = None;
        } else {
            // A leader that was cut off knows no newer message, and steps down within 10 s.
            let since = *known.short_since.get_or_insert_with(Instant::now);
            known.is_lost |= since.elapsed() >= STALE_LEADER;
        }
        known.is_lost |= known.is_behind;
        if known.is_lost { Change::Lost } else { Change::None }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lock().is_lost
    }

    /// Returns the number of streams that took the place of another one.
    pub(super) fn replaced(&self) -> u64 {
        self.lock().replaced
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No code panics under this lock half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const STALE_LEADER: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(created: &str, last: u64) -> StreamInfo {
        serde_json::from_value(json!({"config": {}, "state": {"last_seq": last}, "created": created})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_that_go_back_tell_of_lost_messages() {
        let history = History::default();
        assert_eq!(history.compare(&info("a", 0), 0), Change::None);
        assert!(history.acknowledged(41, false, 0));
        // Published at the same time as 41.
        assert!(history.acknowledged(40, false, 0));
        assert!(history.acknowledged(7, true, 41), "a duplicate has the number of its first copy");
        assert_eq!(history.compare(&info("a", 41), 41), Change::None);
        assert!(!history.acknowledged(41, false, 41));
        assert_eq!(history.compare(&info("a", 41), 41), Change::Lost);
        assert!(history.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stays_short_has_lost_messages_and_a_stale_leader_has_not() {
        let history = History::default();
        history.compare(&info("a", 0), 0);
        history.acknowledged(41, false, 0);
        assert_eq!(history.compare(&info("a", 40), 41), Change::None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(history.compare(&info("a", 41), 41), Change::None);
        assert_eq!(history.compare(&info("a", 40), 41), Change::None);
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(history.compare(&info("a", 40), 41), Change::Lost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_made_again_takes_events() {
        let history = History::default();
        history.compare(&info("a", 0), 0);
        history.acknowledged(41, false, 0);
        assert!(!history.acknowledged(1, false, 41));
        assert_eq!(history.compare(&info("b", 1), 41), Change::Replaced);
        assert!(history.acknowledged(2, false, 1));
        assert_eq!(history.compare(&info("b", 2), 2), Change::None);
        assert!(!history.is_lost() && history.replaced() == 1);
    }
}
