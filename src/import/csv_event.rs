//! An event of the columns of an export.

use serde_json::{Map, Value};

use super::{ImportNote, Rejection};
use crate::event::{AuditEvent, FIELDS, Target};

/// Columns of JSON.
const DETAILS: &str = "details";
const EXTRA: &str = "extra";
const TARGETS: &str = "targets";

/// Makes an event of a record under its header.
pub(super) fn event(header: &[String], record: &[String]) -> Result<(AuditEvent, Vec<ImportNote>), Rejection> {
    if header.len() != record.len() {
        return Err(Rejection::NotCsv);
    }
    let (mut event, mut notes) = (Map::new(), Vec::new());
    let mut first_target = None;
    for (column, text) in header.iter().zip(record).filter(|(_, text)| !text.is_empty()) {
        match column.as_str() {
            DETAILS | TARGETS | EXTRA => {
                let value: Value = serde_json::from_str(text).map_err(|_| Rejection::NotCsv)?;
                merge(&mut event, column, value)?;
            }
            "target" => first_target = Some(text.parse::<Target>().map_err(|_| Rejection::NotCsv)?),
            _ => {
                let Some(field) = FIELDS.iter().find(|field| field.name() == column) else {
                    notes.push(ImportNote::UnknownMember(crate::event::excerpt(column)));
                    event.insert(column.clone(), text.as_str().into());
                    continue;
                };
                let is_number = matches!(field.name(), "outcome" | "duration_us" | "targets_omitted");
                let value = if is_number {
                    text.parse::<u64>().map_err(|_| Rejection::NotCsv)?.into()
                } else {
                    if may_be_changed(text) {
                        notes.push(ImportNote::Ambiguous(field.name()));
                    }
                    Value::from(text.as_str())
                };
                match field.path().split_once('.') {
                    Some((object, name)) => drop(object_of(&mut event, object)?.insert(name.into(), value)),
                    None => drop(event.insert(field.path().into(), value)),
                }
            }
        }
    }
    if let Some(target) = first_target.filter(|_| !event.contains_key(TARGETS)) {
        event.insert(TARGETS.into(), serde_json::json!([target]));
    }
    let event = serde_json::from_value(event.into()).map_err(|_| Rejection::NotAnEvent)?;
    Ok((event, notes))
}

/// Adds a column of JSON. `extra` has the unknown members of the event and of its objects.
fn merge(event: &mut Map<String, Value>, column: &str, value: Value) -> Result<(), Rejection> {
    if column != EXTRA {
        event.insert(column.to_owned(), value);
        return Ok(());
    }
    let Value::Object(extra) = value else { return Err(Rejection::NotCsv) };
    for (name, value) in extra {
        match (name.as_str(), value) {
            ("actor" | "resource" | "request" | "classification", Value::Object(members)) => {
                object_of(event, &name)?.extend(members);
            }
            (_, value) => drop(event.insert(name, value)),
        }
    }
    Ok(())
}

fn object_of<'e>(event: &'e mut Map<String, Value>, name: &str) -> Result<&'e mut Map<String, Value>, Rejection> {
    match event.entry(name).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(members) => Ok(members),
        _ => Err(Rejection::NotCsv),
    }
}

/// Returns true if the export may have put an apostrophe before a formula, or written a character as `\u{1b}`.
fn may_be_changed(text: &str) -> bool {
    text.contains("\\u{") || text.split([';', '\t', '\r', '\n']).any(|cell| cell.starts_with('\''))
}
