//! `rotate`: deletes the oldest events above a number, or those that rules select, and records it.

use tower_audit::query::parse_duration;
use tower_audit::retention::{RetentionPlan, RetentionRules};

use super::purge_run::{self, Age, spelled};
use crate::args::RotateArgs;
use crate::error::{CliError, warn, with_causes};

pub(crate) async fn run(url: &str, args: RotateArgs) -> Result<(), CliError> {
    let quiet = args.run.quiet;
    let mut chosen: Option<(RetentionPlan, Option<Age>, String)> = None;
    if let (Some(high), Some(low)) = (args.high_watermark, args.low_watermark) {
        let plan = RetentionPlan::watermarks(high, low)
            .map_err(|error| CliError::Usage(format!("--low-watermark: {error}")))?;
        chosen = Some((plan, None, format!("more than {high}, down to {low}")));
    }
    if let Some(typed) = &args.age {
        if chosen.is_some() && !quiet {
            warn("--age takes precedence: the watermarks are ignored");
        }
        let misread = |error| CliError::Usage(format!("--age: {error}"));
        let days = typed.bytes().all(|byte| byte.is_ascii_digit()) && !typed.is_empty();
        let text = if days { format!("{typed}d") } else { typed.clone() };
        let age = parse_duration(&text).map_err(misread)?;
        let plan = RetentionPlan::older_than(&text).map_err(misread)?;
        let meaning = spelled(&text, age);
        chosen = Some((plan, Some(Age { option: "--age", typed: text, age }), meaning));
    }
    if let Some(path) = &args.config {
        if chosen.is_some() && !quiet {
            warn("--config takes precedence: the age and the watermarks are ignored");
        }
        let rules = RetentionRules::from_file(path)
            .map_err(|error| CliError::Usage(format!("--config: {}", with_causes(&error))))?;
        let count = rules.rules().len();
        chosen =
            Some((RetentionPlan::Rules(rules), None, format!("{count} rule{}", if count == 1 { "" } else { "s" })));
    }
    let Some((plan, age, meaning)) = chosen else {
        return Err(CliError::Usage(
            "expected --high-watermark N --low-watermark M, --age DAYS, or --config RULES".into(),
        ));
    };
    purge_run::run(url, args.run, plan, age, &meaning).await
}
