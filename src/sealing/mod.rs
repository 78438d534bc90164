//! Sealing a store, proving one of its events, and verifying all of it.
//!
//! ```
//! use tower_audit::sealing::{SealKey, Verifier};
//! use tower_audit::{AuditEvent, AuditLog, EventType};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("seal.key");
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // Once, on the machine that seals: a key, and beside it the file with the newest checkpoint.
//! let key = SealKey::create(&path, "example.com/audit")?;
//! let public = key.verifier_key();
//!
//! let log = AuditLog::builder().url("memory:").seal(key).open().await?;
//! log.record(AuditEvent::new(EventType::UPLOAD)).await?;
//! # let store = log.store().unwrap().clone();
//! log.close().await?;
//!
//! let report = Verifier::new(&store, vec![public]).verify(|_| {}).await?;
//! assert!(report.is_intact() && report.size == 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod key_file;
mod retention_key;
mod seal_key;
mod stored_tree;

mod error;

mod status;

mod sealer;

mod key_succession;

mod seal_task;

mod leaf_hash;

mod cosign_request;
mod erasure_check;
mod event_proof;
mod finding;
mod key_chain;
mod pre_purge_check;
mod removal_check;
mod seal_state;
mod signed_pseudonyms;
mod tree_check;
mod verifier;

pub use cosign_request::CosignRequest;
pub use error::{Refusal, SealerError};
pub use event_proof::{EventProof, prove, prove_in};
pub use finding::{Damage, Finding, Report};
pub use key_chain::trusted_keys;
pub use key_succession::KeySuccession;
pub(crate) use pre_purge_check::check_sealed;
pub use retention_key::RetentionKey;
pub use seal_key::{SealKey, SealKeyError};
pub use seal_state::{CheckpointAge, EventSeal, SealState, seal_state};
pub(crate) use seal_task::SealTask;
pub use sealer::{SEAL_INTERVAL, Sealer, Step};
pub use status::SealStatus;
pub use verifier::{SEALER_WAIT, UNSEALED_LIMIT, Verifier};
