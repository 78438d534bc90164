//! A store that fails under a running server: answers, stored events, and recovery without a restart.

mod full;
mod gone;
mod index;
mod locked;
mod mute;
mod opening;
mod read_only;
mod refusal;
mod sync;
