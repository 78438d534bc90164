//! Output formats for events, and the places that they are written to.

mod atomic_file;
mod history;
mod pretty_json;
mod stdout;
mod table;

mod output_target;

#[cfg(test)]
mod fixtures;

pub(crate) use atomic_file::AtomicFile;
pub(crate) use output_target::OutputTarget;
pub(crate) use pretty_json::indented;
pub(crate) use stdout::{Stdout, print_lines};
pub(crate) use table::{BOLD, PLAIN, RED, YELLOW, cell, ellipsize};
