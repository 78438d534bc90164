//! What was found, and how it is written.

use std::io::{self, Write};

use serde_json::{Value, json};
use tower_audit::export::{Csv, to_json};
use tower_audit::store::{Finding, Level};

use crate::output::{BOLD, PLAIN, RED, Target, YELLOW};
use crate::sanitize::{conceal_urls, sanitize_line};

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
            writeln!(out, "{colour}{mark}{plain}  {about:width$}  {text}")?;
            if let Some(remedy) = remedy {
                let (bold, plain) = if target.has_colour() { (BOLD, PLAIN) } else { ("", "") };
                writeln!(out, "{:9}{:width$}  {bold}to do:{plain} {remedy}", "", "")?;
            }
        }
        Ok(())
    }
}

fn harmless(text: &str) -> String {
    sanitize_line(&conceal_urls(text)).into_owned()
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
