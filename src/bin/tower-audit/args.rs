//! The command line: commands, options and their values.
//!
//! clap reads the words; the values whose grammar the API shares are read by the library, so that both give the same
//! answers and the same errors.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tower_audit::query::{Field, Filter, parse_duration};
use tower_audit::{EventId, Target, Timestamp};

use crate::error::CliError;
use crate::help;

/// Reads and keeps a store of audit events.
#[derive(Parser)]
#[command(name = "tower-audit", version, long_version = help::version(), after_help = help::after())]
pub(crate) struct Args {
    /// The store, such as sqlite:/var/lib/app/audit.db; without it and --url-file, the value of AUDIT_URL, else of
    /// DATABASE_URL. Not for a URL with a password: other users of the machine can see a command line
    #[arg(long, global = true, value_name = "URL", display_order = 100)]
    pub(crate) url: Option<String>,

    /// A file whose first line is the URL: for a URL with a password, in a file that only you can read
    #[arg(long, global = true, value_name = "FILE", display_order = 101)]
    pub(crate) url_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints the events that pass the filters, newest first
    Query(QueryArgs),
    /// Prints the newest events that pass the filters, the oldest of them first, and ends; with -f, goes on with new ones
    Tail(TailArgs),
    /// Writes every event that passes the filters, newest first, to standard output or to a file
    Export(ExportArgs),
    /// Prints how many events there are of what, and when they were
    Stats(StatsArgs),
    /// Prints how many events pass the filters
    Count(FilterArgs),
    /// Prints the event with this id
    Get(GetArgs),
    /// Prints the events of one object, newest first: who did what to it, and what changed from what to what
    History(HistoryArgs),
    /// Removes the events older than a duration or a moment, says which before, and records it
    Purge(PurgeArgs),
    /// Removes the oldest events above a number, or those that rules select, says which before, and records it
    Rotate(RotateArgs),
    /// Copies the log into a file while it is written, and prints how many events are in the copy (SQLite)
    Backup(BackupArgs),
    /// Makes what is missing of the store: tables, indexes, partitions. Leaves every event as it is
    #[command(alias = "ensure-indexes")]
    Migrate(MigrateArgs),
    /// Destroys every event in the store and makes it anew, empty. Asks first
    #[command(alias = "init")]
    DestroyAndRecreate(DestroyArgs),
    /// Says whether the next event would be kept, durably, what else is wrong, and what to do about it
    Doctor(DoctorArgs),
    /// Serves the viewer and the read API to a browser on this machine, and prints the address to open
    Serve(ServeArgs),
    /// Prints what a shell needs to complete commands and options
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints a page of the manual, for `man -l -`
    Man(ManArgs),
}

#[derive(ClapArgs)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Maximum number of events; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = whole_number, allow_hyphen_values = true)]
    pub(crate) limit: u64,

    /// Number of newest events to skip
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole_number, allow_hyphen_values = true)]
    pub(crate) skip: u64,

    /// Output format [default: table on a terminal, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Print JSON in many lines, each level by so many blanks further to the right, 8 at the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) indent: Option<u8>,
}

#[derive(ClapArgs)]
pub(crate) struct HistoryArgs {
    /// The object, such as order/7
    #[arg(value_name = "TYPE/ID")]
    object: String,

    #[command(flatten)]
    filter: FilterArgs,

    /// Maximum number of events; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = whole_number, allow_hyphen_values = true)]
    pub(crate) limit: u64,

    /// Output format [default: table on a terminal, with the changes below each event, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Print JSON in many lines, each level by so many blanks further to the right, 8 at the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) indent: Option<u8>,
}

impl HistoryArgs {
    /// Parses the filter: the object, and the options.
    pub(crate) fn filter(&self, now: Timestamp) -> Result<Filter, CliError> {
        let mut filter = self.filter.filter(now, true)?;
        // Not as a filter: there a `!` at the beginning excludes.
        let target: Target = self.object.parse().map_err(|error| CliError::Usage(format!("{error}")))?;
        filter.target = target.into();
        Ok(filter)
    }
}

#[derive(ClapArgs)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Number of newest events to begin with; at most 100000
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = tail_limit, allow_hyphen_values = true)]
    pub(crate) limit: usize,

    /// Go on with events as they arrive, until Ctrl-C. Each is printed once, if it arrives within a minute of its time
    #[arg(short = 'f', long)]
    pub(crate) follow: bool,

    /// Output format [default: table on a terminal, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<StreamFormat>,
}

#[derive(ClapArgs)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// A file to write to, which is there when it is complete; prints how many events are in it. Only you can read it.
    /// `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    pub(crate) force: bool,

    /// Output format
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(crate) format: ExportFormat,

    /// CSV: write control and bidirectional characters as they are, not as \u{1b}; never to a terminal
    #[arg(long)]
    pub(crate) raw: bool,

    /// CSV: begin with a byte order mark, which Excel needs to read UTF-8
    #[arg(long)]
    pub(crate) bom: bool,
}

#[derive(ClapArgs)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Fields to count events by; can be given several times: event_type, user_email, remote_addr, route, outcome or
    /// phase [default: event_type, user_email, route and outcome]
    #[arg(long, value_name = "FIELD", value_parser = Field::from_str)]
    pub(crate) by: Vec<Field>,

    /// Number of values of each field, those with the most events; at most 1000
    #[arg(long, value_name = "N", default_value = "10", value_parser = top, allow_hyphen_values = true)]
    pub(crate) top: usize,

    /// Width of the time buckets
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) interval: Interval,

    /// Output format [default: table on a terminal, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

/// The width of the time buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Interval {
    /// So long that there are 40 at the most
    Auto,
    /// A second
    Second,
    /// A minute
    Minute,
    /// An hour
    Hour,
    /// A day of UTC
    Day,
    /// A week of UTC, which begins on Monday
    Week,
}

/// Filters: every condition that is given must hold. Given several times, an option takes any of its values, and none
/// of those after a `!`. Text is compared exactly, but for `*`, which stands for any run of characters; a backslash
/// makes a `*`, a `!` at the beginning, or a backslash plain
#[derive(ClapArgs)]
pub(crate) struct FilterArgs {
    /// Events of this type: upload, admin_action, oversize_query, auth, an app's own domain.action, or domain.*
    #[arg(short = 't', long, value_name = "TYPE", allow_hyphen_values = true)]
    event_type: Vec<String>,

    /// Events whose actor has this name, such as alice@example.org or *@example.org; '!*' is nobody
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

    /// One event a request: none that started one whose end is stored. The default of query, history and of tail's table;
    /// those that are still open stay
    #[arg(long)]
    folded: bool,

    /// Every event, also those that started a request. The default of the other commands
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

#[derive(ClapArgs)]
pub(crate) struct GetArgs {
    /// The id of the event, in any textual form of a UUID
    #[arg(value_name = "ID")]
    id: String,

    /// Output format
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: Format,

    /// Print JSON in many lines, each level by so many blanks further to the right, 8 at the most
    /// [default: 2 on a terminal, else one line]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) indent: Option<u8>,
}

impl GetArgs {
    pub(crate) fn id(&self) -> Result<EventId, CliError> {
        self.id.parse().map_err(|error| CliError::Usage(format!("{error}")))
    }
}

#[derive(ClapArgs)]
pub(crate) struct PurgeArgs {
    /// Minimum age of the events to remove: 180d, 2h, 90m, 10s, 1w, 2y, or a number of seconds; more than 0
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, required_unless_present = "before")]
    pub(crate) older_than: Option<String>,

    /// Remove the events from before this moment: 180d ago, a Unix timestamp, or ISO 8601 (UTC if it has no offset)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, conflicts_with = "older_than")]
    pub(crate) before: Option<String>,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(ClapArgs)]
pub(crate) struct RotateArgs {
    /// Remove events if there are more than this many
    #[arg(long, visible_alias = "highwatermark", value_name = "N", value_parser = whole_number, allow_hyphen_values = true, requires = "low_watermark")]
    pub(crate) high_watermark: Option<u64>,

    /// The number of newest events that remain, by time, then id
    #[arg(long, visible_alias = "lowwatermark", value_name = "M", value_parser = whole_number, allow_hyphen_values = true, requires = "high_watermark")]
    pub(crate) low_watermark: Option<u64>,

    /// Remove the events older than this: a number of days, or a duration with a unit such as 52w. Takes precedence over
    /// the watermarks
    #[arg(long, value_name = "DAYS", allow_hyphen_values = true)]
    pub(crate) age: Option<String>,

    /// Remove the events that the rules of this YAML file select. Takes precedence over the age and the watermarks
    #[arg(long, value_name = "RULES")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Options of a run that removes events.
#[derive(ClapArgs)]
pub(crate) struct RunArgs {
    /// Print how many events would be removed now, and remove none
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask. Where there is no terminal to ask at, a number without a unit and anything younger than a day need it
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,

    /// Say nothing unless something goes wrong or there is a question; a dry run prints the number alone
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) floor: FloorArgs,

    /// Output format
    #[arg(long, value_enum, default_value = "number")]
    pub(crate) format: RunFormat,
}

/// The floor below which nothing is removed.
#[derive(ClapArgs)]
pub(crate) struct FloorArgs {
    /// Never remove an event younger than this
    #[arg(
        long = "floor",
        env = "AUDIT_RETENTION_FLOOR",
        value_name = "DURATION",
        allow_hyphen_values = true,
        hide_env_values = true
    )]
    floor: Option<String>,
}

impl FloorArgs {
    /// Parses the floor. An empty text is none.
    pub(crate) fn floor(&self) -> Result<Option<Duration>, CliError> {
        let given = self.floor.as_deref().filter(|text| !text.is_empty());
        given.map(parse_duration).transpose().map_err(|error| CliError::Usage(format!("--floor: {error}")))
    }
}

/// The output format of a run that removes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    /// The number of removed events, or of those that would be
    Number,
    /// One object with the plan, the counts, also those of each rule, and the range
    Json,
}

#[derive(ClapArgs)]
pub(crate) struct DestroyArgs {
    /// Do not ask; needed where there is no terminal to ask at
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,

    /// Also makes the roles that may append, read or purge, and nothing else (PostgreSQL)
    #[arg(long)]
    pub(crate) roles: bool,

    #[command(flatten)]
    pub(crate) floor: FloorArgs,
}

#[derive(ClapArgs)]
pub(crate) struct BackupArgs {
    /// The file that the copy becomes
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(ClapArgs)]
pub(crate) struct MigrateArgs {
    /// Also makes the roles that may append, read or purge, and nothing else (PostgreSQL)
    #[arg(long)]
    pub(crate) roles: bool,
}

#[derive(ClapArgs)]
pub(crate) struct DoctorArgs {
    /// A policy file of an app, TOML or YAML, to be looked at as the app would
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Output format [default: table on a terminal, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

#[derive(ClapArgs)]
pub(crate) struct ServeArgs {
    /// The port on 127.0.0.1; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = port, allow_hyphen_values = true)]
    pub(crate) port: u16,

    /// Print an address of 127.0.0.1, for a browser that does not find names below .localhost. Do not visit servers of
    /// others on 127.0.0.1 with it meanwhile: a browser sends them the token
    #[arg(long)]
    pub(crate) numeric: bool,
}

#[derive(ClapArgs)]
pub(crate) struct ManArgs {
    /// The command that the page is about; without it, the program
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

/// The output format of events, reports and statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON: events as an array, one a line; a single event, a report or statistics as one object
    Json,
    /// JSON lines: one object a line, and nothing else
    Jsonl,
    /// RFC 4180, with a header; what a spreadsheet would take for a formula gets an apostrophe
    Csv,
    /// Columns for the eye, fitted to the terminal
    Table,
}

/// The output format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// JSON lines: one event a line, and nothing else
    Jsonl,
    /// RFC 4180, with a header; what a spreadsheet would take for a formula gets an apostrophe
    Csv,
    /// A JSON array, one event a line
    Json,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Json => Self::Json,
        }
    }
}

/// The output format of `tail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamFormat {
    /// JSON lines: one event a line, and nothing else
    Jsonl,
    /// RFC 4180, with a header; what a spreadsheet would take for a formula gets an apostrophe
    Csv,
    /// Columns for the eye, fitted to the terminal
    Table,
}

impl From<StreamFormat> for Format {
    fn from(format: StreamFormat) -> Self {
        match format {
            StreamFormat::Jsonl => Self::Jsonl,
            StreamFormat::Csv => Self::Csv,
            StreamFormat::Table => Self::Table,
        }
    }
}

fn whole_number(text: &str) -> Result<u64, &'static str> {
    const RIGHT: &str = "expected a whole number, 0 or more";
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().map_err(|_| RIGHT) } else { Err(RIGHT) }
}

fn port(text: &str) -> Result<u16, &'static str> {
    const RIGHT: &str = "expected a port from 0 to 65535";
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().map_err(|_| RIGHT) } else { Err(RIGHT) }
}

fn top(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(top @ 1..=1000) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(top),
        _ => Err("expected a whole number from 1 to 1000"),
    }
}

/// They are held in memory before the oldest is printed.
fn tail_limit(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(limit @ 0..=100_000) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(limit),
        _ => Err("expected a whole number from 0 to 100000; `query` prints more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(words: &[&str]) -> Args {
        Args::try_parse_from([&["tower-audit"], words].concat()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_url_may_come_before_or_after_the_subcommand() {
        assert_eq!(parse(&["--url", "memory:", "count"]).url.as_deref(), Some("memory:"));
        assert_eq!(parse(&["count", "--url", "memory:"]).url.as_deref(), Some("memory:"));
        assert_eq!(parse(&["--url=a:", "get", "00", "--url=b:"]).url.as_deref(), Some("b:"));
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
    fn the_object_of_a_history_is_a_condition_beside_others() {
        let Command::History(args) = parse(&["history", "order/7/a*", "-u", "alice", "-n", "3"]).command else {
            panic!("history")
        };
        let filter = args.filter(Timestamp::now()).unwrap();
        let expected = Filter::new().user_email("alice").target(Target::new("order", "7/a*")).folded(true);
        assert_eq!((filter, args.limit), (expected, 3));
        for wrong in ["order", "!order/7", "Order/7", "/7", "order/"] {
            let Command::History(args) = parse(&["history", wrong]).command else { panic!("history") };
            let error = args.filter(Timestamp::now()).unwrap_err().to_string();
            assert!(error.contains("TYPE/ID"), "{error}");
        }
    }

    #[test]
    fn a_wrong_filter_names_its_option() {
        let Command::Count(filter) = parse(&["count", "--since", "-5d"]).command else { panic!("count") };
        let error = filter.filter(Timestamp::now(), false).unwrap_err().to_string();
        assert!(error.starts_with("--since: \"-5d\" is no time: expected"), "{error}");
    }

    #[test]
    fn numbers_are_whole() {
        assert_eq!(whole_number("0"), Ok(0));
        for text in ["", "-1", "+1", "1.5", "all", "99999999999999999999"] {
            assert!(whole_number(text).is_err(), "{text}");
        }
    }
}
