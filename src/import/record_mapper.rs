//! From a record to an event.

use serde_json::Value;

use super::derived_id::derived_id;
use super::equal_records::EqualRecords;
use super::import_record::{ImportNote, ImportRecord, Rejection};
use super::members::Members;
use super::raw_record::{Content, RawRecord};
use super::{ImportFormat, csv_event, iq, ivre, own};
use crate::event::AuditEvent;
use crate::export::original_of;

/// Makes events of the records of one source, in their order.
///
/// ```
/// use tower_audit::import::{ImportFormat, RecordMapper};
///
/// let mut mapper = RecordMapper::new(ImportFormat::Ivre);
/// let row = br#"{"event_id":"3f1e8c1a-0000-4000-8000-000000000001","event_type":"upload","created_at":"2026-05-25T12:00:00"}"#;
/// let record = mapper.map_json(1, row).expect("a record");
/// assert_eq!(record.event?.created_at.to_string(), "2026-05-25T12:00:00.000000Z");
/// # Ok::<(), tower_audit::import::Rejection>(())
/// ```
#[derive(Debug)]
pub struct RecordMapper {
    format: ImportFormat,
    equal: EqualRecords,
    /// CSV: the columns.
    header: Option<Vec<String>>,
}

impl RecordMapper {
    /// A mapper that has seen no record yet.
    pub fn new(format: ImportFormat) -> Self {
        Self { format, equal: EqualRecords::default(), header: None }
    }

    /// Maps a record of JSON; none for the place of a removed event. `line` is the number that the result has.
    pub fn map_json(&mut self, line: u64, record: &[u8]) -> Option<ImportRecord> {
        let record = record.trim_ascii();
        let mapped = match self.format {
            ImportFormat::Export => own::event(record).map(|event| event.map(|event| (event, Vec::new()))),
            ImportFormat::Iq | ImportFormat::Ivre => self.foreign(record).map(Some),
        };
        mapped.transpose().map(|mapped| bounded(line, mapped))
    }

    /// Maps a record of a file; none for the header of CSV and the place of a removed event.
    pub(super) fn map(&mut self, raw: RawRecord) -> Option<ImportRecord> {
        let mapped = match raw.content {
            Err(rejection) => Err(rejection),
            Ok(Content::Json(record)) => return self.map_json(raw.line, &record),
            Ok(Content::Csv(fields)) => match &self.header {
                None => {
                    self.header = Some(fields);
                    return None;
                }
                Some(header) => csv_event::event(header, &fields),
            },
        };
        Some(bounded(raw.line, mapped))
    }

    fn foreign(&mut self, record: &[u8]) -> Result<(AuditEvent, Vec<ImportNote>), Rejection> {
        let Ok(Value::Object(members)) = serde_json::from_slice(record) else { return Err(Rejection::NotAnObject) };
        // A line that a log of this crate has written in this shape has the whole event.
        if self.format == ImportFormat::Iq
            && let Some(original) = original_of(record)
            && let Ok(event) = serde_json::from_slice(&original)
        {
            return Ok((event, Vec::new()));
        }
        let (format, equal) = (self.format, &mut self.equal);
        let id = |at| derived_id(format, at, record, equal.number(record));
        let members = Members::new(members);
        if format == ImportFormat::Iq { iq::event(members, id) } else { ivre::event(members, id) }
    }
}

/// Makes the event fit its limits.
fn bounded(line: u64, mapped: Result<(AuditEvent, Vec<ImportNote>), Rejection>) -> ImportRecord {
    match mapped {
        Err(rejection) => ImportRecord { line, event: Err(rejection), notes: Vec::new() },
        Ok((mut event, mut notes)) => {
            let mut given = event.clone();
            event.truncate_to_limits();
            // A canonical form of an address is no cut.
            given.actor.remote_addr.clone_from(&event.actor.remote_addr);
            if given != event {
                notes.push(ImportNote::Cut);
            }
            ImportRecord { line, event: Ok(event), notes }
        }
    }
}
