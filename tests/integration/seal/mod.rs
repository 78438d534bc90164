//! Sealing a store, proving its events, and finding each manipulation of it.

#[cfg(feature = "postgres")]
mod postgres;
mod sealer;
mod support;
mod tampering;
