//! The logs that are understood.

use std::fmt;
use std::str::FromStr;

use crate::event::excerpt;

/// A log whose records become events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportFormat {
    /// An export of this crate: JSON lines, a JSON array or CSV, found out by the first byte; in any profile with the whole
    /// event. Lines of a `jsonl:` store, too.
    Export,
    /// The `audit.log` of Nexus IQ Server: JSON lines.
    Iq,
    /// IVRE's events as JSON lines or an array: its documents, the output of its own program, or rows of its table.
    Ivre,
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFormatError(String);

impl ImportFormat {
    /// Every format.
    pub const ALL: &'static [Self] = &[Self::Export, Self::Iq, Self::Ivre];

    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Iq => "iq",
            Self::Ivre => "ivre",
        }
    }
}

impl fmt::Display for ImportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ImportFormat {
    type Err = ImportFormatError;

    fn from_str(text: &str) -> Result<Self, ImportFormatError> {
        Self::ALL.iter().find(|known| known.as_str() == text).copied().ok_or_else(|| ImportFormatError(excerpt(text)))
    }
}

impl fmt::Display for ImportFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no format of an import: expected export, iq or ivre", self.0)
    }
}

impl std::error::Error for ImportFormatError {}
