//! The corpus of hostile values, through every format: to a pipe, to a terminal, into a spreadsheet.

use std::collections::BTreeMap;
use std::process::Command;

use tower_audit::AuditEvent;
use tower_audit::export::{drives_terminal, is_unsafe_to_display};
use unicode_width::UnicodeWidthStr as _;

use crate::hostile;
use crate::support::{Run, Store, on_terminal};

fn store() -> (Store, Vec<AuditEvent>) {
    let mut events = hostile::events();
    let store = Store::of(&events);
    events.reverse();
    (store, events)
}

fn all(format: &str) -> [&str; 5] {
    ["query", "--limit", "0", "--format", format]
}

#[test]
fn json_has_every_value_and_nothing_to_act_on() {
    let (store, events) = store();
    let json = store.run(&all("json")).ok();
    let lines = store.run(&all("jsonl")).ok();
    assert_eq!(serde_json::from_str::<Vec<AuditEvent>>(&json).expect("an array of events"), events);
    let read: Vec<AuditEvent> = lines.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(read, events);
    for text in [json, lines] {
        assert!(!text.contains(|c| c != '\n' && is_unsafe_to_display(c)));
    }
}

/// A terminal acts on nothing in any format, and a table has as many lines as it should.
#[test]
fn a_terminal_shows_text_and_acts_on_nothing() {
    let (store, events) = store();
    for format in ["json", "jsonl", "csv", "table"] {
        for columns in [80, 160] {
            let shown = on_terminal(store.command(&all(format)), columns);
            // CSV ends its lines with CRLF itself.
            let shown = without_colours(&shown.replace("\r\r\n", "\n").replace("\r\n", "\n"));
            let bad = shown.chars().find(|c| *c != '\n' && is_unsafe_to_display(*c));
            assert_eq!(bad, None, "{format}");
            if format == "table" {
                let notes = usize::from(shown.ends_with(")\n"));
                assert_eq!(shown.lines().count(), 1 + events.len() + notes, "{columns}");
                let widest = shown.lines().map(|line| line.width()).max();
                assert!(widest.is_some_and(|widest| widest <= columns), "{columns}: {widest:?}");
            }
        }
    }
    for event in &events {
        let shown = on_terminal(store.command(&["get", &event.event_id.to_string()]), 80);
        assert_eq!(serde_json::from_str::<AuditEvent>(&shown).expect("an event"), *event);
    }
}

/// Another CSV reader returns every value in its column, but for apostrophes before formulas and escapes for characters that a
/// terminal acts on; `--raw` leaves those out.
#[test]
fn csv_is_read_by_another_parser() {
    const READ: &str = "import csv, json, sys\n\
        csv.field_size_limit(1 << 30)\n\
        text = open(sys.argv[1], encoding='utf-8', newline='')\n\
        json.dump(list(csv.DictReader(text, strict=True, restkey='more')), sys.stdout)";
    let (store, events) = store();
    let read = |csv: &str| -> Vec<BTreeMap<String, Option<String>>> {
        let mut python = Command::new("python3");
        python.args(["-c", READ]).arg(store.file("audit.csv", csv));
        serde_json::from_str(&Run::of(python).ok()).expect("records")
    };
    let shown = store.run(&all("csv")).ok();
    assert!(!shown.contains(drives_terminal), "a file is looked at on a terminal");
    assert_eq!(shown, store.run(&["export", "--format", "csv"]).ok());
    assert_eq!(read(&shown).len(), events.len());
    let raw = store.run(&["export", "--format", "csv", "--raw"]).ok();
    assert!(
        raw.contains(drives_terminal)
            && !on_terminal(store.command(&["export", "--format=csv", "--raw"]), 80).contains('\u{1b}')
    );
    let marked = store.run(&["export", "--format", "csv", "--bom"]).ok();
    assert_eq!(marked.strip_prefix('\u{feff}'), Some(shown.as_str()));
    assert!(store.run(&["export", "--bom"]).failed(2).contains("--format csv"));
    let records = read(&raw);
    assert_eq!(records.len(), events.len());
    for (record, event) in records.iter().zip(&events) {
        assert_eq!(record.len(), 26, "{event:?}");
        for (column, value) in hostile::texts(event) {
            let (found, value) =
                (record[column].as_deref().unwrap_or("missing"), value.as_deref().unwrap_or("missing").to_owned());
            assert_eq!(found.replace('\'', ""), value.replace('\'', ""), "{column}");
            assert!(found.len() >= value.len(), "{column}");
        }
        for column in ["details", "extra", "targets"] {
            let json = record[column].as_deref().unwrap_or_default();
            serde_json::from_str::<serde_json::Value>(json).expect("JSON");
        }
    }
}

/// No cell is a formula in LibreOffice, with any separator of cells; the number of cells is right.
#[test]
fn a_spreadsheet_takes_no_value_for_a_formula() {
    const COMMA: &str = "44";
    const SEMICOLON: &str = "59";
    const TAB: &str = "9";
    // Its default.
    const ANY: &str = "44/59/9";
    let (store, events) = store();
    let csv = store.run(&all("csv")).ok();
    store.file("audit.csv", &csv);
    // The same without the apostrophes: if nothing in it is a formula, this test would see none either.
    store.file("control.csv", &csv.replace('\'', ""));
    for separators in [COMMA, SEMICOLON, TAB, ANY] {
        let [sheet, control] = spreadsheets(&store, ["audit.csv", "control.csv"], separators);
        let formulas: Vec<&str> = sheet.matches("table:formula=\"").collect();
        assert_eq!(formulas.len(), 0, "{separators}: {}", around(&sheet, "table:formula=\""));
        assert!(sheet.contains("created_at"), "{separators}: no sheet");
        if [COMMA, ANY].contains(&separators) {
            let ids = events.iter().filter(|event| sheet.contains(&format!(">{}<", event.event_id))).count();
            assert_eq!(ids, events.len(), "{separators}: an event lost its row");
        }
        assert!(control.contains("table:formula=\""), "{separators}: the corpus has no formula for this");
    }
}

/// CSV files as LibreOffice has them when it has opened them, as XML.
fn spreadsheets<const N: usize>(store: &Store, files: [&str; N], separators: &str) -> [String; N] {
    const QUOTE: &str = "34";
    const UTF_8: &str = "76";
    let folder = store.folder();
    let mut soffice = Command::new("soffice");
    soffice
        .arg(format!("-env:UserInstallation=file://{}/profile", folder.display()))
        .args(["--headless", "--convert-to", "fods", "--outdir"])
        .arg(folder)
        .arg(format!("--infilter=Text - txt - csv (StarCalc):{separators},{QUOTE},{UTF_8},1"))
        .args(files.map(|file| folder.join(file)))
        .env("HOME", folder);
    let done = soffice.output().expect("this test needs LibreOffice: apt-get install libreoffice-calc-nogui");
    assert!(done.status.success(), "{done:?}");
    files.map(|file| {
        let made = folder.join(file).with_extension("fods");
        let sheet = std::fs::read_to_string(&made).unwrap_or_else(|error| panic!("{error}: {done:?}"));
        std::fs::remove_file(made).expect("it was just made");
        sheet
    })
}

fn around<'a>(text: &'a str, what: &str) -> &'a str {
    let Some(at) = text.find(what) else { return "" };
    let mut end = (at + 200).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[at..end]
}

/// The text without the codes that colour it, and with any other.
fn without_colours(text: &str) -> String {
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"]
        .iter()
        .fold(text.to_owned(), |text, code| text.replace(code, ""))
}
