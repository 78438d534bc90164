//! The pages.

mod error;
mod event;
mod events;
mod history;
mod overview;
mod page_request;

pub(super) use error::{error_page, reject_method};
pub(super) use event::event;
pub(super) use events::events;
pub(super) use history::history;
pub(super) use overview::overview;
pub(super) use page_request::PageRequest;
