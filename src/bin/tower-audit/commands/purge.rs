//! `purge`: deletes events older than an age or a moment, and records it.

use std::time::Duration;

use tower_audit::Timestamp;
use tower_audit::query::{parse_duration, parse_time};
use tower_audit::retention::RetentionPlan;

use super::purge_run::{self, Age, spelled};
use crate::args::PurgeArgs;
use crate::error::CliError;

pub(crate) async fn run(url: &str, args: PurgeArgs) -> Result<(), CliError> {
    let (plan, age, meaning) = match (&args.older_than, &args.before) {
        (Some(typed), _) => {
            let misread = |error| CliError::Usage(format!("--older-than: {error}"));
            let age = parse_duration(typed).map_err(misread)?;
            let plan = RetentionPlan::older_than(typed).map_err(misread)?;
            (plan, Age { option: "--older-than", typed: typed.clone(), age }, spelled(typed, age))
        }
        (None, Some(typed)) => {
            let now = Timestamp::now();
            let cutoff = parse_time(typed, now).map_err(|error| CliError::Usage(format!("--before: {error}")))?;
            if cutoff >= now {
                return Err(CliError::Usage(format!(
                    "--before: {typed} is not in the past: every event would be older"
                )));
            }
            let micros = u64::try_from(now.as_micros() - cutoff.as_micros()).unwrap_or(0);
            let age = Age { option: "--before", typed: cutoff.to_string(), age: Duration::from_micros(micros) };
            (RetentionPlan::Before(cutoff), age, format!("before {cutoff}"))
        }
        (None, None) => return Err(CliError::Usage("--older-than: expected a duration".into())),
    };
    purge_run::run(url, args.run, plan, Some(age), &meaning).await
}
