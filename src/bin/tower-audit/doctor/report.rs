//! What was found, and how it is written.

use std::io::{self, Write};

use serde_json::{Value, json};
use tower_audit::export::{Csv, to_json};
use tower_audit::store::{Finding, Level};
use unicode_width::UnicodeWidthStr as _;

use crate::conceal::conceal_passwords;
use crate::output::{PLAIN, RED, Target, YELLOW};
use crate::sanitize::sanitize_line;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Finding>);

impl Report {
    /// Whatever was found by others is made harmless here.
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings.into_iter().map(|mut finding| {
            finding.text = harmless(&finding.text);
            finding.remedy = finding.remedy.as_deref().map(harmless);
            finding
        }));
    }

    /// How many things are wrong.
    pub(crate) fn wrong(&self) -> usize {
        self.0.iter().filter(|finding| finding.level == Level::Wrong).count()
    }

    /// One object.
    pub(crate) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let findings: Value = self.0.iter().map(object).collect();
        writeln!(out, "{}", to_json(&json!({ "well": self.wrong() == 0, "findings": findings }))?)
    }

    /// A finding a line.
    pub(crate) fn json_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|finding| writeln!(out, "{}", to_json(&object(finding))?))
    }

    /// A record for each finding, under a header.
    pub(crate) fn csv(&self, csv: &Csv, out: &mut dyn Write) -> io::Result<()> {
        csv.record(["level", "about", "text", "remedy"].map(Into::into), out)?;
        self.0.iter().try_for_each(|Finding { level, about, text, remedy, .. }| {
            let remedy = remedy.as_deref().unwrap_or_default();
            csv.record([level_of(*level), about, text.as_str(), remedy].map(Into::into), out)
        })
    }

    /// For the eye: what is wrong stands out, with or without colours.
    pub(crate) fn print(&self, target: Target, out: &mut dyn Write) -> io::Result<()> {
        let width = self.0.iter().map(|finding| finding.about.len()).max().unwrap_or(0);
        for Finding { level, about, text, remedy, .. } in &self.0 {
            let (mark, colour) = match level {
                Level::Fine => ("fine   ", ""),
                Level::Warning => ("WARNING", YELLOW),
                Level::Wrong => ("WRONG  ", RED),
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
    sanitize_line(&conceal_passwords(text)).into_owned()
}

fn object(finding: &Finding) -> Value {
    json!({
        "level": level_of(finding.level), "about": finding.about, "text": finding.text, "remedy": finding.remedy,
    })
}

fn level_of(level: Level) -> &'static str {
    match level {
        Level::Fine => "fine",
        Level::Warning => "warning",
        Level::Wrong => "wrong",
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
        let mut report = Report::default();
        report.add([Finding::wrong("store", "no\r\nfine  all\u{1b}[8m postgres://app:secret@db/x", "see \u{202e}")]);
        let mut out = Vec::new();
        report.print(Target::file(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']) && !text.contains("secret"), "{text}");
    }
}
