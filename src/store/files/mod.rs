//! Files of stores that write files themselves: identity, locks, owners, and folders made durable. On Unix alone.

mod file_key;
mod folder;
mod locked_file;

pub(crate) use file_key::{FileKey, stat};
#[cfg(feature = "jsonl")]
pub(crate) use folder::give;
pub(crate) use folder::{give_to_owner_of, private, sync_folder};
pub(crate) use locked_file::LockedFile;
