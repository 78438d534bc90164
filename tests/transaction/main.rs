//! Events in an app's own transactions, in one SQLite file. `tests/postgres` has those on PostgreSQL.

mod database;
mod killed;
mod layers;
mod sqlite;
#[path = "../support/transactions.rs"]
mod transactions;
