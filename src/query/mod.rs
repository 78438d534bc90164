//! Queries as plain values: filters, pages, times. No I/O.

mod condition;
mod covering;
mod filter;
mod page_query;
mod text_pattern;
mod time_expr;
mod value_count;

pub use condition::{Condition, OutcomePattern};
#[cfg(feature = "sqlite")]
pub(crate) use filter::FilterableFields;
pub use filter::{Filter, FilterError};
pub use page_query::{Cursor, PageQuery};
pub use text_pattern::TextPattern;
pub use time_expr::{TimeError, cutoff, parse_cutoff, parse_duration, parse_time};
pub use value_count::{Buckets, Field, ValueCount};
