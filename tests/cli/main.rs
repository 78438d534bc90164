//! The built program, from outside: what it prints, what it leaves in the store, and how it exits.

mod errors;
mod formats;
mod init;
mod purge;
mod reading;
mod support;
