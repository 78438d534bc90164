//! Sealing a store, proving its events, and finding each manipulation of it.

mod canonical;
mod checked_purge;
mod erasing;
#[cfg(all(feature = "jsonl", unix))]
mod jsonl;
mod key_succession;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod purging;
mod racing;
mod referees;
mod sealer;
mod sql_tampering;
mod support;
mod tampering;
mod unsealed_rows;
