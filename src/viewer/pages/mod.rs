//! The pages.

mod error;
mod event;
mod events;
mod overview;

pub(super) use error::reject_method;
pub(super) use event::event;
pub(super) use events::events;
pub(super) use overview::overview;
