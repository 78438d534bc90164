//! The diagnostics of a log, and their forms.

use std::io::{self, Write};

use serde_json::{Value, json};
use tower_audit::export::{Csv, to_json};
use tower_audit::store::{Diagnostic, Severity};
use unicode_width::UnicodeWidthStr as _;

use crate::output::{OutputTarget, PLAIN, RED, YELLOW};
use crate::redact::redact_passwords;
use crate::sanitize::sanitize_line;

/// The diagnostics of a log.
#[derive(Debug, Default)]
pub(crate) struct DoctorReport(Vec<Diagnostic>);

impl DoctorReport {
    /// Adds diagnostics. Texts from elsewhere are sanitized here.
    pub(crate) fn add(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(diagnostics.into_iter().map(|mut diagnostic| {
            diagnostic.message = sanitize(&diagnostic.message);
            diagnostic.hint = diagnostic.hint.as_deref().map(sanitize);
            diagnostic
        }));
    }

    /// Returns the number of errors.
    pub(crate) fn error_count(&self) -> usize {
        self.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Writes one object.
    pub(crate) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let diagnostics: Value = self.0.iter().map(object).collect();
        writeln!(out, "{}", to_json(&json!({ "healthy": self.error_count() == 0, "diagnostics": diagnostics }))?)
    }

    /// Writes a diagnostic a line.
    pub(crate) fn json_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|diagnostic| writeln!(out, "{}", to_json(&object(diagnostic))?))
    }

    /// Writes a header, and a record for each diagnostic.
    pub(crate) fn csv(&self, csv: &Csv, out: &mut dyn Write) -> io::Result<()> {
        csv.write_record(["severity", "subject", "message", "hint"].map(Into::into), out)?;
        self.0.iter().try_for_each(|Diagnostic { severity, subject, message, hint, .. }| {
            let hint = hint.as_deref().unwrap_or_default();
            csv.write_record([severity_text(*severity), subject, message.as_str(), hint].map(Into::into), out)
        })
    }

    /// Writes a table for people. Warnings and errors stand out, with or without colours.
    pub(crate) fn print(&self, target: OutputTarget, out: &mut dyn Write) -> io::Result<()> {
        let width = self.0.iter().map(|diagnostic| diagnostic.subject.len()).max().unwrap_or(0);
        for Diagnostic { severity, subject, message, hint, .. } in &self.0 {
            let (mark, colour) = match severity {
                Severity::Ok => ("ok     ", ""),
                Severity::Warning => ("WARNING", YELLOW),
                Severity::Error => ("ERROR  ", RED),
            };
            let (colour, plain) = if target.has_colour() && !colour.is_empty() { (colour, PLAIN) } else { ("", "") };
            let indent = mark.len() + width + 4;
            let room = target.columns().map_or(usize::MAX, |columns| columns.saturating_sub(indent));
            let mut lines = wrapped(message, room).into_iter();
            writeln!(out, "{colour}{mark}{plain}  {subject:width$}  {}", lines.next().unwrap_or_default())?;
            let hint = hint.as_ref().map(|hint| format!("to do: {hint}")).unwrap_or_default();
            for line in lines.chain(wrapped(&hint, room)) {
                writeln!(out, "{:indent$}{line}", "")?;
            }
        }
        Ok(())
    }
}

/// Breaks a text into lines of at most `room` columns. A longer word has a line of its own.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn sanitize(text: &str) -> String {
    sanitize_line(&redact_passwords(text)).into_owned()
}

fn object(Diagnostic { severity, subject, message, hint, .. }: &Diagnostic) -> Value {
    json!({ "severity": severity_text(*severity), "subject": subject, "message": message, "hint": hint })
}

fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("the quick  brown fox", 9), ["the quick", "brown fox"]);
        assert_eq!(wrapped("a verylongword b", 5), ["a", "verylongword", "b"]);
        assert_eq!(wrapped("", 5), [""; 0]);
    }

    #[test]
    fn what_others_wrote_forges_no_line_and_shows_no_password() {
        let mut report = DoctorReport::default();
        report.add([Diagnostic::error("store", "no\r\nfine  all\u{1b}[8m postgres://app:secret@db/x", "see \u{202e}")]);
        let mut out = Vec::new();
        report.print(OutputTarget::file(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']) && !text.contains("secret"), "{text}");
    }
}
