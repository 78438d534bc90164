//! `doctor`: whether the next event would be kept, and what else is the matter.

use std::io::Write as _;

use tower_audit::store::Diagnostic;

use crate::args::{DoctorArgs, Format};
use crate::doctor::{self, DoctorReport};
use crate::error::CliError;
use crate::output::{OutputTarget, Stdout};
use crate::progress::with_progress;
use crate::store_url::StoreUrl;

/// `url` is none if no store is named.
pub(crate) async fn run(url: Option<StoreUrl>, args: DoctorArgs) -> Result<(), CliError> {
    let mut report = DoctorReport::default();
    match &url {
        Some(url) => {
            report.add([doctor::url_source(url)]);
            report.add(with_progress("looking at the store", doctor::store(&url.url)).await);
        }
        None => report.add([Diagnostic::error(
            "url",
            "no store is named, so that auditing is off",
            "set AUDIT_URL, such as sqlite:/var/lib/app/audit.db, or give --url",
        )]),
    }
    if let Some(path) = &args.policy {
        report.add([doctor::policy(path)]);
    }
    let target = OutputTarget::stdout();
    let mut out = Stdout::new();
    match args.format.unwrap_or_else(|| target.default_format()) {
        Format::Json => report.json(&mut out)?,
        Format::Jsonl => report.json_lines(&mut out)?,
        Format::Csv => report.csv(&target.csv(), &mut out)?,
        Format::Table => report.print(target, &mut out)?,
    }
    out.flush()?;
    match report.error_count() {
        0 => Ok(()),
        wrong => Err(CliError::Unhealthy { wrong }),
    }
}
