//! Retention: deletes events by a plan, and records the deletion in the same log.
//!
//! ```text
//! t0  the plan is counted: the number of events to delete, their first and last time, the number for each rule
//! t1  `started` is durable: the plan, the counts, the actor
//! t2  chunk after chunk is deleted, with pauses in which writers get their turn
//! t3  `completed` is durable: the number of deleted events, and how the purge ended
//! ```
//!
//! A process that dies between t1 and t3 leaves the `started` event, and the next log that opens the store ends it as
//! `unknown`. So no event is deleted without a trace, and the next run with the same plan deletes the rest.
//!
//! An app purges the log that it writes, here once at its start; a timer can repeat it:
//!
//! ```
//! use std::time::Duration;
//! use tower_audit::retention::Purge;
//! use tower_audit::{Actor, AuditEvent, AuditLog, EventType};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let month = Duration::from_secs(30 * 86_400);
//! let log = AuditLog::builder().url("memory:").retention_floor(month).open().await?;
//! # let mut old = AuditEvent::new(EventType::UPLOAD);
//! # old.created_at = "2020-01-01T00:00:00Z".parse()?;
//! # log.record(old).await?;
//! let store = log.store().ok_or("auditing is off")?;
//! let purge = Purge::older_than("180d")?.actor(Actor::user("retention job"));
//! let counted = purge.preview(&**store).await?.events();
//! let report = purge.run(&**store).await?;
//! assert_eq!((counted, report.deleted), (Some(1), 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Plans
//! A [`RetentionPlan`] is a cutoff, a pair of watermarks, or a list of rules (feature `retention-rules`). `docs/retention.md`
//! is the manual.
//!
//! # Sealed logs
//! A purge of a sealed log is signed with a retention key: see `Purge::key`. It deletes events that have a leaf, and no others.
//!
//! # Erasure
//! An [`Erasure`] blanks the values of one person in all events, and leaves the events.
//!
//! # Open events
//! A `started` event is open until its request ends. Deleting it must not break the promise that a crash leaves a trace of
//! each request that had begun:
//! - A rule never deletes an open event. The preview counts it in [`PurgePreview::open`].
//! - A cutoff or a watermark deletes the event with the others, but not the copy that a store keeps for its recovery, until
//!   that is a day old ([`OPEN_COPY_AGE`](crate::store::OPEN_COPY_AGE)). If the process dies, `unknown` is recorded.

mod pacing;
mod plan;
mod purge_error;
mod purge_preview;
mod purge_report;
mod record;

#[cfg(feature = "retention-rules")]
mod rules;

#[cfg(feature = "retention-rules")]
mod rule_evaluation;

mod survey;

#[cfg(feature = "seal")]
mod removal_signer;
#[cfg(feature = "seal")]
mod sealed_removal;

mod delete_chunks;

mod erasure;

mod purge;

pub use erasure::{Erasure, ErasureError, ErasurePreview, ErasureReport};
pub use pacing::{CHUNK_EVENTS, RETRY_TIMEOUT};
pub use plan::{RetentionPlan, WatermarkError};
pub use purge::Purge;
pub use purge_error::PurgeError;
pub use purge_preview::PurgePreview;
pub use purge_report::PurgeReport;

#[cfg(feature = "retention-rules")]
pub use rules::{PatternError, PythonPattern, RetentionRule, RetentionRules, RuleField, RulesError};
