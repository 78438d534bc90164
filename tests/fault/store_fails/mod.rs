//! A store that fails under a running server: answers, stored events, and recovery without a restart.

mod assertions;
mod disk_full;
mod file_replaced;
mod files_removed_while_open;
mod index;
mod locked;
mod mute;
mod opening;
mod read_only;
mod sync;

#[cfg(feature = "jsonl")]
pub(crate) use assertions::until_recovered;
#[cfg(feature = "jsonl")]
pub(crate) use disk_full::{until_refused, while_full};
