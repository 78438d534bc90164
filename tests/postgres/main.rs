//! The PostgreSQL store by its behaviour, on private clusters; the suite of all stores is in `tests/stores`.

mod census;
#[path = "../support/postgres.rs"]
mod cluster;
mod database;
mod discarding;
mod durability;
mod hangs;
mod health;
mod idle;
mod in_transaction;
mod indexes;
mod machine;
mod months;
#[path = "../fault/support/namespace.rs"]
mod namespace;
mod orphans;
mod other_readers;
mod outages;
mod parallel;
mod partitions;
mod plans;
mod proxy;
mod purging;
mod rights;
mod sabotage;
mod script;
mod sessions;
mod storm;
mod strays;
mod support;
mod tls;
#[path = "../support/transactions.rs"]
mod transactions;
mod versions;
mod weather;
