//! A store that is broken on purpose.

mod state;
mod store;

mod admin;
mod append;
mod erasure;
mod reader;
mod removal;
mod sealing;

pub use store::FaultyStore;
