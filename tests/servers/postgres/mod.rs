//! The PostgreSQL store by its behaviour, on private clusters.

mod chaos_proxy;
mod corrupt_rows;
mod database;
mod delay_monitor;
mod denials;
mod durability;
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
mod postgres_script;
pub(crate) mod proxy;
mod purge;
mod query_plans;
mod replicas;
mod retention_rights;
mod rights;
mod schema_damage;
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
