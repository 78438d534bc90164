//! Sealing a store, proving its events, and finding each manipulation of it.

mod canonical;
mod checked_purge;
mod corpus;
mod erasing;
#[cfg(feature = "postgres")]
mod postgres;
mod purging;
mod racing;
mod referees;
mod rotating;
mod sealer;
mod support;
mod tampering;
mod unsealed_rows;
