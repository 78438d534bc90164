//! The MongoDB store by its behaviour, on private servers.

mod fail_points;
mod hangs;
mod obstacles;
mod other_documents;
mod other_readers;
mod outages;
mod proxy;
mod rights;
mod tls;
mod write_concern;
mod writers;
