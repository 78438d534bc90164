//! The store for MariaDB and MySQL by its behaviour, on private servers of MariaDB.

mod database;
mod durability;
mod hangs;
mod outages;
mod partitions;
mod prepared_statements;
mod rights;
mod schema_damage;
mod support;
mod tls;
mod transactional;
#[allow(clippy::duplicate_mod, reason = "the same checks on another database")]
#[path = "../../support/transaction_checks.rs"]
mod transactions;
