//! `doctor`: whether the next event would be kept, and what else is the matter.

use std::io::Write as _;

use tower_audit::store::Finding;

use crate::args::{DoctorArgs, Format};
use crate::doctor::{self, Report};
use crate::exit::Failure;
use crate::output::{Output, Target};
use crate::progress::patiently;
use crate::store_url::StoreUrl;

/// `url` is none if no store is named.
pub(crate) async fn run(url: Option<StoreUrl>, args: DoctorArgs) -> Result<(), Failure> {
    let mut report = Report::default();
    match &url {
        Some(url) => {
            report.add([doctor::named(url)]);
            report.add(patiently("looking at the store", doctor::store(&url.url)).await);
        }
        None => report.add([Finding::wrong(
            "url",
            "no store is named, so that auditing is off",
            "set AUDIT_URL, such as sqlite:/var/lib/app/audit.db, or give --url",
        )]),
    }
    if let Some(path) = &args.policy {
        report.add([doctor::policy(path)]);
    }
    let target = Target::stdout();
    let mut out = Output::new();
    match args.format.unwrap_or_else(|| target.default_format()) {
        Format::Json => report.json(&mut out)?,
        Format::Jsonl => report.json_lines(&mut out)?,
        Format::Csv => report.csv(&target.csv(), &mut out)?,
        Format::Table => report.print(target, &mut out)?,
    }
    out.flush()?;
    match report.wrong() {
        0 => Ok(()),
        wrong => Err(Failure::Unwell { wrong }),
    }
}
