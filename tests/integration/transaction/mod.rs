//! Events in an app's own transactions, in one SQLite file. `tests/servers/postgres` has those on PostgreSQL.

mod database;
mod killed;
mod layer;
mod sqlite;
#[path = "../../support/transaction_checks.rs"]
mod transactions;
