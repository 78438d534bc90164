//! A log of JSON lines: calls that fail, files that are taken away, processes that share it.

mod failed_calls;
mod full_disk;
mod scene;
mod shared;
mod taken_away;
