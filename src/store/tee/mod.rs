//! `tee:PATH`: several stores that get every event, one of which is read.
//!
//! An append is acknowledged when every required member and enough of the durable ones (the quorum) have acknowledged it. Each
//! member has a queue and a task of its own, so one that is slow, dead or hangs delays nobody else. See `docs/stores/tee.md`.
//!
//! **Durable when** the quorum has made the event durable; a sink never counts. **Ordered** in each member as appended.
//! **Readable when** acknowledged: a read waits for what the member that is read has still to take.
//!
//! An event goes down this table:
//!
//! | file | holds |
//! |---|---|
//! | `builder.rs`, `member.rs`, `quorum.rs`, `file.rs` | the settings |
//! | `late_member.rs` | a member that was not reached at the start |
//! | `store.rs`, `tee_state.rs` | the store, and the state that its handles share |
//! | `acknowledgement.rs` | the members that take an event, and those that must have it |
//! | `append.rs`, `refused_appends.rs` | one append: given to the members, then decided |
//! | `lane.rs`, `delivery.rs` | the queue of a member, and the fate of what is in it |
//! | `lane_worker.rs`, `append_batch.rs` | the appends to a member |
//! | `losses.rs`, `metrics.rs` | the events that a member has not got |
//! | `reader.rs`, `admin.rs`, `cell_erasure.rs`, `orphan_recovery.rs` | the parts |
//! | `health.rs`, `diagnostics.rs`, `closing.rs` | the questions of an operator, and the end |

mod quorum;

mod delivery;
mod losses;
mod metrics;

mod lane;

mod append_batch;
mod lane_worker;

mod acknowledgement;
mod member;
mod refused_appends;

mod tee_state;

mod append;
mod closing;
mod diagnostics;
mod health;

mod store;

mod admin;
mod cell_erasure;
mod orphan_recovery;
mod reader;

mod builder;

#[cfg(feature = "policy-file")]
mod file;
#[cfg(feature = "policy-file")]
mod late_member;

#[cfg(feature = "policy-file")]
pub(super) use file::{OpenedMember, TeeFile};
#[cfg(feature = "policy-file")]
pub(super) use late_member::LateMember;

pub use builder::TeeBuilder;
pub use losses::MAX_LOST_IDS;
pub use member::TeeMember;
pub use quorum::{Quorum, Unmatched};
pub use store::{MemberStatus, TeeStore};

/// The name of the store.
pub(super) const NAME: &str = "tee";
