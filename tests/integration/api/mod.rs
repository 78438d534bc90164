//! The promises of the read API, through its router. One module per theme; nothing here sleeps.

mod access_log;
mod docs;
mod error_order;
mod export;
mod gate;
mod hostile;
mod log_capture;
mod paging;
mod paging_under_load;
#[cfg(feature = "seal")]
mod seal;
mod stats;
mod store_failures;
mod support;
#[cfg(feature = "viewer")]
mod viewer;
