//! Output formats.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tower_audit::export::{Profile, ProfileError};

/// The output format of events, reports and statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON: events as an array, one a line; a single event, a report or statistics as one object
    Json,
    /// JSON lines: one object a line, and nothing else
    Jsonl,
    /// RFC 4180, with a header; what a spreadsheet would take for a formula gets an apostrophe
    Csv,
    /// Columns for the eye, fitted to the terminal
    Table,
}

/// The output format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// JSON lines: one event a line, and nothing else
    Jsonl,
    /// RFC 4180, with a header; what a spreadsheet would take for a formula gets an apostrophe
    Csv,
    /// A JSON array, one event a line
    Json,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Json => Self::Json,
        }
    }
}

/// The output format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
}

/// The output format of `tail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamFormat {
    /// JSON lines: one event a line, and nothing else
    Jsonl,
    /// RFC 4180, with a header; what a spreadsheet would take for a formula gets an apostrophe
    Csv,
    /// Columns for the eye, fitted to the terminal
    Table,
}

impl From<StreamFormat> for Format {
    fn from(format: StreamFormat) -> Self {
        match format {
            StreamFormat::Jsonl => Self::Jsonl,
            StreamFormat::Csv => Self::Csv,
            StreamFormat::Table => Self::Table,
        }
    }
}

/// The parser of a profile's name, which completions know the names of.
pub(super) fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.iter().map(|profile| profile.as_str()))
        .try_map(|name| -> Result<Profile, ProfileError> { name.parse() })
}
