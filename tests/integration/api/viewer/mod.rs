//! The viewer, through its router: who sees what, and that whatever they see is harmless.

mod gate;
mod headers;
mod history;
mod hostile;
mod html;
mod pages;
mod streaming;
