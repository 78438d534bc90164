//! The PostgreSQL store by its behaviour, on private clusters; the suite of all stores is in `tests/stores`.

#[path = "../support/postgres.rs"]
mod cluster;
mod database;
mod durability;
mod in_transaction;
mod indexes;
mod months;
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
