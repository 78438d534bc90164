//! The promises of the read API, through its router. One module per theme; nothing here sleeps.

mod arriving;
mod documented;
mod export;
mod failing;
mod gate;
mod hostile;
mod log;
mod order;
mod paging;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
mod readings;
mod stats;
mod support;
#[cfg(feature = "viewer")]
mod viewer;
