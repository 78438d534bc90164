//! A run that deletes events by a plan: counts, asks, deletes, prints.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::json;
use tower_audit::query::Filter;
use tower_audit::retention::{Purge, PurgeError, PurgePreview, PurgeReport, RetentionPlan};
use tower_audit::sealing::RetentionKey;
use tower_audit::store::{AuditStore, EventExtent};
use tower_audit::{Actor, Timestamp};

use super::open_store::{OnMissing, admin, with_store};
use super::os_user;
use super::prompt::ask;
use crate::args::{RunArgs, RunFormat};
use crate::error::{CliError, warn};
use crate::output::Stdout;
use crate::progress::{Progress, with_progress};
use crate::signals::interrupt;

/// A deletion of younger events is seldom meant.
const YOUNG: Duration = Duration::from_secs(86_400);

/// An age as it was typed.
pub(super) struct Age {
    pub(super) option: &'static str,
    pub(super) typed: String,
    pub(super) age: Duration,
}

/// Deletes by a plan. `meaning` is the plan in words.
pub(super) async fn run(
    url: &str,
    args: RunArgs,
    plan: RetentionPlan,
    age: Option<Age>,
    meaning: &str,
) -> Result<(), CliError> {
    let asks = !args.yes && !args.dry_run && io::stdin().is_terminal();
    let needs_yes = !asks && !args.yes && !args.dry_run;
    if let Some(age) = age.as_ref().filter(|_| needs_yes) {
        confirmed_by(age)?;
    }
    let mut retention = Purge::new(plan).actor(Actor::user(os_user::name()));
    if let Some(floor) = args.floor.floor()? {
        retention = retention.floor(floor);
    }
    if let Some(path) = &args.retention_key {
        retention = retention.key(RetentionKey::load(path).map_err(CliError::Key)?);
    }
    for key in &args.seal_keys {
        retention = retention.seal_key(key.parse().map_err(|error| CliError::Usage(format!("--vkey: {error}")))?);
    }
    with_store(url, OnMissing::Fail, async |store| {
        admin(store, "purged")?;
        let preview = with_progress("counting", retention.preview(store)).await.map_err(not_planned)?;
        if args.dry_run && preview.events().is_none() {
            // Counting is all that a dry run does: the error of the store says what is missing.
            count_all(store).await?;
        }
        let all = if preview.events().is_some() { count_all(store).await.ok() } else { None };
        if !args.quiet || asks {
            tell(meaning, retention.plan(), &preview, all);
        }
        if args.dry_run {
            return print(args.format, &retention, &preview, None);
        }
        if asks && preview.events() != Some(0) {
            ask("Delete them? [y/N] ", |answer| ["y", "yes"].iter().any(|yes| answer.eq_ignore_ascii_case(yes)))?;
        }
        if needs_yes && age.is_none() {
            old_enough(&preview)?;
        }
        // From here on, a signal ends the work and not the process.
        let stop = interrupt();
        let mut progress = Progress::new("events deleted", !args.quiet);
        let report = retention.run_until(store, &preview, stop, |deleted| progress.at(deleted)).await?;
        drop(progress);
        if report.unsealed > 0 {
            warn(&format!(
                "{} events stay, because they are not sealed yet: run it again when the sealer runs",
                report.unsealed
            ));
        }
        if args.quiet { Ok(()) } else { print(args.format, &retention, &preview, Some(&report)) }
    })
    .await
}

/// Errors of the store are told as those of any other command.
fn not_planned(error: PurgeError) -> CliError {
    match error {
        PurgeError::NotPlanned(error) => CliError::Store(error),
        error => CliError::Purge(error),
    }
}

async fn count_all(store: &dyn AuditStore) -> Result<u64, CliError> {
    let reader = super::open_store::reader(store)?;
    Ok(with_progress("counting", reader.count(&Filter::default())).await?)
}

/// Says on stderr what goes, and why.
fn tell(meaning: &str, plan: &RetentionPlan, preview: &PurgePreview, all: Option<u64>) {
    if let RetentionPlan::Rules(rules) = plan {
        for ((rule, events), number) in rules.rules().iter().zip(&preview.rules).zip(1_u64..) {
            let line = rule.line().map(|line| format!(", line {line}")).unwrap_or_default();
            warn(&format!("rule {number}{line} ({rule}): {events} events"));
        }
    }
    if preview.kept_by_floor > 0 {
        warn(&format!("{} events stay: they are younger than the floor", preview.kept_by_floor));
    }
    if preview.open > 0 {
        warn(&format!("{} started events stay: nothing has ended them", preview.open));
    }
    let of = all.map_or_else(|| "events".to_owned(), |all| format!("of {all} events"));
    let text = match preview.range {
        _ if preview.events().is_none() => "an unknown number of events (no right to count them)".to_owned(),
        Some(EventExtent { events, first, last, .. }) => {
            format!("{events} {of}, from {} to {}", to_the_second(first), to_the_second(last))
        }
        None => format!("0 {of}"),
    };
    warn(&format!("{meaning}: {text}"));
}

fn print(
    format: RunFormat,
    retention: &Purge,
    preview: &PurgePreview,
    report: Option<&PurgeReport>,
) -> Result<(), CliError> {
    let mut out = Stdout::new();
    match format {
        RunFormat::Number => {
            writeln!(out, "{}", report.map_or(preview.events().unwrap_or(0), |report| report.deleted))?
        }
        RunFormat::Json => {
            let range = preview.range;
            let mut object = json!({
                "dry_run": report.is_none(),
                "events": preview.events(),
                "first": range.map(|range| range.first),
                "last": range.map(|range| range.last),
                "kept_by_floor": preview.kept_by_floor,
                "open": preview.open,
            });
            if let Some(report) = report {
                object["deleted"] = report.deleted.into();
            }
            if let RetentionPlan::Rules(rules) = retention.plan() {
                let counts = rules.rules().iter().zip(&preview.rules).enumerate();
                object["rules"] = counts
                    .map(|(number, (rule, events))| {
                        let mut one = json!({
                            "rule": number + 1, "line": rule.line(), "text": rule.to_string(), "events": events,
                        });
                        if let Some(deleted) = report.and_then(|report| report.rules.get(number)) {
                            one["deleted"] = (*deleted).into();
                        }
                        one
                    })
                    .collect();
            }
            writeln!(out, "{object}")?;
        }
    }
    Ok(out.flush()?)
}

/// Rejects, where nobody can be asked, a duration that is easily mistyped.
fn confirmed_by(given: &Age) -> Result<(), CliError> {
    let Age { option, typed, age } = given;
    let is_bare = typed.bytes().all(|byte| byte.is_ascii_digit());
    if !is_bare && *age >= YOUNG {
        return Ok(());
    }
    let means = if *option == "--before" { typed.clone() } else { format!("{typed} means {}", spelled(typed, *age)) };
    let why = if is_bare { "a number without a unit is seconds" } else { "that is less than a day" };
    Err(CliError::Usage(format!(
        "{option}: {means}; {why}, and there is no terminal to ask at: give --yes if that is meant; nothing was deleted"
    )))
}

/// Rejects, where nobody can be asked, the deletion of young events.
fn old_enough(preview: &PurgePreview) -> Result<(), CliError> {
    let Some(range) = preview.range else { return Ok(()) };
    let age = preview.as_of.as_micros() - range.last.as_micros();
    if u128::try_from(age).is_ok_and(|age| age >= YOUNG.as_micros()) {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "the newest of {} events to delete is from {}; that is less than a day ago, and there is no terminal to ask at: give \
         --yes if that is meant; nothing was deleted",
        range.events,
        to_the_second(range.last)
    )))
}

/// A moment without its fraction.
pub(super) fn to_the_second(moment: Timestamp) -> String {
    let mut text = moment.to_string();
    text.truncate("2026-05-25T12:00:00".len());
    text + "Z"
}

/// A duration in words, as it was typed and in a unit that people count it in: `180 seconds (3 minutes)`, `180 days`.
pub(super) fn spelled(typed: &str, age: Duration) -> String {
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
            let given = Age { option: "--older-than", typed: typed.to_owned(), age: Duration::from_secs(seconds) };
            assert_eq!(confirmed_by(&given).is_ok(), is_clear, "{typed}");
        }
    }
}
