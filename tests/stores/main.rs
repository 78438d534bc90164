//! The conformance suite on the stores of this crate, and the proof that each of its checks can fail.

mod faults;
mod faulty;
mod memory;
mod orphan_memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(feature = "sqlite", unix))]
mod sabotage;
mod sink;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod support;
#[cfg(feature = "sqlite")]
mod undecodable;
