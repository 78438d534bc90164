//! A bar chart of events over time, also as a table.

use super::links::Links;
use super::safe_html::Thousands;
use super::time::span;
use crate::event::Timestamp;
use crate::query::{HistogramBucket, Statistics};

/// The width of a bar with its gap, and the height of the tallest bar, in units of the drawing.
const STEP: usize = 10;
const HEIGHT: f64 = 100.0;
/// The least height, so that one event beside a million is visible.
const LEAST_HEIGHT: f64 = 2.0;

#[derive(Debug)]
pub(super) struct BarChart {
    pub(super) width: usize,
    pub(super) bars: Vec<Bar>,
    pub(super) most: Thousands,
    /// Times along the bottom.
    pub(super) begin: String,
    pub(super) middle: String,
    pub(super) end: String,
    /// True if the failed events are counted.
    pub(super) has_failures: bool,
    pub(super) failures: Thousands,
    /// The width of a bar in time, in words.
    pub(super) step: String,
}

#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) height: String,
    pub(super) y: String,
    pub(super) failed_height: String,
    pub(super) failed_y: String,
    pub(super) events: u64,
    pub(super) failed: u64,
    pub(super) span: String,
    pub(super) href: String,
    /// True if events of the page are in the bar.
    pub(super) is_on_page: bool,
}

impl Bar {
    pub(super) fn count(&self) -> Thousands {
        Thousands(self.events)
    }

    pub(super) fn failures(&self) -> Thousands {
        Thousands(self.failed)
    }
}

impl BarChart {
    /// Draws the histogram of `all`. `failed` has the same buckets, or is missing; `here` is the time of the oldest and
    /// the newest event of the page.
    pub(super) fn draw(
        all: &Statistics,
        failed: Option<&Statistics>,
        here: Option<(Timestamp, Timestamp)>,
        links: &Links,
        given: &[(&'static str, String)],
    ) -> Self {
        let failed = failed.map(buckets);
        let buckets = buckets(all);
        let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
        let height = |events: u64| match events {
            0 => 0.0,
            some => (some as f64 / most as f64 * HEIGHT).max(LEAST_HEIGHT),
        };
        let bar = |(n, bucket): (usize, &HistogramBucket)| {
            let failed = failed.and_then(|failed| failed.get(n)).map_or(0, |bucket| bucket.count);
            let (high, failed_high) = (height(bucket.count), height(failed));
            let (since, until) = (bucket.since.to_string(), bucket.until.to_string());
            let others = given.iter().map(|(name, value)| (*name, value.as_str()));
            let others = others.filter(|(name, _)| !matches!(*name, "since" | "until"));
            Bar {
                x: n * STEP,
                height: format!("{high:.1}"),
                y: format!("{:.1}", HEIGHT - high),
                failed_height: format!("{failed_high:.1}"),
                failed_y: format!("{:.1}", HEIGHT - failed_high),
                events: bucket.count,
                failed,
                span: span(bucket.since, bucket.until),
                href: links.list(others.chain([("since", since.as_str()), ("until", until.as_str())])),
                is_on_page: here.is_some_and(|(oldest, newest)| bucket.since <= newest && oldest < bucket.until),
            }
        };
        let at =
            |place: Option<Timestamp>| place.map_or(String::new(), |time| time.to_string()[..16].replace('T', " "));
        let (first, last) = (buckets.first(), buckets.last());
        let longest = buckets.iter().map(|bucket| bucket.until.as_micros() - bucket.since.as_micros()).max();
        Self {
            width: buckets.len() * STEP,
            bars: buckets.iter().enumerate().map(bar).collect(),
            most: Thousands(most),
            begin: at(first.map(|bucket| bucket.since)),
            middle: at(buckets.get(buckets.len() / 2).map(|bucket| bucket.since)),
            end: at(last.map(|bucket| bucket.until)),
            has_failures: failed.is_some(),
            failures: Thousands(failed.unwrap_or_default().iter().map(|bucket| bucket.count).sum()),
            step: duration_text(longest.unwrap_or(0)),
        }
    }
}

fn buckets(statistics: &Statistics) -> &[HistogramBucket] {
    statistics.histogram.as_ref().map_or(&[], |histogram| &histogram.buckets)
}

/// Writes a duration in the largest unit that divides it.
fn duration_text(micros: i64) -> String {
    const UNITS: [(i64, &str); 5] = [(604_800, "week"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let seconds = micros / 1_000_000;
    let (count, unit) = UNITS
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds % unit == 0)
        .map_or((seconds, "second"), |(unit, name)| (seconds / unit, name));
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Histogram;

    #[test]
    fn lengths_of_time() {
        for (seconds, text) in
            [(1, "1 second"), (3600, "1 hour"), (7200, "2 hours"), (5400, "90 minutes"), (604_800, "1 week")]
        {
            assert_eq!(duration_text(seconds * 1_000_000), text);
        }
    }

    #[test]
    fn bars_are_as_high_as_their_numbers() {
        let at = |n: i64| Timestamp::from_micros(n * 1_000_000).unwrap();
        let statistics = |counts: [u64; 4]| {
            let bucket = |(n, count)| HistogramBucket { since: at(n), until: at(n + 1), count };
            let buckets = (0..).zip(counts).map(bucket).collect();
            let histogram = Some(Histogram { interval_seconds: 1, buckets });
            Statistics { since: None, until: None, total: counts.iter().sum(), by: Vec::new(), histogram }
        };
        let given = [("outcome", "4xx".to_owned()), ("since", "1y".to_owned())];
        let (all, failed) = (statistics([0, 1, 500, 1000]), statistics([0, 0, 250, 0]));
        let chart = BarChart::draw(&all, Some(&failed), Some((at(1), at(2))), &Links::from("./"), &given);
        let heights: Vec<_> = chart.bars.iter().map(|bar| bar.height.as_str()).collect();
        assert_eq!(heights, ["0.0", "2.0", "50.0", "100.0"]);
        assert_eq!((chart.bars[2].y.as_str(), chart.bars[2].failed_y.as_str()), ("50.0", "75.0"));
        assert_eq!(chart.bars.iter().map(|bar| bar.is_on_page).collect::<Vec<_>>(), [false, true, true, false]);
        let link = "./?outcome=4xx&since=1970-01-01T00%3A00%3A01.000000Z&until=1970-01-01T00%3A00%3A02.000000Z";
        assert_eq!(chart.bars[1].href, link);
    }
}
