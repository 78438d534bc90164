//! What there is to tell, and how it is written for programs.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use tower_audit::Timestamp;
use tower_audit::export::{Csv, to_json};
use tower_audit::query::{Buckets, Field, Filter, ValueCount};
use tower_audit::store::Reader;

use super::time_range;
use crate::args::Interval;
use crate::error::CliError;

/// How many events there are of what, and when they were.
#[derive(Debug)]
pub(crate) struct StatsReport {
    pub(super) total: u64,
    pub(super) tallies: Vec<(Field, Vec<ValueCount>)>,
    /// Nothing if there is no event.
    pub(super) activity: Option<(Buckets, Vec<u64>)>,
}

impl StatsReport {
    /// Asks the store. What arrives meanwhile may be in one part and not in another.
    pub(crate) async fn of(
        reader: &dyn Reader,
        filter: &Filter,
        fields: &[Field],
        top: usize,
        by: Interval,
    ) -> Result<Self, CliError> {
        let total = reader.count(filter).await?;
        let mut tallies = Vec::new();
        for field in fields {
            tallies.push((*field, reader.top_values(filter, *field, top).await?));
        }
        let activity = match time_range::of_events(reader, filter, Timestamp::now()).await? {
            None => None,
            Some((first, last)) => {
                let buckets = time_range::buckets(first, last, by).ok_or_else(|| {
                    CliError::Usage(format!(
                        "--by: {first} to {last} has more than {} intervals: narrow it with --since, or choose a longer interval",
                        Buckets::MAX_COUNT
                    ))
                })?;
                let counts = reader.histogram(filter, &buckets).await?;
                Some((buckets, counts))
            }
        };
        Ok(Self { total, tallies, activity })
    }

    /// One object.
    pub(crate) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let tallies: Map<String, Value> = self
            .tallies
            .iter()
            .map(|(field, tallies)| {
                let values = tallies.iter().map(|tally| json!({ "value": tally.value, "events": tally.count }));
                (field.to_string(), values.collect())
            })
            .collect();
        let activity = self.activity.as_ref().map(|(buckets, counts)| {
            let counts = self.moments(buckets, counts);
            let counts: Value = counts.map(|(begin, events)| json!({ "begin": begin, "events": events })).collect();
            json!({ "seconds": buckets.width_micros() / 1_000_000, "buckets": counts })
        });
        writeln!(out, "{}", to_json(&json!({ "total": self.total, "of": tallies, "activity": activity }))?)
    }

    /// One object a line, as the records of CSV.
    pub(crate) fn json_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        self.records(|of, value, events| {
            writeln!(out, "{}", to_json(&json!({ "of": of, "value": value, "events": events }))?)
        })
    }

    /// A record for each number, under a header.
    pub(crate) fn csv(&self, csv: &Csv, out: &mut dyn Write) -> io::Result<()> {
        csv.write_record(["of", "value", "events"].map(Into::into), out)?;
        self.records(|of, value, events| {
            csv.write_record([of.into(), value.unwrap_or_default().into(), events.to_string().into()], out)
        })
    }

    fn records(&self, mut visit: impl FnMut(&str, Option<&str>, u64) -> io::Result<()>) -> io::Result<()> {
        visit("total", None, self.total)?;
        for (field, tallies) in &self.tallies {
            for tally in tallies {
                visit(field.as_str(), tally.value.as_deref(), tally.count)?;
            }
        }
        if let Some((buckets, counts)) = &self.activity {
            for (begin, events) in self.moments(buckets, counts) {
                visit("time", Some(&begin), events)?;
            }
        }
        Ok(())
    }

    fn moments(&self, buckets: &Buckets, counts: &[u64]) -> impl Iterator<Item = (String, u64)> {
        counts.iter().enumerate().map(|(n, events)| (buckets.start_of(n).to_string(), *events))
    }
}
