//! The parts that the stores on SQL share: from what a reader asks to conditions with bound values; and, of the servers,
//! the sessions and the writer's lease.

mod clause;
mod dialect;

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod abandoned_session;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod driver_error;
#[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
mod event_columns;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod pace;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) mod server_url;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod session_driver;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod session_observer;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod session_pool;
#[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
mod stored_row;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod suspect_writers;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod unsealed;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod writer_lease;

pub(super) use clause::{BindValue, Clause};
pub(super) use dialect::{Dialect, TextColumn};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use driver_error::{TlsParameters, cause, classify_unanswered};
#[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
pub(super) use event_columns::{TEXT_COLUMNS, text};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use session_driver::{CONNECTING, Session, SessionDriver, SessionKind, Sight, Wait, within_timeout};
#[cfg(feature = "postgres")]
pub(super) use session_driver::{connect, connect_timeout};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use session_observer::SessionObserver;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use session_pool::Pool;
#[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
pub(super) use stored_row::{StoredRow, started_event};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use suspect_writers::{SuspectWriter, dead_writers};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use unsealed::{CHUNK, Pending, Sweep, UnsealedSource};
#[cfg(feature = "postgres")]
pub(super) use unsealed::{GRACE_MILLIS, id_at};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use writer_lease::{LEAVING, REGISTERING, WriterLease, WriterLocks};
