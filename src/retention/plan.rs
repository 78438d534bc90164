//! The plan of a purge: the events that it selects.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "retention-rules")]
use super::rules::RetentionRules;
use crate::event::Timestamp;
use crate::query::{self, TimeError, parse_cutoff};

/// The events that a purge deletes.
///
/// ```
/// use tower_audit::retention::RetentionPlan;
///
/// let by_age = RetentionPlan::older_than("365d")?;
/// let by_number = RetentionPlan::watermarks(20_000, 18_000)?;
/// // Age takes precedence.
/// assert!(matches!(by_number.or(by_age), RetentionPlan::OlderThan { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RetentionPlan {
    /// Events from before a moment.
    Before(Timestamp),
    /// Events older than an age, counted from the run.
    #[non_exhaustive]
    OlderThan {
        /// The age as it was given. The purge's event holds it.
        text: String,
        /// The age.
        age: Duration,
    },
    /// All but the newest `low` events, by time, then id; if there are more than `high`.
    #[non_exhaustive]
    Watermarks {
        /// The number of events above which a purge deletes.
        high: u64,
        /// The number of events that it leaves.
        low: u64,
    },
    /// Events older than the rule that matches them says.
    #[cfg(feature = "retention-rules")]
    Rules(RetentionRules),
}

impl RetentionPlan {
    /// Events older than `age`, such as `180d` or `2y`; a bare number is seconds.
    ///
    /// # Errors
    /// Those of [`parse_cutoff`].
    pub fn older_than(age: &str) -> Result<Self, TimeError> {
        let (length, _) = parse_cutoff(age, Timestamp::now())?;
        Ok(Self::OlderThan { text: age.to_owned(), age: length })
    }

    /// All but the newest `low` events, if there are more than `high`.
    ///
    /// A purge that was interrupted below `high` is finished by the next run with a plan of watermarks.
    ///
    /// # Errors
    /// If `low` is greater than `high`.
    pub fn watermarks(high: u64, low: u64) -> Result<Self, WatermarkError> {
        if low > high { Err(WatermarkError { high, low }) } else { Ok(Self::Watermarks { high, low }) }
    }

    /// Returns the plan that takes precedence: rules before an age or a moment, those before watermarks. Of two plans of one
    /// kind it is the first.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if other.precedence() > self.precedence() { other } else { self }
    }

    fn precedence(&self) -> u8 {
        match self {
            Self::Watermarks { .. } => 0,
            Self::Before(_) | Self::OlderThan { .. } => 1,
            #[cfg(feature = "retention-rules")]
            Self::Rules(_) => 2,
        }
    }

    /// Returns the plan's name in the purge's event.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Before(_) => "before",
            Self::OlderThan { .. } => "older_than",
            Self::Watermarks { .. } => WATERMARKS,
            #[cfg(feature = "retention-rules")]
            Self::Rules(_) => "rules",
        }
    }

    /// Returns the moment before which events are deleted, of a plan that has one.
    pub(super) fn cutoff(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Before(cutoff) => Some(*cutoff),
            Self::OlderThan { age, .. } => Some(before(*age, now)),
            _ => None,
        }
    }
}

/// Returns the moment before which events are older than `age`; the beginning of time for ages that reach beyond it.
pub(super) fn before(age: Duration, now: Timestamp) -> Timestamp {
    if age.is_zero() { now } else { query::cutoff(age, now).unwrap_or(Timestamp::MIN) }
}

/// The name of the plan of watermarks in the purge's event.
pub(super) const WATERMARKS: &str = "watermarks";

/// A low watermark above the high one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkError {
    high: u64,
    low: u64,
}

impl fmt::Display for WatermarkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { high, low } = self;
        write!(f, "the low watermark {low} is above the high watermark {high}: expected {high} at most")
    }
}

impl std::error::Error for WatermarkError {}
