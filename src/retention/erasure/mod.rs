//! Erasure: blanks one person's values in all events, and records it without a word about the person.

mod erasable_cell;

mod data_subject;

mod erasure_error;
mod erasure_preview;

mod erasure_record;
mod erasure_walk;

#[cfg(feature = "seal")]
mod sealed_erasure;

mod eraser;

#[expect(clippy::module_inception, reason = "the file of `Erasure`")]
mod erasure;

pub use erasure::Erasure;
pub use erasure_error::ErasureError;
pub use erasure_preview::{ErasurePreview, ErasureReport};
