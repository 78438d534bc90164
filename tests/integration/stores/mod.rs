//! The conformance suite on the stores of this crate, and the proof that each of its checks can fail.

mod conformance_faults;
#[cfg(all(feature = "duckdb", unix))]
mod duckdb;
#[cfg(all(feature = "duckdb", unix))]
mod duckdb_file;
mod faulty_store;
#[cfg(unix)]
mod file_links;
#[cfg(all(feature = "jsonl", unix))]
mod jsonl;
#[cfg(all(feature = "jsonl", unix))]
mod jsonl_archives;
#[cfg(all(feature = "jsonl", unix))]
mod jsonl_files;
#[cfg(all(feature = "jsonl", unix))]
mod jsonl_fixture;
#[cfg(all(feature = "jsonl", unix))]
mod jsonl_removal;
mod matrix;
mod memory;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod privacyidea;
#[cfg(feature = "sqlite")]
mod pryv;
mod recovery_store;
#[cfg(unix)]
mod shipping;
mod skipped_checks;
#[cfg(unix)]
mod spool;
#[cfg(unix)]
mod spool_shipping;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_external_changes;
#[cfg(feature = "sqlite")]
mod sqlite_undecodable;
#[cfg(all(feature = "syslog", unix))]
mod syslog;
mod tee;
mod tee_faults;
#[cfg(feature = "postgres")]
mod tee_postgres;
mod tracing;
