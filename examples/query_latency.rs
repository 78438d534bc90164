//! Times of pages, counts and statistics by filter, over a store that `fill` has filled. `benches/reading.sh` runs it; alone:
//! `cargo run --release --features postgres --example query_latency -- URL`.
//!
//! A page has 100 events. The last page is the 10,000th, or the last full one of fewer. Times are the least of many
//! readings in milliseconds, so that other work on the machine counts little; the pages of a filter take turns.

use std::error::Error;
use std::time::Instant;

use tower_audit::Timestamp;
use tower_audit::query::{Buckets, Cursor, Field, Filter, PageQuery};
use tower_audit::store::{OpenOptions, Reader};

const PAGE: usize = 100;
const LAST: u64 = 10_000;
const ROUNDS: usize = 40;

/// The filters: each field by something frequent and something rare, patterns, negations, several values, and some at
/// once. Time is the middle of what `fill` spreads its events over.
const FILTERS: [&[(&str, &str)]; 43] = [
    &[],
    &[("event_type", "upload")],
    &[("event_type", "oversize_query")],
    &[("user_email", "robot@example.org")],
    &[("user_email", "nobody@example.org")],
    &[("since", "400d")],
    &[("until", "200d")],
    &[("since", "450d"), ("until", "150d")],
    &[("outcome", "403")],
    &[("outcome", "418")],
    &[("outcome", "4xx")],
    &[("route", "/scans/{id}")],
    &[("route", "/nowhere")],
    &[("remote_addr", "192.0.2.1")],
    &[("remote_addr", "203.0.113.9")],
    &[("phase", "completed")],
    &[("phase", "unknown")],
    &[("user_email", "robot*")],
    &[("user_email", "user-00*")],
    &[("route", "/areas/*")],
    &[("remote_addr", "10.0.*")],
    &[("event_type", "!upload")],
    &[("user_email", "!robot@example.org")],
    &[("event_type", "auth"), ("event_type", "admin_action")],
    &[("route", "/scans"), ("outcome", "!200"), ("user_email", "robot@example.org")],
    &[("event_type", "auth"), ("phase", "unknown"), ("since", "300d")],
    &[("target_type", "scans")],
    &[("target_type", "nothing")],
    &[("target", "scans/7")],
    &[("target", "scans/7"), ("user_email", "robot@example.org")],
    &[("target", "scans/none")],
    &[("trace_id", "00000000000000000000000000000007")],
    &[("trace_id", "0000000000000000000000000000000a")],
    &[("request_id", "nothing")],
    &[("api_key_hash", "nothing")],
    &[("acting_for", "nobody@example.org")],
    &[("method", "POST")],
    &[("method", "DELETE")],
    &[("action", "nothing")],
    &[("domain", "nothing")],
    &[("error", "nothing")],
    &[("uri", "/areas/7/*")],
    &[("detail", "max_results=1000")],
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), None) = (args.next(), args.next()) else {
        return Err("usage: reading URL".into());
    };
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    let store = tower_audit::store::open(&url, options).await?;
    let reader = store.parts().reader.ok_or("the store cannot be read")?;
    println!("{:58} {:>8} {:>8} {:>8} {:>8} {:>7}", "filter", "events", "count", "first", "last", "factor");
    let now = Timestamp::now();
    for set in FILTERS {
        let mut filter = Filter::default();
        for (name, value) in set {
            filter.set(name, value, now)?;
        }
        let name: Vec<_> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let name = if name.is_empty() { "(none)".to_owned() } else { name.join(" ") };
        let unindexed = reader.unindexed(&filter);
        pages(reader, &name, filter.clone()).await?;
        if !unindexed.is_empty() {
            println!("{:58} without an index: {}", "", unindexed.join(", "));
        } else if set.len() < 2 {
            pages(reader, &format!("folded {name}"), filter.folded(true)).await?;
        }
    }
    for field in Field::COUNTED {
        let begin = Instant::now();
        let found = reader.top_values(&Filter::default(), field, 20).await?.len();
        println!("top_values by {field:12} {:8.1} ms ({found} values)", millis(begin));
    }
    let robot = Filter::new().user_email("robot@example.org");
    for (of, filter) in [("all", Filter::default()), ("a user", robot)] {
        for count in [50, 500] {
            let width = 500 * 86_400 * 1_000_000 / count as i64;
            let start = Timestamp::from_micros(now.as_micros() - width * count as i64).unwrap_or(now);
            let buckets = Buckets::new(start, width, count).ok_or("no such buckets")?;
            let begin = Instant::now();
            reader.histogram(&filter, &buckets).await?;
            println!("activity of {of} in {count} buckets {:8.1} ms", millis(begin));
        }
    }
    store.close().await?;
    Ok(())
}

async fn pages(reader: &dyn Reader, name: &str, filter: Filter) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let events = reader.count(&filter).await?;
    let count = millis(begin);
    let page = PAGE as u64;
    let skip = ((LAST - 1) * page).min(events.saturating_sub(page));
    let mut first = PageQuery::new(filter, PAGE);
    let mut last = first.clone();
    if skip > 0 {
        let before = PageQuery::new(first.filter.clone(), 1).skip(skip - 1);
        last.after = reader.query(&before).await?.first().map(Cursor::of);
    }
    let mut spent = [Vec::new(), Vec::new()];
    // Of filters without an index, a few readings tell enough.
    for _ in 0..if count > 2000.0 { 2 } else { ROUNDS } {
        for (query, spent) in [&mut first, &mut last].into_iter().zip(&mut spent) {
            let begin = Instant::now();
            let found = reader.query(query).await?.len() as u64;
            spent.push(millis(begin));
            if found != page.min(events) {
                return Err(format!("a page of {name} has {found} events").into());
            }
        }
    }
    let [first, last] = spent.map(least);
    let factor = if first > last { first / last } else { last / first };
    println!("{name:58} {events:8} {count:8.1} {first:8.2} {last:8.2} {factor:7.1}");
    Ok(())
}

fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

fn least(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}
