//! What was found, and how it is written.

use std::io::{self, Write};

use serde_json::{Value, json};
use tower_audit::export::{Csv, to_json};
use tower_audit::store::{Diagnostic, Severity};
use unicode_width::UnicodeWidthStr as _;

use crate::output::{OutputTarget, PLAIN, RED, YELLOW};
use crate::redact::redact_passwords;
use crate::sanitize::sanitize_line;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct DoctorReport(Vec<Diagnostic>);

impl DoctorReport {
    /// Whatever was found by others is made harmless here.
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(findings.into_iter().map(|mut finding| {
            finding.message = harmless(&finding.message);
            finding.hint = finding.hint.as_deref().map(harmless);
            finding
        }));
    }

    /// How many things are wrong.
    pub(crate) fn error_count(&self) -> usize {
        self.0.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// One object.
    pub(crate) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let findings: Value = self.0.iter().map(object).collect();
        writeln!(out, "{}", to_json(&json!({ "well": self.error_count() == 0, "findings": findings }))?)
    }

    /// A finding a line.
    pub(crate) fn json_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|finding| writeln!(out, "{}", to_json(&object(finding))?))
    }

    /// A record for each finding, under a header.
    pub(crate) fn csv(&self, csv: &Csv, out: &mut dyn Write) -> io::Result<()> {
        csv.write_record(["level", "about", "text", "remedy"].map(Into::into), out)?;
        self.0.iter().try_for_each(
            |Diagnostic { severity: level, subject: about, message: text, hint: remedy, .. }| {
                let remedy = remedy.as_deref().unwrap_or_default();
                csv.write_record([severity_text(*level), about, text.as_str(), remedy].map(Into::into), out)
            },
        )
    }

    /// For the eye: what is wrong stands out, with or without colours.
    pub(crate) fn print(&self, target: OutputTarget, out: &mut dyn Write) -> io::Result<()> {
        let width = self.0.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
        for Diagnostic { severity: level, subject: about, message: text, hint: remedy, .. } in &self.0 {
            let (mark, colour) = match level {
                Severity::Ok => ("fine   ", ""),
                Severity::Warning => ("WARNING", YELLOW),
                Severity::Error => ("WRONG  ", RED),
            };
            let (colour, plain) = if target.has_colour() && !colour.is_empty() { (colour, PLAIN) } else { ("", "") };
            let indent = mark.len() + width + 4;
            let room = target.columns().map_or(usize::MAX, |columns| columns.saturating_sub(indent));
            let mut lines = wrapped(text, room).into_iter();
            writeln!(out, "{colour}{mark}{plain}  {about:width$}  {}", lines.next().unwrap_or_default())?;
            let remedy = remedy.as_ref().map(|remedy| format!("to do: {remedy}")).unwrap_or_default();
            for line in lines.chain(wrapped(&remedy, room)) {
                writeln!(out, "{:indent$}{line}", "")?;
            }
        }
        Ok(())
    }
}

/// The text in lines that are no wider than this, but for words that are.
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

fn harmless(text: &str) -> String {
    sanitize_line(&redact_passwords(text)).into_owned()
}

fn object(finding: &Diagnostic) -> Value {
    json!({
        "level": severity_text(finding.severity), "about": finding.subject, "text": finding.message, "remedy": finding.hint,
    })
}

fn severity_text(level: Severity) -> &'static str {
    match level {
        Severity::Ok => "fine",
        Severity::Warning => "warning",
        Severity::Error => "wrong",
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
