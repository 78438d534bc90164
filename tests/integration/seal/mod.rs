//! Sealing a store, proving its events, and finding each manipulation of it.

mod canonical;
mod corpus;
#[cfg(feature = "postgres")]
mod postgres;
mod purging;
mod referees;
mod sealer;
mod support;
mod tampering;
