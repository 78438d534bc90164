//! The statistics of a log, and their forms for programs.

use std::io::{self, Write};

use tower_audit::Timestamp;
use tower_audit::export::{Csv, to_json};
use tower_audit::query::{Buckets, Field, Filter, Statistics, StatisticsQuery};
use tower_audit::store::{Reader, statistics};

use super::time_buckets;
use crate::args::Interval;
use crate::error::CliError;

/// The statistics of a log, and the buckets of their histogram.
#[derive(Debug)]
pub(crate) struct StatsReport {
    pub(super) statistics: Statistics,
    /// None if there is no event.
    pub(super) buckets: Option<Buckets>,
}

impl StatsReport {
    /// Counts from the first event, or the start of the filter, to the last one, or the end of the filter.
    pub(crate) async fn of(
        reader: &dyn Reader,
        filter: Filter,
        fields: &[Field],
        top: usize,
        interval: Interval,
    ) -> Result<Self, CliError> {
        let buckets = match time_buckets::of_events(reader, &filter, Timestamp::now()).await? {
            None => None,
            Some((first, last)) => Some(time_buckets::buckets(first, last, interval).ok_or_else(|| {
                CliError::Usage(format!(
                    "--interval: {first} to {last} has more than {} intervals: narrow it with --since, or choose a longer interval",
                    Buckets::MAX_COUNT
                ))
            })?),
        };
        let query = StatisticsQuery::new(filter).by(fields.iter().copied()).top(top).buckets(buckets);
        Ok(Self { statistics: statistics(reader, &query).await?, buckets })
    }

    /// Writes one object.
    pub(crate) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", to_json(&self.statistics)?)
    }

    /// Writes one object a line, with the fields of the CSV records.
    pub(crate) fn json_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        self.records(|by, value, count| {
            writeln!(out, "{}", to_json(&serde_json::json!({ "by": by, "value": value, "count": count }))?)
        })
    }

    /// Writes a header, and a record for each number.
    pub(crate) fn csv(&self, csv: &Csv, out: &mut dyn Write) -> io::Result<()> {
        csv.write_record(["by", "value", "count"].map(Into::into), out)?;
        self.records(|by, value, count| {
            csv.write_record([by.into(), value.unwrap_or_default().into(), count.to_string().into()], out)
        })
    }

    fn records(&self, mut visit: impl FnMut(&str, Option<&str>, u64) -> io::Result<()>) -> io::Result<()> {
        visit("total", None, self.statistics.total)?;
        for (field, values) in &self.statistics.by {
            for value in values {
                visit(field.as_str(), value.value.as_deref(), value.count)?;
            }
        }
        for bucket in self.statistics.histogram.iter().flat_map(|histogram| &histogram.buckets) {
            visit("time", Some(&bucket.since.to_string()), bucket.count)?;
        }
        Ok(())
    }
}
