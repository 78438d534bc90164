//! The state of an event in the seal, as its page shows it.

use super::safe_html::SafeText;
use super::time::RelativeTime;
#[cfg(feature = "seal")]
use crate::event::Timestamp;
#[cfg(feature = "seal")]
use crate::sealing::{EventSeal, SealState};

/// The section about the seal.
pub(super) struct SealSummary<'a> {
    /// The state in words.
    pub(super) text: String,
    /// True if there is a proof to download.
    pub(super) has_proof: bool,
    /// The newest checkpoint.
    pub(super) checkpoint: Option<CheckpointSummary<'a>>,
}

/// The newest checkpoint of the log.
pub(super) struct CheckpointSummary<'a> {
    pub(super) origin: SafeText<'a>,
    pub(super) size: u64,
    pub(super) time: RelativeTime,
}

impl<'a> SealSummary<'a> {
    /// Describes a state. None for a log that is not sealed.
    #[cfg(feature = "seal")]
    pub(super) fn of(state: &'a SealState, now: Timestamp) -> Option<Self> {
        let index = state.index.unwrap_or_default();
        let text = match (state.state, state.erased) {
            (EventSeal::Waiting, _) => "not sealed yet".to_owned(),
            (EventSeal::Sealed, 0) => format!("sealed as leaf {index}"),
            (EventSeal::Sealed, 1) => format!("sealed as leaf {index}; 1 value was erased"),
            (EventSeal::Sealed, erased) => format!("sealed as leaf {index}; {erased} values were erased"),
            (EventSeal::Damaged, _) => format!("damaged: it is not the event that was sealed as leaf {index}"),
            _ => return None,
        };
        let checkpoint = state.checkpoint.as_ref().map(|checkpoint| CheckpointSummary {
            origin: SafeText::line(&checkpoint.origin),
            size: checkpoint.size,
            time: RelativeTime::new(checkpoint.sealed_at, now),
        });
        Some(Self { text, has_proof: state.state == EventSeal::Sealed, checkpoint })
    }
}
