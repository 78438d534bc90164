//! Statistics as a bar chart.

use std::borrow::Cow;
use std::io::{self, Write};

use tower_audit::query::{Buckets, HistogramBucket, ValueCount};
use unicode_width::UnicodeWidthStr as _;

use super::report::StatsReport;
use super::time_buckets::DAY;
use crate::output::{BOLD, OutputTarget, PLAIN, cell, ellipsize};

/// The width of the chart without a terminal.
const DEFAULT_COLUMNS: usize = 100;
/// The longest bar: more tells no more.
const LONGEST_BAR: usize = 60;
/// The minimum width of a bar; the values are cut to make room for it.
const SHORTEST_BAR: usize = 8;

impl StatsReport {
    /// A part for each field and one for the time.
    pub(crate) fn draw(&self, target: OutputTarget, out: &mut dyn Write) -> io::Result<()> {
        let columns = target.columns().unwrap_or(DEFAULT_COLUMNS);
        let heading = |text: &str| if target.has_colour() { format!("{BOLD}{text}{PLAIN}") } else { text.to_owned() };
        writeln!(out, "{}", heading(&format!("{} events", self.statistics.total)))?;
        for (field, values) in &self.statistics.by {
            writeln!(out, "\n{}", heading(field.as_str()))?;
            let mut rows: Vec<BarRow<'_>> = values.iter().map(BarRow::of).collect();
            let others = self.statistics.total.saturating_sub(values.iter().map(|value| value.count).sum());
            if others > 0 {
                // No bar: they are many things.
                rows.push(BarRow { is_drawn: false, ..BarRow::drawn("(others)".into(), others) });
            }
            bars(&rows, columns, out)?;
        }
        if let (Some(buckets), Some(histogram)) = (&self.buckets, &self.statistics.histogram) {
            writeln!(out, "\n{}", heading(&format!("activity (UTC), each {}", length(buckets.width_micros()))))?;
            let row = |(n, bucket): (usize, &HistogramBucket)| BarRow::drawn(moment(buckets, n), bucket.count);
            let rows: Vec<BarRow<'_>> = histogram.buckets.iter().enumerate().map(row).collect();
            bars(&rows, columns, out)?;
        }
        Ok(())
    }
}

struct BarRow<'a> {
    label: Cow<'a, str>,
    events: u64,
    is_drawn: bool,
}

impl<'a> BarRow<'a> {
    fn of(value_count: &'a ValueCount) -> Self {
        Self::drawn(cell(value_count.value.as_deref()), value_count.count)
    }

    fn drawn(label: Cow<'a, str>, events: u64) -> Self {
        Self { label, events, is_drawn: true }
    }
}

/// Writes a label, a count and a bar for each row. The longest bar fills its column.
fn bars(rows: &[BarRow<'_>], columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let scale = rows.iter().filter(|row| row.is_drawn).map(|row| row.events).max().unwrap_or(0);
    let digits = rows.iter().map(|row| row.events.to_string().len()).max().unwrap_or(0);
    let widest = rows.iter().map(|row| row.label.width()).max().unwrap_or(0);
    // Two blanks before each of the three.
    let room = columns.saturating_sub(6 + digits);
    let label_room = widest.min(room.saturating_sub(SHORTEST_BAR)).max(1);
    let bar_room = room.saturating_sub(label_room).min(LONGEST_BAR);
    for BarRow { label, events, is_drawn } in rows {
        let label = ellipsize(label, label_room);
        let fill = label_room.saturating_sub(label.width());
        let bar = if *is_drawn { bar(*events, scale, bar_room) } else { String::new() };
        let line = format!("  {label}{:fill$}  {events:digits$}  {bar}", "");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// As long as it should be, to an eighth of a character. Something is never drawn as nothing.
fn bar(events: u64, scale: u64, room: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if events == 0 || scale == 0 {
        return String::new();
    }
    let most = u128::try_from(room * 8).unwrap_or(0);
    let eighths = usize::try_from(u128::from(events) * most / u128::from(scale)).unwrap_or(0).max(1);
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

fn moment(buckets: &Buckets, n: usize) -> Cow<'static, str> {
    let mut text = buckets.start_of(n).to_string().replace('T', " ");
    text.truncate(
        match buckets.width_micros() {
            ..60_000_000 => "2026-05-25 12:00:00",
            60_000_000..DAY => "2026-05-25 12:00",
            _ => "2026-05-25",
        }
        .len(),
    );
    text.into()
}

fn length(micros: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = micros / 1_000_000;
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| seconds % unit == 0).unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("one {name}"),
        count => format!("{count} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: &[(&str, u64)], columns: usize) -> String {
        let rows: Vec<_> = rows.iter().map(|(label, events)| BarRow::drawn(Cow::Borrowed(label), *events)).collect();
        let mut out = Vec::new();
        bars(&rows, columns, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bars_are_to_scale() {
        assert_eq!(bar(8, 8, 4), "████");
        assert_eq!(bar(4, 8, 4), "██");
        assert_eq!(bar(1, 8, 4), "▌");
        assert_eq!(bar(1, u64::MAX, 4), "▏", "something is not nothing");
        assert_eq!(bar(u64::MAX, u64::MAX, 4), "████");
        assert_eq!(bar(0, 8, 4), "");
        assert_eq!(drawn(&[("a", 10), ("bcd", 5)], 25), "  a    10  ██████████████\n  bcd   5  ███████\n");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = "日本語".repeat(30);
        for columns in 20..200 {
            let text = drawn(&[(long.as_str(), 123_456), ("short", 1), ("x", 0)], columns);
            assert!(text.lines().all(|line| line.width() <= columns), "{columns}: {text}");
            assert_eq!(text.lines().count(), 3);
        }
    }

    #[test]
    fn lengths_have_names() {
        for (seconds, name) in [(1, "one second"), (900, "15 minutes"), (86_400, "one day"), (4 * 604_800, "4 weeks")] {
            assert_eq!(length(seconds * 1_000_000), name);
        }
    }
}
