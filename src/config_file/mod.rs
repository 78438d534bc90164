//! Files of settings in TOML and YAML: bounded, and with a line for each value.

mod contents;
mod file_error;
mod spanned_value;

pub(crate) use contents::contents;
pub(crate) use file_error::FileError;
#[cfg(feature = "policy-file")]
pub(crate) use spanned_value::TableEntry;
pub(crate) use spanned_value::{RawValue, SpannedValue};
