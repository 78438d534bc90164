//! Queries as plain values: filters, pages, times. No I/O.

mod buckets;
mod condition;
mod cursor;
mod error;
mod field;
mod filter;
mod outcome_pattern;
mod page_query;
mod statistics;
mod text_pattern;
mod time_expr;
mod value_count;

pub use buckets::Buckets;
pub use condition::Condition;
pub use cursor::Cursor;
pub use error::FilterError;
pub use field::Field;
pub use filter::Filter;
#[cfg(feature = "sqlite")]
pub(crate) use filter::{FilterValues, detail_text};
pub use outcome_pattern::OutcomePattern;
pub use page_query::PageQuery;
pub use statistics::{Histogram, HistogramBucket, Statistics, StatisticsQuery};
pub use text_pattern::TextPattern;
pub use time_expr::{TimeError, cutoff, parse_cutoff, parse_duration, parse_time};
pub use value_count::ValueCount;
