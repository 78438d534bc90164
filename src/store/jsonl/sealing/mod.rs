//! The seal of a log in files: the folder `PATH.seal`, and the events that have no leaf.
//!
//! | file | holds |
//! |---|---|
//! | `leaves` | of each leaf, in the order of their numbers: the id of the event (16 bytes), and the hash (32) |
//! | `seeds` | of each leaf: 1 and the seed (32 bytes), or zeros once the event was removed |
//! | `nodes-1`, `nodes-2` … | the roots of full tiles of a level, 32 bytes each |
//! | `checkpoints`, `removals` | a line of JSON for each checkpoint, and for each signed removal |
//! | `spans` | the least and the greatest id of each 1,024 leaves; made again if it is missing |
//! | `removing` | the leaves whose seeds go when their events are gone; there while events are removed, and after a crash then |
//! | `lock`, `removing.lock` | locks |
//!
//! **A batch counts once its checkpoint is a whole line.** Leaves, seeds and nodes are written and synced before that, and what a sealer that died has left
//! behind the last checkpoint is overwritten by the next. So a reader, which takes no lock, looks at the newest checkpoint first.

mod json_lines;
mod leaf_spans;
mod memory;
mod seal_files;
mod seed_removal;
mod store_impl;
mod unsealed;

pub(super) use memory::SealMemory;
pub(super) use seal_files::SealFiles;
