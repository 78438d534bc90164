//! `stats`: how many events there are of what, and when they were.

use std::io::Write as _;

use tower_audit::Timestamp;
use tower_audit::query::Field;

use super::open_store::{OnMissing, reader, with_store};
use crate::args::{Format, StatsArgs};
use crate::error::CliError;
use crate::output::{OutputTarget, Stdout};
use crate::progress::with_progress;
use crate::stats::StatsReport;

const FIELDS: [Field; 4] = [Field::EventType, Field::UserEmail, Field::Route, Field::Outcome];

pub(crate) async fn run(url: &str, args: StatsArgs) -> Result<(), CliError> {
    let filter = args.filter.filter(Timestamp::now(), false)?;
    let fields = if args.by.is_empty() { &FIELDS[..] } else { &args.by };
    with_store(url, OnMissing::Fail, async |store| {
        let report = StatsReport::of(reader(store)?, filter, fields, args.top, args.interval);
        let report = with_progress("counting", report).await?;
        let target = OutputTarget::stdout();
        let mut out = Stdout::new();
        match args.format.unwrap_or_else(|| target.default_format()) {
            Format::Json => report.json(&mut out)?,
            Format::Jsonl => report.json_lines(&mut out)?,
            Format::Csv => report.csv(&target.csv(), &mut out)?,
            Format::Table => report.draw(target, &mut out)?,
        }
        Ok(out.flush()?)
    })
    .await
}
