//! The reference server as its own process, and what may go wrong around it: it is killed, its disk fails, its clients
//! hang up. The log is read from outside, by the program.

#![cfg(unix)]

#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod cluster;
#[cfg(feature = "duckdb")]
#[path = "../support/duckdb.rs"]
mod duckdb_library;
#[cfg(feature = "postgres")]
mod instances;
#[cfg(all(feature = "nats", feature = "postgres"))]
mod jetstream;
#[cfg(feature = "jsonl")]
mod jsonl;
mod kill;
#[cfg(feature = "mysql")]
#[path = "../support/mariadb.rs"]
mod mariadb;
#[cfg(feature = "mongodb")]
#[path = "../support/mongodb.rs"]
mod mongodb_server;
#[cfg(feature = "nats")]
#[path = "../support/nats.rs"]
mod nats_cluster;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "mongodb", feature = "nats"))]
#[path = "../support/private_server.rs"]
mod private_server;
mod retention_killed;
mod shutdown;
mod spool;
mod store_fails;
mod support;
mod syscall_order;
