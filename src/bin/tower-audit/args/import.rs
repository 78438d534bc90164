//! Options of `import`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tower_audit::import::{ImportFormat, ImportFormatError};

use super::ReportFormat;

#[derive(ClapArgs)]
pub(crate) struct ImportArgs {
    /// The format of the records: an export of this program, Nexus IQ Server's audit.log, or IVRE's events
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub(crate) from: ImportFormat,

    /// Files, plain or gzip; - is standard input. With --from ivre, also a postgres:// URL of IVRE's database, with ?schema= and
    /// ?table= if it is not public.audit_events
    #[arg(value_name = "SOURCE", required_unless_present = "source_url_file")]
    pub(crate) sources: Vec<String>,

    /// A file whose first line is the URL of IVRE's database: for a URL with a password
    #[arg(long, value_name = "FILE")]
    pub(crate) source_url_file: Option<PathBuf>,

    /// The store to import into, as --url
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "url_file"])]
    pub(crate) to: Option<String>,

    /// Read and report, and import nothing. Needs no store
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Stop at the first record that is no event
    #[arg(long)]
    pub(crate) strict: bool,

    /// Output format of the report
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,
}

fn format() -> impl TypedValueParser<Value = ImportFormat> {
    PossibleValuesParser::new(ImportFormat::ALL.iter().map(|format| format.as_str()))
        .try_map(|name| -> Result<ImportFormat, ImportFormatError> { name.parse() })
}
