//! The document of an event: its fields, and what they hold of the event.

use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};

use super::details::details_document;
use super::error::permanent;
use super::time::{StoredTime, hex};
use crate::event::{AuditEvent, EventId};
use crate::query::Field;
use crate::store::StoreError;

/// The fields with one text of the event each; in a document they have the path that they have in the event.
pub(super) const TEXT_FIELDS: [Field; 12] = [
    Field::UserEmail,
    Field::ApiKeyHash,
    Field::RemoteAddr,
    Field::ActingFor,
    Field::Route,
    Field::Method,
    Field::RequestId,
    Field::Uri,
    Field::TraceId,
    Field::Domain,
    Field::Action,
    Field::Error,
];

/// The fields that are there and null where an event has no value, as in IVRE's documents.
const NULLABLE: [Field; 5] = [Field::UserEmail, Field::ApiKeyHash, Field::RemoteAddr, Field::Route, Field::Method];

/// The array with the text forms of the targets.
pub(super) const TARGETS: &str = "targets";
/// The whole event.
pub(super) const EVENT: &str = "event";
/// The id of the event that an event ends.
pub(super) const STARTED: &str = "request.started_event_id";

/// Returns the path of a field with one value.
pub(super) fn path(field: Field) -> &'static str {
    field.event_field().map_or(TARGETS, |field| field.path())
}

/// Returns the id as the `_id` of documents.
pub(super) fn key(id: EventId) -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: id.to_bytes().to_vec() }
}

/// Makes the document of an event.
pub(super) fn document_of(event: &AuditEvent) -> Result<Document, StoreError> {
    let text = serde_json::to_string(event)
        .map_err(|error| permanent("append").with_hint("the event cannot be written as JSON").with_source(error))?;
    let mut document = doc! {"_id": key(event.event_id)};
    document.extend(columns_of(event));
    document.insert(EVENT, text);
    Ok(document)
}

/// Makes the fields of an event's document that hold a part of the event.
pub(super) fn columns_of(event: &AuditEvent) -> Document {
    let time = StoredTime::from(event.created_at);
    let mut document = doc! {
        "event_id": hex(event.event_id),
        "event_type": event.event_type.as_str(),
        "created_at": time.date,
        "phase": event.phase.as_str(),
        "actor": {},
        "resource": {},
        "outcome": event.outcome.map(i32::from),
        "details": details_document(&event.details),
    };
    if time.micros > 0 {
        document.insert("micros", time.micros);
    }
    for field in TEXT_FIELDS {
        let value = field.event_field().and_then(|known| known.value_of(event)).map(|text| text.into_owned());
        if value.is_some() || NULLABLE.contains(&field) {
            insert(&mut document, path(field), value.into());
        }
    }
    if let Some(started) = event.request.started_event_id {
        insert(&mut document, STARTED, hex(started).into());
    }
    if !event.targets.is_empty() {
        let texts: Vec<String> = event.targets.iter().map(ToString::to_string).collect();
        document.insert(TARGETS, texts);
    }
    document
}

/// Inserts a value at a path of two names at the most.
fn insert(document: &mut Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => {
            document.insert(path, value);
        }
        Some((outer, inner)) => {
            if let Bson::Document(part) = document.entry(outer.to_owned()).or_insert(Bson::Document(Document::new())) {
                part.insert(inner, value);
            }
        }
    }
}

/// Returns the value at a path of two names at the most.
pub(super) fn value_at<'d>(document: &'d Document, path: &str) -> Option<&'d Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((outer, inner)) => document.get_document(outer).ok()?.get(inner),
    }
}
