//! The stores that are servers by their behaviour, on private servers; the suite of all stores is in `tests/integration/stores`.

#[path = "../support/postgres.rs"]
mod cluster;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mongodb")]
#[path = "../support/mongodb.rs"]
mod mongodb_server;
#[path = "../fault/support/namespace.rs"]
mod namespace;
mod nats;
#[path = "../support/nats.rs"]
mod nats_cluster;
mod postgres;
