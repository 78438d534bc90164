//! The whole event inside of a line of a profile.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Returns the JSON of the whole event inside of a line of any profile that has it.
pub(crate) fn original_of(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    if let Some(data) = line.data {
        // The attributes of the IQ Server have the event among its details.
        return match line.specversion {
            Some(_) => Some(Cow::Borrowed(data.get().as_bytes())),
            None => {
                let data: Data<'_> = serde_json::from_str(data.get()).ok()?;
                Some(Cow::Borrowed(data.event.get().as_bytes()))
            }
        };
    }
    let record =
        || line.resource_logs?.into_iter().next()?.scope_logs.into_iter().next()?.log_records.into_iter().next();
    let text =
        line.raw_data.or(line.event.map(|event| event.original)).or_else(|| Some(record()?.body.string_value))?;
    Some(Cow::Owned(text.into_bytes()))
}

#[derive(Deserialize)]
struct Line<'a> {
    specversion: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    event: Option<Event>,
    raw_data: Option<String>,
    #[serde(rename = "resourceLogs")]
    resource_logs: Option<Vec<ResourceLogs>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct Event {
    original: String,
}

#[derive(Deserialize)]
struct ResourceLogs {
    #[serde(rename = "scopeLogs")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize)]
struct ScopeLogs {
    #[serde(rename = "logRecords")]
    log_records: Vec<LogRecord>,
}

#[derive(Deserialize)]
struct LogRecord {
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "stringValue")]
    string_value: String,
}
