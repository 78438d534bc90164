//! The PostgreSQL store by its behaviour, on private clusters.

mod corrupt_rows;
mod database;
mod denials;
mod durability;
mod faulty_network;
mod foreign_clients;
mod hangs;
mod health;
mod idle_sessions;
mod index_rebuild;
mod network_faults;
mod opening_refused;
mod outages;
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
mod terminated_sessions;
pub(crate) mod tls;
mod transactional;
#[path = "../../support/transaction_checks.rs"]
mod transactions;
mod writer_liveness;
