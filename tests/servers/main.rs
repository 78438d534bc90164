//! The stores that are servers by their behaviour, on private servers; the suite of all stores is in `tests/integration/stores`.

#[path = "../support/postgres.rs"]
mod cluster;
#[cfg(feature = "mysql")]
#[path = "../support/mariadb.rs"]
mod mariadb;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mongodb")]
#[path = "../support/mongodb.rs"]
mod mongodb_server;
#[cfg(feature = "mysql")]
mod mysql;
#[path = "../fault/support/namespace.rs"]
mod namespace;
mod nats;
#[path = "../support/nats.rs"]
mod nats_cluster;
mod postgres;
#[path = "../support/private_server.rs"]
mod private_server;
