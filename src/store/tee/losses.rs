//! The acknowledged events that a member has not got.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::EventId;
use crate::log_lines::log_line;
use crate::throttle::Throttle;

/// The largest number of ids of lost events that a member remembers: the latest.
pub const MAX_LOST_IDS: usize = 1024;
/// The largest number of ids in one line of the operator's log.
const IDS_IN_A_LINE: usize = 32;

/// The losses of one member.
#[derive(Debug, Default)]
pub(super) struct Losses {
    lost: Mutex<Lost>,
    lines: Throttle,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Lost {
    pub(super) events: u64,
    /// The latest ids, oldest first.
    pub(super) ids: VecDeque<EventId>,
    /// The number of ids that a line has named, from the oldest event on.
    said: u64,
}

impl Losses {
    /// Counts lost events and says so in the operator's log, at most once a second.
    pub(super) fn add(&self, member: &str, ids: &[EventId], reason: &str) {
        if ids.is_empty() {
            return;
        }
        let mut lost = self.lock();
        lost.events += ids.len() as u64;
        lost.ids.extend(ids);
        let surplus = lost.ids.len().saturating_sub(MAX_LOST_IDS);
        lost.ids.drain(..surplus);
        if self.lines.pass().is_none() {
            return;
        }
        let unsaid = usize::try_from(lost.events - lost.said).unwrap_or(usize::MAX);
        let named: Vec<String> =
            lost.ids.iter().rev().take(unsaid.min(IDS_IN_A_LINE)).map(EventId::to_string).collect();
        lost.said = lost.events;
        let total = lost.events;
        drop(lost);
        let (member, reason, ids) = (member.to_owned(), reason.to_owned(), named.join(" "));
        log_line(move || {
            tracing::error!(
                member,
                events = unsaid,
                total,
                ids,
                reason,
                "a member of the tee has lost acknowledged events"
            );
        });
    }

    pub(super) fn read(&self) -> Lost {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Lost> {
        // Nothing under this lock panics half way through a change.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
