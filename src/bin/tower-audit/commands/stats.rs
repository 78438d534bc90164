//! `stats`: how many events there are of what, and when they were.

use std::io::Write as _;

use tower_audit::Timestamp;
use tower_audit::query::Field;

use super::{IfMissing, reader, with_store};
use crate::args::{Format, StatsArgs};
use crate::exit::Failure;
use crate::output::{Output, Target};
use crate::progress::patiently;
use crate::statistics::Report;

const FIELDS: [Field; 4] = [Field::EventType, Field::UserEmail, Field::Route, Field::Outcome];

pub(crate) async fn run(url: &str, args: StatsArgs) -> Result<(), Failure> {
    let filter = args.filter.filter(Timestamp::now())?;
    let fields = if args.of.is_empty() { &FIELDS[..] } else { &args.of };
    with_store(url, IfMissing::Fail, async |store| {
        let report = Report::of(reader(store)?, &filter, fields, args.top, args.by);
        let report = patiently("counting", report).await?;
        let target = Target::stdout();
        let mut out = Output::new();
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
