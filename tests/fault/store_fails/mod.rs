//! A store that fails under a running server: answers, stored events, and recovery without a restart.

mod assertions;
mod file_replaced;
mod files_removed_while_open;
mod full_disk;
mod locked;
#[cfg(all(feature = "duckdb", feature = "jsonl"))]
mod new_wal;
mod opening;
mod read_only;
mod shm_removed;
mod stderr_closed;
mod sync;

#[cfg(feature = "jsonl")]
pub(crate) use assertions::until_recovered;
#[cfg(feature = "jsonl")]
pub(crate) use full_disk::{until_refused, while_full};
