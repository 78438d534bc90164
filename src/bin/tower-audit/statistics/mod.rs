//! How many events there are of what, and when: asked of the store, and drawn.

mod draw;
mod report;
mod span;

pub(crate) use report::Report;
