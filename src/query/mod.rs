//! What a reader may ask: pure values, no I/O.

mod filter;
mod page;
mod when;

pub use filter::{Filter, FilterError};
pub use page::{Cursor, Query};
pub use when::{TimeError, cutoff, parse_duration, parse_when};
