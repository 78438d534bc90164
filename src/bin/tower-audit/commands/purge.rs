//! `purge`: deletes old events and records it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tower_audit::query::{Filter, parse_duration};
use tower_audit::store::AuditStore;
use tower_audit::store::{EventRange, retention::Retention};
use tower_audit::{Actor, Timestamp};

use super::account;
use super::open_store::{OnMissing, admin, reader, with_store};
use super::prompt::ask;
use crate::args::PurgeArgs;
use crate::error::{CliError, warn};
use crate::output::Stdout;
use crate::progress::{Progress, with_progress};
use crate::signals::interrupt;

/// A purge of younger events is seldom meant.
const YOUNG: Duration = Duration::from_secs(86_400);

pub(crate) async fn run(url: &str, args: PurgeArgs) -> Result<(), CliError> {
    let misread = |error| CliError::Usage(format!("--older-than: {error}"));
    let age = parse_duration(&args.older_than).map_err(misread)?;
    let retention = Retention::older_than(&args.older_than).map_err(misread)?.actor(Actor::user(account::name()));
    let asks = !args.yes && !args.dry_run && io::stdin().is_terminal();
    if !asks && !args.yes && !args.dry_run {
        confirmed_by(&args.older_than, age)?;
    }
    with_store(url, OnMissing::Fail, async |store| {
        let old = if args.dry_run {
            OldEvents::count(store, &retention).await?
        } else {
            admin(store, "purged")?;
            OldEvents::count_if_permitted(store, &retention).await?
        };
        let meaning = format!("{}: {}", spelled(&args.older_than, age), old.text());
        if !args.quiet || asks {
            warn(&meaning);
        }
        if args.dry_run {
            return print(old.events());
        }
        if asks && old.events() != 0 {
            ask("Delete them? [y/N] ", |answer| ["y", "yes"].iter().any(|yes| answer.eq_ignore_ascii_case(yes)))?;
        }
        // From here on, a signal ends the work and not the process.
        let stop = interrupt();
        let mut progress = Progress::new("events deleted", !args.quiet);
        let retention = match old.range {
            Some(range) => retention.range(range),
            None => retention,
        };
        let deleted = retention.run_until(store, stop, |deleted| progress.at(deleted)).await?;
        drop(progress);
        if args.quiet { Ok(()) } else { print(deleted) }
    })
    .await
}

fn print(count: u64) -> Result<(), CliError> {
    let mut out = Stdout::new();
    writeln!(out, "{count}")?;
    Ok(out.flush()?)
}

/// Rejects, where nobody can be asked, a duration that is easily mistyped.
fn confirmed_by(typed: &str, age: Duration) -> Result<(), CliError> {
    let is_bare = typed.bytes().all(|byte| byte.is_ascii_digit());
    if !is_bare && age >= YOUNG {
        return Ok(());
    }
    let why = if is_bare { "a number without a unit is seconds" } else { "that is less than a day" };
    Err(CliError::Usage(format!(
        "--older-than: {typed} means {}; {why}, and there is no terminal to ask at: give --yes if that is meant; \
         nothing was removed",
        spelled(typed, age)
    )))
}

/// The old events among all events.
struct OldEvents {
    range: Option<EventRange>,
    /// The number of all events; none if they cannot be counted.
    all: Option<u64>,
}

impl OldEvents {
    async fn count(store: &dyn AuditStore, retention: &Retention) -> Result<Self, CliError> {
        let reader = reader(store)?;
        let everything = Filter::default();
        let work = async { Ok((retention.plan(reader).await?, Some(reader.count(&everything).await?))) };
        let (range, all) = with_progress("counting", work).await.map_err(CliError::Store)?;
        Ok(Self { range, all })
    }

    /// Counts nothing for an account that may delete events and not read them.
    async fn count_if_permitted(store: &dyn AuditStore, retention: &Retention) -> Result<Self, CliError> {
        match Self::count(store, retention).await {
            Err(CliError::Unsupported { .. }) => Ok(Self { range: None, all: None }),
            Err(CliError::Store(error)) if !error.is_transient() => Ok(Self { range: None, all: None }),
            result => result,
        }
    }

    /// The number of old events; the greatest number where they cannot be counted.
    fn events(&self) -> u64 {
        match (self.range, self.all) {
            (Some(range), _) => range.events,
            (None, Some(_)) => 0,
            (None, None) => u64::MAX,
        }
    }

    fn text(&self) -> String {
        match (self.range, self.all) {
            (Some(EventRange { events, first, last, .. }), Some(all)) => {
                format!("{events} of {all} events, from {} to {}", to_the_second(first), to_the_second(last))
            }
            (_, Some(all)) => format!("0 of {all} events"),
            (_, None) => "an unknown number of events (no right to count them)".to_owned(),
        }
    }
}

/// A moment without its fraction.
pub(super) fn to_the_second(moment: Timestamp) -> String {
    let mut text = moment.to_string();
    text.truncate("2026-05-25T12:00:00".len());
    text + "Z"
}

/// A duration in words, as it was typed and in a unit that people count it in: `180 seconds (3 minutes)`, `180 days`.
fn spelled(typed: &str, age: Duration) -> String {
    const UNITS: [(char, u64, &str); 5] =
        [('w', 604_800, "week"), ('d', 86_400, "day"), ('h', 3_600, "hour"), ('m', 60, "minute"), ('s', 1, "second")];
    let words = |count: u64, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
    let seconds = age.as_secs();
    let unit = typed.chars().last().filter(char::is_ascii_alphabetic).unwrap_or('s');
    let Some((_, length, name)) = UNITS.into_iter().find(|(letter, ..)| *letter == unit) else {
        return words(seconds / YEAR, "year");
    };
    let text = words(seconds / length, name);
    let usual = UNITS[1..].iter().find(|(_, length, _)| seconds >= *length);
    match usual {
        Some((_, usual, name)) if *usual > length => {
            let over = if seconds.is_multiple_of(*usual) { "" } else { "over " };
            format!("{text} ({over}{})", words(seconds / usual, name))
        }
        _ => text,
    }
}

/// 365.25 days, in seconds.
const YEAR: u64 = 31_557_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_out() {
        for (typed, seconds, text) in [
            ("1", 1, "1 second"),
            ("180", 180, "180 seconds (3 minutes)"),
            ("181s", 181, "181 seconds (over 3 minutes)"),
            ("6m", 360, "6 minutes"),
            ("24h", 86_400, "24 hours (1 day)"),
            ("1d", 86_400, "1 day"),
            ("180d", 15_552_000, "180 days"),
            ("15552000", 15_552_000, "15552000 seconds (180 days)"),
            ("2w", 1_209_600, "2 weeks"),
            ("2y", 63_115_200, "2 years"),
        ] {
            assert_eq!(spelled(typed, Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_number_and_a_short_time_need_to_be_confirmed() {
        for (typed, seconds, is_clear) in [
            ("365d", 365 * 86_400, true),
            ("1d", 86_400, true),
            ("24h", 86_400, true),
            ("23h", 23 * 3600, false),
            ("6m", 360, false),
            ("31536000", 31_536_000, false),
        ] {
            assert_eq!(confirmed_by(typed, Duration::from_secs(seconds)).is_ok(), is_clear, "{typed}");
        }
    }
}
