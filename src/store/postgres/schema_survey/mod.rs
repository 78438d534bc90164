//! A survey of the names of a log: its own relations, another application's, or its own and changed.
//!
//! A table is the log's by its columns, whatever the version table says: another application may have dropped ours and
//! made its own. Nothing of another's is touched, and nothing of ours that was changed is mended by a guess: the errors
//! have the statements that an owner can run as they stand.

mod relation;

mod survey;

mod change;
mod strangers;

pub(super) use change::Change;
pub(super) use survey::{Missing, Survey};
