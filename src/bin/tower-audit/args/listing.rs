//! Options of the commands that print events: `query`, `history`, `tail` and `get`.

use clap::Args as ClapArgs;
use tower_audit::query::Filter;
use tower_audit::{EventId, Target, Timestamp};

use super::filter::FilterArgs;
use super::format::{Format, ProfileArgs, StreamFormat};
use super::number::{tail_limit, whole_number};
use crate::error::CliError;

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

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// Print indented JSON, with N blanks a level, at most 8
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8), conflicts_with = "profile")]
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

    /// Print indented JSON, with N blanks a level, at most 8
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
pub(crate) struct GetArgs {
    /// The id of the event, in any textual form of a UUID
    #[arg(value_name = "ID")]
    id: String,

    /// Output format
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: Format,

    /// Print indented JSON, with N blanks a level, at most 8
    /// [default: 2 on a terminal, else one line]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) indent: Option<u8>,
}

impl GetArgs {
    pub(crate) fn id(&self) -> Result<EventId, CliError> {
        self.id.parse().map_err(|error| CliError::Usage(format!("{error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser as _;

    fn parse(words: &[&str]) -> Args {
        Args::try_parse_from([&["tower-audit"], words].concat()).unwrap_or_else(|error| panic!("{error}"))
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
}
