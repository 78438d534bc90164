//! A store that is broken on purpose.

mod state;
mod store;

mod admin;
mod append;
mod reader;
mod removal;

pub use store::FaultyStore;
