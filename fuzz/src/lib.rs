//! Promises about any input: a module for each parser of foreign input, with a function `run` that takes
//! any bytes and panics where a promise of the crate is broken. libFuzzer calls them (`fuzz_targets/`), and so does a
//! test of the crate (`tests/integration/fuzz_seeds/`), with the same seeds.

#![forbid(unsafe_code)]

mod choices;
pub mod event;
pub mod export;
pub mod import;
pub mod policy;
pub mod policy_file;
pub mod query_string;
pub mod request;
pub mod seal;
pub mod syslog;
pub mod text_pattern;
pub mod time_expr;
pub mod truncate;
