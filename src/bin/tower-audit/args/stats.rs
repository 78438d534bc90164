//! Options of `stats`.

use std::str::FromStr as _;

use clap::{Args as ClapArgs, ValueEnum};
use tower_audit::query::Field;

use super::filter::FilterArgs;
use super::format::Format;
use super::number::top;

#[derive(ClapArgs)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Fields to count events by; can be given several times: event_type, user_email, remote_addr, route, outcome, phase, method,
    /// api_key_hash, acting_for, domain, action or error [default: event_type, user_email, route and outcome]
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
    /// At most 40 buckets
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
