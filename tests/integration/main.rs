//! The promises that need no process of their own, through the public surface. A folder for each kind; `tests/README.md`
//! has the table.

mod api;
#[cfg(all(feature = "duckdb", unix))]
#[path = "../support/duckdb.rs"]
mod duckdb_library;
#[allow(unreachable_pub, reason = "the fuzz targets are a crate of their own, too")]
mod fuzz_seeds;
#[path = "../support/hostile.rs"]
mod hostile;
mod house;
mod layer;
#[cfg(feature = "mysql")]
#[path = "../support/mariadb.rs"]
mod mariadb_server;
#[cfg(feature = "mongodb")]
#[path = "../support/mongodb.rs"]
mod mongodb_server;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres_server;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "mongodb"))]
#[path = "../support/private_server.rs"]
mod private_server;
mod profiles;
mod retention;
mod seal;
mod stores;
#[cfg(all(feature = "syslog", unix))]
mod syslog;
mod transaction;
