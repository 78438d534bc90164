//! The promises of the read API, through its router. One module per theme; nothing here sleeps.

mod documented;
mod export;
mod failing;
mod gate;
mod hostile;
mod order;
mod paging;
mod readings;
mod stats;
mod support;
#[cfg(feature = "viewer")]
mod viewer;
