//! A spool: its process is killed, its target is away, its disk is full.

#[cfg(all(feature = "jsonl", feature = "postgres", feature = "sqlite"))]
mod failed_calls;
#[cfg(all(feature = "jsonl", feature = "sqlite"))]
mod full_disk;
#[cfg(feature = "postgres")]
mod outage;
#[cfg(feature = "postgres")]
mod ship_killed;
