//! Files of settings in TOML and YAML: bounded, and with a line for each value.

mod file_error;
mod read_text;
mod spanned_value;

pub(crate) use file_error::FileError;
pub(crate) use read_text::contents;
#[cfg(feature = "policy-file")]
pub(crate) use spanned_value::TableEntry;
pub(crate) use spanned_value::{RawValue, SpannedValue};
