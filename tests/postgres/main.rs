//! The PostgreSQL store by its behaviour, on private clusters; the suite of all stores is in `tests/stores`.

#[path = "../support/postgres.rs"]
mod cluster;
mod durability;
mod indexes;
mod months;
mod orphans;
mod other_readers;
mod outages;
mod parallel;
mod partitions;
mod plans;
mod proxy;
mod rights;
mod script;
mod sessions;
mod storm;
mod support;
mod tls;
mod versions;
mod weather;
