//! `rotate`: deletes the oldest events above a number, or those that rules select, and records it.

use tower_audit::query::parse_duration;
use tower_audit::retention::{RetentionPlan, RetentionRules};

use super::purge_run::{self, Age, spelled};
use crate::args::RotateArgs;
use crate::error::{CliError, warn, with_causes};

pub(crate) async fn run(url: &str, args: RotateArgs) -> Result<(), CliError> {
    let (watermarks, age, rules) = (by_watermarks(&args)?, by_age(&args)?, by_rules(&args)?);
    if age.is_some() && watermarks.is_some() && !args.run.quiet {
        warn("--age takes precedence: the watermarks are ignored");
    }
    if rules.is_some() && (age.is_some() || watermarks.is_some()) && !args.run.quiet {
        warn("--config takes precedence: the age and the watermarks are ignored");
    }
    let Some(Choice { plan, age, meaning }) = rules.or(age).or(watermarks) else {
        return Err(CliError::Usage(
            "expected --high-watermark N --low-watermark M, --age DAYS, or --config RULES".into(),
        ));
    };
    purge_run::run(url, args.run, plan, age, &meaning).await
}

/// A plan of the arguments, and its meaning in words.
struct Choice {
    plan: RetentionPlan,
    age: Option<Age>,
    meaning: String,
}

fn by_watermarks(args: &RotateArgs) -> Result<Option<Choice>, CliError> {
    let (Some(high), Some(low)) = (args.high_watermark, args.low_watermark) else { return Ok(None) };
    let plan =
        RetentionPlan::watermarks(high, low).map_err(|error| CliError::Usage(format!("--low-watermark: {error}")))?;
    Ok(Some(Choice { plan, age: None, meaning: format!("more than {high}, down to {low}") }))
}

fn by_age(args: &RotateArgs) -> Result<Option<Choice>, CliError> {
    let Some(typed) = &args.age else { return Ok(None) };
    let misread = |error| CliError::Usage(format!("--age: {error}"));
    let days = typed.bytes().all(|byte| byte.is_ascii_digit()) && !typed.is_empty();
    let text = if days { format!("{typed}d") } else { typed.clone() };
    let age = parse_duration(&text).map_err(misread)?;
    let plan = RetentionPlan::older_than(&text).map_err(misread)?;
    let meaning = spelled(&text, age);
    Ok(Some(Choice { plan, age: Some(Age { option: "--age", typed: text, age }), meaning }))
}

fn by_rules(args: &RotateArgs) -> Result<Option<Choice>, CliError> {
    let Some(path) = &args.config else { return Ok(None) };
    let rules = RetentionRules::from_file(path)
        .map_err(|error| CliError::Usage(format!("--config: {}", with_causes(&error))))?;
    let count = rules.rules().len();
    let meaning = format!("{count} rule{}", if count == 1 { "" } else { "s" });
    Ok(Some(Choice { plan: RetentionPlan::Rules(rules), age: None, meaning }))
}
