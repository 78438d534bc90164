//! RFC 4180, for spreadsheets; one event a record.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::{Map, Value};

use super::json::escape_unsafe_chars;
use super::{EventFormat, drives_terminal, is_unsafe_to_display};
use crate::event::{AuditEvent, EventField, FIELDS};

/// The columns after those of [`FIELDS`]: JSON each.
const JSON_COLUMNS: [&str; 3] = ["details", "extra", "targets"];

/// Returns the names of the columns. `docs/cli.md` documents them.
fn columns() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(EventField::name).chain(JSON_COLUMNS)
}

/// Records of comma-separated values under a header.
///
/// A value that a spreadsheet would take for a formula gets an apostrophe before it: a client chose it. Characters that a
/// terminal acts on ([`drives_terminal`]) are written as `\u{1b}`, because files are shown with `cat`, too; not with
/// [`raw`](Self::raw). CSV has no escapes, so these two are not reversible: JSON has every value unchanged.
#[derive(Debug, Default)]
pub struct Csv {
    values: Values,
    byte_order_mark: bool,
    header_written: bool,
}

/// The treatment of values.
#[derive(Debug, Default)]
enum Values {
    #[default]
    Visible,
    Raw,
    ShownAs(fn(&str) -> Cow<'_, str>),
}

impl Csv {
    /// Values with what a terminal acts on escaped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Values as they are, but for formulas.
    pub fn raw() -> Self {
        Self { values: Values::Raw, ..Self::default() }
    }

    /// Each value as `shown_as` has it, such as one that is safe on a terminal.
    pub fn with_sanitizer(shown_as: fn(&str) -> Cow<'_, str>) -> Self {
        Self { values: Values::ShownAs(shown_as), ..Self::default() }
    }

    /// Begins with a byte order mark (U+FEFF), without which Excel takes UTF-8 for something else. Other readers take it
    /// for a part of the first column's name.
    #[must_use]
    pub fn with_byte_order_mark(mut self) -> Self {
        self.byte_order_mark = true;
        self
    }

    fn write_field(&self, text: &str, first: bool, out: &mut dyn Write) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        let text = match self.values {
            Values::Visible => visible(text),
            Values::Raw => Cow::Borrowed(text),
            Values::ShownAs(shown_as) => shown_as(text),
        };
        let text = neutralize_formula(&text);
        if text.contains([',', '"']) || text.contains(CELL_SEPARATORS) || text.starts_with(' ') || text.ends_with(' ') {
            write!(out, "\"{}\"", text.replace('"', "\"\""))
        } else {
            out.write_all(text.as_bytes())
        }
    }

    /// Writes a record that is no event, by the same rules.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_record<'a>(
        &self,
        fields: impl IntoIterator<Item = Cow<'a, str>>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for (n, field) in fields.into_iter().enumerate() {
            self.write_field(&field, n == 0, out)?;
        }
        out.write_all(b"\r\n")
    }
}

impl EventFormat for Csv {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        if !self.header_written {
            self.header_written = true;
            if self.byte_order_mark {
                out.write_all("\u{feff}".as_bytes())?;
            }
            self.write_record(columns().map(Cow::Borrowed), out)?;
        }
        for event in events {
            self.write_record(fields(event), out)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what a terminal acts on as `\u{1b}`.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(drives_terminal) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if drives_terminal(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Puts an apostrophe before what a spreadsheet would take for a formula, and run.
///
/// Whoever opens the file chooses what separates the cells, and a program that is set to semicolons or tabs does not
/// see the quotes around a field of ours. So what comes after one of those, or on a line of its own, may be a cell, too.
fn neutralize_formula(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let (mut copied, mut cell) = (0, 0);
    loop {
        let end = text[cell..].find(CELL_SEPARATORS).map_or(text.len(), |at| cell + at);
        if is_formula(&text[cell..end]) || (cell == 0 && text.starts_with(['\t', '\r', '\n'])) {
            safe.push_str(&text[copied..cell]);
            safe.push('\'');
            copied = cell;
        }
        if end == text.len() {
            break;
        }
        cell = end + 1;
    }
    if safe.is_empty() {
        return Cow::Borrowed(text);
    }
    safe.push_str(&text[copied..]);
    Cow::Owned(safe)
}

/// Returns true if a spreadsheet may take the cell for a formula. Leading blanks, quotes and invisible characters are
/// ignored, because some programs drop them. Full-width signs count, because some programs fold them.
fn is_formula(cell: &str) -> bool {
    let seen = cell.trim_start_matches(|c: char| c == '"' || c.is_whitespace() || is_unsafe_to_display(c));
    seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

/// Separators of cells other than the comma that a program may be set to. Each is one byte.
const CELL_SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

fn fields(event: &AuditEvent) -> impl Iterator<Item = Cow<'_, str>> {
    let values = FIELDS.iter().map(|field| field.value_of(event).unwrap_or_default());
    values.chain([json(&event.details), json(&extra(event)), targets(event)])
}

/// An empty object is an empty field.
fn json<'a>(object: &Map<String, Value>) -> Cow<'a, str> {
    if object.is_empty() { "".into() } else { json_field(Value::Object(object.clone()).to_string()).into() }
}

/// JSON has escapes of its own, which leave a value what it is: no apostrophe is needed where no cell begins.
fn json_field(json: String) -> String {
    let json = escape_unsafe_chars(json);
    // Only strings have semicolons; tabs and line breaks in them are escaped already.
    match neutralize_formula(&json) {
        Cow::Owned(_) => json.replace(';', "\\u003b"),
        Cow::Borrowed(_) => json,
    }
}

/// The whole list, labels included; the first target has a column of its own besides.
fn targets(event: &AuditEvent) -> Cow<'_, str> {
    if event.targets.is_empty() {
        return "".into();
    }
    // A list of targets is JSON.
    serde_json::to_string(&event.targets).map(json_field).unwrap_or_default().into()
}

/// The fields that a later version of the format added, where they were in the event.
fn extra(event: &AuditEvent) -> Map<String, Value> {
    let mut extra = event.extra.clone();
    for (name, part) in [
        ("actor", &event.actor.extra),
        ("resource", &event.resource.extra),
        ("request", &event.request.extra),
        ("classification", &event.classification.extra),
    ] {
        if !part.is_empty() {
            extra.insert(name.into(), Value::Object(part.clone()));
        }
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Target;
    use crate::export::fixtures::{printed, upload};

    /// Reads RFC 4180 strictly: records end with CRLF, quotes are only where they may be.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut records, mut record, mut rest) = (Vec::new(), Vec::new(), text);
        while !rest.is_empty() {
            let mut field = String::new();
            if let Some(mut quoted) = rest.strip_prefix('"') {
                loop {
                    let end = quoted.find('"').expect("a quoted field ends");
                    field.push_str(&quoted[..end]);
                    quoted = &quoted[end + 1..];
                    let Some(more) = quoted.strip_prefix('"') else { break };
                    field.push('"');
                    quoted = more;
                }
                rest = quoted;
            } else {
                let end = rest.find([',', '\r', '\n', '"']).expect("a field ends");
                field.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            record.push(field);
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = rest.strip_prefix("\r\n").expect("a record ends with CRLF");
                    records.push(std::mem::take(&mut record));
                }
            }
        }
        records
    }

    #[test]
    fn a_header_then_a_record_per_event() {
        let text = printed(Csv::new(), &[&[upload()], &[upload()]]);
        assert_eq!(
            text.lines().next().unwrap(),
            "event_id,event_type,created_at,phase,user_email,api_key_hash,remote_addr,route,method,outcome,request_id,\
             started_event_id,request_uri,user_agent,forwarded,trace_id,duration_us,domain,action,error,acting_for,target,\
             targets_omitted,details,extra,targets"
        );
        assert_eq!(
            text.split("\r\n").nth(1).unwrap(),
            "0199a700000070008000000000000001,upload,2026-05-25T12:00:00.123456Z,completed,alice@example.org,,\
             192.0.2.7,/scans,POST,200,,,,,,,,,,,,,,,,"
        );
        let records = read(&text);
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|record| record.len() == columns().count()));
        assert_eq!(read(&printed(Csv::new(), &[&[]])).len(), 1);
    }

    #[test]
    fn quotes_commas_and_line_breaks_stay_in_their_field() {
        let mut event = upload();
        for hostile in ["a,b", "a\"b", "\"", "a\r\nb", "a\nb,\"c\"", " a ", "\",\"\r\n"] {
            event.actor.user_email = Some(hostile.into());
            event.details.insert("k".into(), hostile.into());
            let records = read(&printed(Csv::new(), &[std::slice::from_ref(&event)]));
            assert_eq!(records.len(), 2);
            assert_eq!(records[1][4], hostile);
            assert_eq!(serde_json::from_str::<Value>(&records[1][23]).unwrap()["k"], hostile);
        }
    }

    #[test]
    fn formulas_are_neutralised() {
        for formula in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "  =1", "\"=1\"", "\u{200b}=1", "＝1"] {
            let mut event = upload();
            event.request.user_agent = Some(formula.into());
            let records = read(&printed(Csv::new(), &[&[event]]));
            assert_eq!(records[1][13], format!("'{formula}"));
        }
        for harmless in ["a=b", "'", "1-2", "/x", "", "a;b\tc\nd", "q=1; r=2"] {
            assert_eq!(neutralize_formula(harmless), harmless);
        }
    }

    #[test]
    fn what_another_separator_would_make_a_cell_is_neutralised() {
        for (text, safe) in [
            ("\t=1", "'\t'=1"),
            ("\r\n=1", "'\r\n'=1"),
            ("a;=1;+2;b", "a;'=1;'+2;b"),
            ("a; \"=1", "a;' \"=1"),
            ("-1;-1", "'-1;'-1"),
            ("\n", "'\n"),
        ] {
            assert_eq!(neutralize_formula(text), safe);
        }
    }

    #[test]
    fn values_can_be_shown_otherwise() {
        let mut event = upload();
        event.actor.user_email = Some("\u{1b}[2J\r=x".into());
        let escaped =
            Csv::with_sanitizer(|text| text.chars().flat_map(char::escape_default).collect::<String>().into());
        let text = printed(escaped, &[&[event]]);
        assert!(text.contains(r"\u{1b}[2J\r=x"), "{text}");
        assert_eq!(text.matches('\r').count(), 2);
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped_unless_it_is_asked_for() {
        let mut event = upload();
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\u{200f}\u{7}\u{2028}|a\tb\r\nc|é\u{200d}\u{a0}\u{ad}";
        event.actor.user_email = Some(hostile.into());
        let shown = "\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{200f}\\u{7}\\u{2028}|a\tb\r\nc|é\u{200d}\u{a0}\u{ad}";
        let events = [event];
        assert_eq!(read(&printed(Csv::new(), &[&events]))[1][4], shown);
        assert!(!printed(Csv::new(), &[&events]).contains(drives_terminal));
        assert_eq!(read(&printed(Csv::raw(), &[&events]))[1][4], hostile);
    }

    #[test]
    fn json_columns_have_no_formulas_and_keep_their_values() {
        let mut event = upload();
        event.details = serde_json::json!({"note": "a;=1+1;-2", "\\;@b": [";＝c", "d;e"]}).as_object().unwrap().clone();
        event.extra.insert("later".into(), ";+1".into());
        let mut target = Target::new("order", 7);
        target.label = Some("x;=1".into());
        event.targets.insert(target);
        let records = read(&printed(Csv::new(), &[&[event.clone()]]));
        let value = |column: usize| serde_json::from_str::<Value>(&records[1][column]).unwrap();
        assert_eq!(value(23), Value::Object(event.details.clone()));
        assert_eq!(value(24), Value::Object(event.extra.clone()));
        assert_eq!(value(25)[0]["label"], "x;=1");
        assert!(records[1][23..26].iter().all(|field| !field.contains(';')), "{:?}", &records[1][23..26]);
        event.details = serde_json::json!({"note": "a;b"}).as_object().unwrap().clone();
        assert_eq!(read(&printed(Csv::new(), &[&[event]]))[1][23], r#"{"note":"a;b"}"#, "no formula");
    }

    #[test]
    fn a_byte_order_mark_is_written_once() {
        let text = printed(Csv::new().with_byte_order_mark(), &[&[upload()], &[upload()]]);
        assert_eq!(text.strip_prefix('\u{feff}'), Some(printed(Csv::new(), &[&[upload()], &[upload()]]).as_str()));
    }

    #[test]
    fn fields_of_later_versions_are_in_the_last_column() {
        let mut event = upload();
        event.extra.insert("region".into(), "eu".into());
        event.actor.extra.insert("device".into(), "d1".into());
        let records = read(&printed(Csv::new(), &[&[event]]));
        let extra: Value = serde_json::from_str(&records[1][24]).unwrap();
        assert_eq!(extra, serde_json::json!({"region": "eu", "actor": {"device": "d1"}}));
    }
}
