//! Output formats.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, ValueEnum};
use tower_audit::export::{EventSource, Profile, ProfileError, ProfileFormat};

use crate::error::CliError;

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

/// The shape of another system for each event.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ProfileArgs {
    /// The shape of each event, that of another system: one event a line, or with --format json an array
    #[arg(long, value_name = "NAME", value_parser = profile())]
    profile: Option<Profile>,

    /// The name of the service whose events these are, for --profile: a URI reference such as shop
    /// [default: tower-audit]
    #[arg(long, value_name = "NAME", requires = "profile")]
    source: Option<EventSource>,
}

impl ProfileArgs {
    /// Returns the writer of events in this shape, as lines or in the format that was asked for; none without a profile.
    pub(crate) fn listing(&self, format: Option<Format>) -> Result<Option<ProfileFormat>, CliError> {
        let Some(profile) = self.profile else { return Ok(None) };
        let source = self.source.clone().unwrap_or_default();
        let problem = match format {
            None | Some(Format::Jsonl) => return Ok(Some(ProfileFormat::lines(profile, source))),
            Some(Format::Json) => match ProfileFormat::array(profile, source) {
                Some(array) => return Ok(Some(array)),
                None => "lines of text",
            },
            Some(Format::Csv) => "no CSV",
            Some(Format::Table) => "no table",
        };
        Err(CliError::Usage(format!("--profile {profile}: it is {problem}: leave --format out")))
    }
}

/// The parser of a profile's name, which completions know the names of.
fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.iter().map(|profile| profile.as_str()))
        .try_map(|name| -> Result<Profile, ProfileError> { name.parse() })
}
