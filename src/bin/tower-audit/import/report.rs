//! The report of an import: events, and what could not be mapped, by reason.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use tower_audit::Timestamp;
use tower_audit::import::{ImportNote, ImportRecord, Rejection};

use crate::error::warn;
use crate::sanitize::sanitize_line;

/// The number of records that are named one by one.
const MOST_LINES: usize = 20;
/// The number of different notes that are counted: their names are of the file.
const MOST_NOTES: usize = 200;

/// The fates of the records of an import.
#[derive(Debug, Default)]
pub(crate) struct ImportReport {
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) rejected: u64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    rejections: BTreeMap<Rejection, u64>,
    lines: Vec<(String, u64, Rejection)>,
    notes: BTreeMap<ImportNote, (u64, u64)>,
    other_notes: u64,
}

impl ImportReport {
    /// Counts a record, and says on stderr if it is no event.
    pub(crate) fn add(&mut self, source: &str, record: &ImportRecord) {
        self.records += 1;
        match &record.event {
            Ok(event) => {
                self.events += 1;
                let at = event.created_at;
                self.first = Some(self.first.map_or(at, |first| first.min(at)));
                self.last = Some(self.last.map_or(at, |last| last.max(at)));
            }
            Err(rejection) => {
                self.rejected += 1;
                *self.rejections.entry(*rejection).or_default() += 1;
                if self.lines.len() < MOST_LINES {
                    warn(&format!("{source}:{}: {rejection}", record.line));
                    self.lines.push((source.to_owned(), record.line, *rejection));
                }
            }
        }
        for note in &record.notes {
            if let Some((count, _)) = self.notes.get_mut(note) {
                *count += 1;
            } else if self.notes.len() < MOST_NOTES {
                self.notes.insert(note.clone(), (1, record.line));
            } else {
                self.other_notes += 1;
            }
        }
    }

    /// Writes the report for people.
    pub(crate) fn write_text(&self, is_dry_run: bool, out: &mut dyn Write) -> io::Result<()> {
        let done = if is_dry_run { "would be imported" } else { "imported" };
        writeln!(out, "{} events of {} records {done}", self.events, self.records)?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            writeln!(out, "  from {first} to {last}")?;
        }
        if self.rejected > 0 {
            writeln!(out, "{} records are no events", self.rejected)?;
            for (rejection, count) in &self.rejections {
                writeln!(out, "  {count}: {rejection}")?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(out, "not mapped to a field as it stands")?;
            for (note, (count, line)) in &self.notes {
                writeln!(out, "  {count}: {} (first at line {line})", sanitize_line(&note.to_string()))?;
            }
        }
        if self.other_notes > 0 {
            writeln!(out, "  {}: others", self.other_notes)?;
        }
        Ok(())
    }

    /// Returns the report as JSON.
    pub(crate) fn to_json(&self, is_dry_run: bool) -> Value {
        let lines = self.lines.iter().map(
            |(source, line, rejection)| json!({ "source": source, "line": line, "reason": rejection.to_string() }),
        );
        let notes = self
            .notes
            .iter()
            .map(|(note, (count, line))| json!({ "note": note.to_string(), "count": count, "first_line": line }));
        let rejections: BTreeMap<_, _> =
            self.rejections.iter().map(|(rejection, count)| (rejection.to_string(), count)).collect();
        json!({
            "dry_run": is_dry_run,
            "records": self.records,
            "events": self.events,
            "rejected": self.rejected,
            "first": self.first,
            "last": self.last,
            "rejections": rejections,
            "rejected_lines": lines.collect::<Vec<_>>(),
            "notes": notes.collect::<Vec<_>>(),
            "other_notes": self.other_notes,
        })
    }
}
