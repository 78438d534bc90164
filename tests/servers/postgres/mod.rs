//! The PostgreSQL store by its behaviour, on private clusters.

mod corrupt_rows;
mod database;
mod denials;
mod durability;
mod faulty_network;
mod hangs;
mod health;
mod idle_sessions;
mod index_rebuild;
mod network_faults;
mod opening_refused;
mod other_readers;
mod outages;
mod parallel_appends;
mod partition_functions;
mod partitions;
pub(crate) mod proxy;
mod purge;
mod query_plans;
mod retention;
mod rights;
mod scheduling_delay;
mod schema_damage;
mod script;
mod session_monitor;
mod session_settings;
mod silent_discards;
pub(crate) mod support;
pub(crate) mod tls;
mod transactional;
#[path = "../../support/transaction_checks.rs"]
mod transactions;
mod writer_liveness;
