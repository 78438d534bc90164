//! Records of other audit logs, and of this one's exports, as events.
//!
//! [`Records`] reads a file record by record, in bounded memory. A record that is no event is reported with its line, and the
//! reading goes on. Nothing that has no field is lost: it is kept in `details.imported`. `docs/import.md` has the tables.
//!
//! A record without an id gets one that depends on nothing but the record and its number among equal ones: the same
//! file gives the same ids each time, so that an import can be repeated.
//!
//! ```
//! use tower_audit::import::{ImportFormat, Records};
//!
//! let log = br#"{"timestamp":"2018-10-20T15:45:30.249+02:00","username":"admin","domain":"authentication","type":"login"}
//! torn {"#;
//! let records: Vec<_> = Records::new(ImportFormat::Iq, &log[..]).collect::<Result<_, _>>()?;
//! let event = records[0].event.as_ref().expect("an event");
//! assert_eq!(event.created_at.to_string(), "2018-10-20T13:45:30.249000Z");
//! assert_eq!(event.actor.user_email.as_deref(), Some("admin"));
//! assert_eq!((records[1].line, records[1].event.is_err()), (2, true));
//! # Ok::<(), std::io::Error>(())
//! ```

mod csv_event;
mod csv_records;
mod derived_id;
mod equal_records;
mod import_format;
mod import_record;
mod iq;
mod ivre;
mod json_elements;
mod members;
mod own;
mod raw_record;
mod record_lines;
mod record_mapper;
mod records;

pub use import_format::{ImportFormat, ImportFormatError};
pub use import_record::{ImportNote, ImportRecord, Rejection};
pub use record_mapper::RecordMapper;
pub use records::Records;
