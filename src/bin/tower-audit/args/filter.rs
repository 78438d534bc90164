//! Options that select events.

use clap::Args as ClapArgs;
use tower_audit::Timestamp;
use tower_audit::query::Filter;

use crate::error::CliError;

/// Filters: every condition that is given must hold. Given several times, an option takes any of its values, and none
/// of those after a `!`. Text is compared exactly, but for `*`, which stands for any run of characters; a backslash
/// makes a `*`, a `!` at the beginning, or a backslash plain
#[derive(ClapArgs)]
pub(crate) struct FilterArgs {
    /// Events of this type: http.mutation, auth, audit.purge, an app's own domain.action, or domain.*
    #[arg(short = 't', long, value_name = "TYPE", allow_hyphen_values = true)]
    event_type: Vec<String>,

    /// Events whose actor has this name, such as alice@example.org or *@example.org; '!*' is none
    #[arg(short = 'u', long, value_name = "NAME", allow_hyphen_values = true)]
    user_email: Vec<String>,

    /// Events at this moment or later: 30d, 2h, 90m, 10s, 1w or 2y ago; a Unix timestamp; ISO 8601 (UTC if it has no
    /// offset)
    #[arg(short = 's', long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Option<String>,

    /// Events before this moment, which is after that of --since
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<String>,

    /// Events with this HTTP status, one of a class such as 4xx, or none; several with commas between them
    #[arg(long, value_name = "STATUS", allow_hyphen_values = true)]
    outcome: Vec<String>,

    /// Events of this route template, such as /users/{id} or /users*
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    route: Vec<String>,

    /// Events of this client address, such as 192.0.2.7 or 192.0.2.*
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    remote_addr: Vec<String>,

    /// Events of this phase: completed, started or unknown
    #[arg(long, value_name = "PHASE", allow_hyphen_values = true)]
    phase: Vec<String>,

    /// Events of this method, such as DELETE
    #[arg(long, value_name = "METHOD", allow_hyphen_values = true)]
    method: Vec<String>,

    /// Events whose request presented the API key with this digest
    #[arg(long, value_name = "DIGEST", allow_hyphen_values = true)]
    api_key_hash: Vec<String>,

    /// Events whose actor acted for this principal
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    acting_for: Vec<String>,

    /// Events of this domain, such as security.*
    #[arg(long, value_name = "DOMAIN", allow_hyphen_values = true)]
    domain: Vec<String>,

    /// Events of this action
    #[arg(long, value_name = "ACTION", allow_hyphen_values = true)]
    action: Vec<String>,

    /// Events with this error code, such as unauthorized
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    error: Vec<String>,

    /// Events with a target of this type, such as order
    #[arg(long, value_name = "TYPE", allow_hyphen_values = true)]
    target_type: Vec<String>,

    /// Events with this target, such as order/7
    #[arg(long, value_name = "TYPE/ID", allow_hyphen_values = true)]
    target: Vec<String>,

    /// Events of this path as the client sent it, such as /orders/7 or /orders/*
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    uri: Vec<String>,

    /// Events of this request
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    request_id: Vec<String>,

    /// Events of this trace
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    trace_id: Vec<String>,

    /// Events whose detail has this value; text, integers and booleans are compared
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    detail: Vec<String>,

    /// Leave out `started` events whose end is stored, so that a request is one event. The default of query, history and of
    /// tail's table
    #[arg(long)]
    folded: bool,

    /// Every event, `started` ones too. The default of the other commands
    #[arg(long, conflicts_with = "folded")]
    all: bool,
}

impl FilterArgs {
    /// Parses the filter. Relative times count back from `now`. Without `--folded` and `--all`, it is folded if the command
    /// says so.
    pub(crate) fn filter(&self, now: Timestamp, folds: bool) -> Result<Filter, CliError> {
        let conditions = [
            ("event_type", self.event_type.as_slice()),
            ("user_email", self.user_email.as_slice()),
            ("since", self.since.as_slice()),
            ("until", self.until.as_slice()),
            ("outcome", self.outcome.as_slice()),
            ("route", self.route.as_slice()),
            ("remote_addr", self.remote_addr.as_slice()),
            ("phase", self.phase.as_slice()),
            ("method", self.method.as_slice()),
            ("api_key_hash", self.api_key_hash.as_slice()),
            ("acting_for", self.acting_for.as_slice()),
            ("domain", self.domain.as_slice()),
            ("action", self.action.as_slice()),
            ("error", self.error.as_slice()),
            ("target_type", self.target_type.as_slice()),
            ("target", self.target.as_slice()),
            ("uri", self.uri.as_slice()),
            ("request_id", self.request_id.as_slice()),
            ("trace_id", self.trace_id.as_slice()),
            ("detail", self.detail.as_slice()),
        ];
        let mut filter = Filter::default();
        let given = conditions.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        for (name, value) in given {
            filter.set(name, value, now).map_err(|error| {
                // The library names the condition as the API does; here it is an option.
                let text = error.to_string();
                let text = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
                CliError::Usage(format!("--{}: {text}", name.replace('_', "-")))
            })?;
        }
        filter.check_times().map_err(|error| CliError::Usage(format!("--{error}")))?;
        Ok(filter.folded(self.folded || folds && !self.all))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn parse(words: &[&str]) -> Args {
        Args::try_parse_from([&["tower-audit"], words].concat()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_filter_of_the_library_is_an_option() {
        for name in Filter::FIELD_NAMES.into_iter().filter(|name| *name != "folded") {
            let option = format!("--{}", name.replace('_', "-"));
            for command in ["query", "count", "tail", "stats", "export"] {
                assert!(Args::try_parse_from(["tower-audit", command, &option, "x"]).is_ok(), "{command} {option}");
            }
        }
    }

    #[test]
    fn folding_is_a_default_that_can_be_turned_round() {
        for (words, folds, expected) in [
            (&[][..], true, true),
            (&[], false, false),
            (&["--all"], true, false),
            (&["--folded"], false, true),
            (&["--all"], false, false),
        ] {
            let Command::Count(filter) = parse(&[&["count"], words].concat()).command else { panic!("count") };
            assert_eq!(filter.filter(Timestamp::now(), folds).unwrap().folded, expected, "{words:?} {folds}");
        }
        assert!(Args::try_parse_from(["tower-audit", "count", "--all", "--folded"]).is_err());
    }

    #[test]
    fn a_wrong_filter_names_its_option() {
        let Command::Count(filter) = parse(&["count", "--since", "-5d"]).command else { panic!("count") };
        let error = filter.filter(Timestamp::now(), false).unwrap_err().to_string();
        assert!(error.starts_with("--since: \"-5d\" is no time: expected"), "{error}");
    }
}
