//! The suite that every store and every wrapper of a store must pass: the contract of [`AuditStore`] as tests.
//!
//! **Outside of semver**: this module is for the authors of stores. A new version may have new checks.
//!
//! There is one list of checks. [`conformance_tests!`](crate::conformance_tests) makes a module of it, with one test
//! for each check, so that no store can leave one out:
//!
//! ```ignore
//! tower_audit::conformance_tests!(memory, || async {
//!     Harness::new(|| async {
//!         let store = MemoryStore::new();
//!         let other = store.clone();
//!         FreshStore::new(Arc::new(store)).reopened_by(move || {
//!             let handle = Arc::new(other.clone()) as Arc<dyn AuditStore>;
//!             async move { handle }
//!         })
//!     })
//!     .without(&[Need::OrphanRecovery])
//! });
//! ```
//!
//! A check that needs a part which the store does not have is skipped, and says so, if the harness admitted that the
//! part is missing ([`Harness::without`]); else the skip is a failure.
//!
//! [`FaultyStore`] breaks a store on purpose. The suite's own tests show with it that each check can fail.
//!
//! [`AuditStore`]: super::AuditStore

mod fault;
mod faulty_store;
mod harness;

mod assertions;
mod fixtures;
mod model;

mod aggregation;
mod appending;
mod erasing;
mod filtering;
mod idempotency;
mod lifecycle;
mod numbers;
mod ordering;
mod orphan_recovery;
mod paging;
mod purging;
mod recreate_and_migrate;
mod removing;
mod round_trip;
mod scale;
mod sealing;
mod text;
mod text_patterns;

mod checks;

pub use fault::Fault;
pub use faulty_store::FaultyStore;
pub use harness::{Backing, Check, FreshStore, Harness, Need, run};
