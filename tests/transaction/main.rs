//! Events in transactions of an app's own, in one SQLite file. The same on PostgreSQL is in `tests/postgres`.

mod database;
mod killed;
mod layers;
mod sqlite;
#[path = "../support/transactions.rs"]
mod transactions;
