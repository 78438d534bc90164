//! A shield around code of the app's that a request or the writer calls: its subscriber, above all.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`, and lets none of its panics out.
///
/// A line of the log goes through the app's subscriber, and that may panic: `tracing_subscriber::fmt` does so when it can
/// write neither its line nor, to stderr, that it could not. Whoever waits for the writer must not pay for it.
pub(crate) fn catch_panic(f: impl FnOnce()) {
    // What the panic said went to the app's hook; there is nowhere else to say it.
    drop(catch_unwind(AssertUnwindSafe(f)));
}
