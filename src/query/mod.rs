//! What a reader may ask: pure values, no I/O.

mod condition;
mod covering;
mod filter;
mod page;
mod pattern;
mod tally;
mod when;

pub use condition::{Condition, Status};
#[cfg(feature = "sqlite")]
pub(crate) use filter::Facts;
pub use filter::{Filter, FilterError};
pub use page::{Cursor, Query};
pub use pattern::Pattern;
pub use tally::{Buckets, Field, Tally};
pub use when::{TimeError, cutoff, parse_cutoff, parse_duration, parse_when};
