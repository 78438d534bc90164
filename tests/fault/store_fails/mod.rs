//! The store fails under a running server: what clients are told, what is kept, and that it recovers by itself.

mod full;
mod gone;
mod index;
mod locked;
mod mute;
mod opening;
mod read_only;
mod refusal;
mod sync;
