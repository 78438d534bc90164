//! `history --format table`: each event with its changes below it.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use tower_audit::export::{EventFormat, RecordedChange, RecordedChanges};
use tower_audit::{AuditEvent, Phase};

use super::table::{BOLD, GREEN, PLAIN, RED, YELLOW, cell, ellipsize};
use crate::sanitize::{sanitize_cell, sanitize_line};

/// The characters of a value that are shown without a terminal.
const MAX_VALUE_CHARS: usize = 200;

/// Paragraphs: the action in a line, its changes below it, the id at the end.
#[derive(Debug)]
pub(crate) struct History {
    columns: Option<usize>,
    colour: bool,
    is_first: bool,
}

impl History {
    pub(crate) fn new(columns: Option<usize>, colour: bool) -> Self {
        Self { columns, colour, is_first: true }
    }

    fn write_event(&self, event: &AuditEvent, out: &mut dyn Write) -> io::Result<()> {
        let width = self.columns.unwrap_or(usize::MAX);
        let time = event.created_at.to_string().replace('T', " ");
        let mut who = cell(event.actor.user_email.as_deref()).into_owned();
        if let Some(principal) = event.actor.acting_for.as_deref() {
            who.push_str(" for ");
            who.push_str(&cell(Some(principal)));
        }
        let classification = &event.classification;
        let action = match (&classification.domain, &classification.action) {
            (Some(domain), Some(action)) => Some(format!("{domain}/{action}")),
            (None, Some(action)) => Some(action.to_string()),
            _ => None,
        };
        let path = event.request.request_uri.as_deref().or(event.resource.route.as_deref());
        let mut words = vec![who, sanitize_cell(event.event_type.as_str()).into_owned()];
        words.extend(action.map(|action| sanitize_cell(&action).into_owned()));
        words.extend(
            [event.resource.method.as_deref(), path].into_iter().flatten().map(|it| sanitize_cell(it).into_owned()),
        );
        words.push(match (event.phase, event.outcome) {
            (Phase::Completed, outcome) => outcome.map_or_else(|| "-".to_owned(), |outcome| outcome.to_string()),
            (phase, None) => phase.as_str().to_owned(),
            (phase, Some(outcome)) => format!("{} {outcome}", phase.as_str()),
        });
        let line = format!("{}  {}", &time[..19], words.join("  "));
        let style = match event.phase {
            Phase::Completed if event.outcome.is_some_and(|outcome| outcome >= 400) => RED,
            Phase::Completed => BOLD,
            _ => YELLOW,
        };
        self.styled(style, &ellipsize(&line, width), out)?;
        let recorded = RecordedChanges::of(event);
        for change in &recorded.changes {
            let (sign, style) = match (change.from, change.to) {
                (None, _) => ('+', GREEN),
                (_, None) => ('-', RED),
                _ => ('~', YELLOW),
            };
            let line = format!("    {sign} {}", described(change));
            self.styled(style, &ellipsize(&line, width), out)?;
        }
        if recorded.omitted > 0 {
            writeln!(out, "    and {} more that had no room", recorded.omitted)?;
        }
        writeln!(out, "    {}", event.event_id)
    }

    fn styled(&self, style: &str, line: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.colour { writeln!(out, "{style}{line}{PLAIN}") } else { writeln!(out, "{line}") }
    }
}

/// Writes `/status: "open" → "shipped"`.
fn described(change: &RecordedChange<'_>) -> String {
    let name = match change.path {
        "" => Cow::Borrowed("(the whole)"),
        path => sanitize_line(path),
    };
    let sides = [change.from, change.to].map(|side| side.map(value));
    match sides {
        [Some(before), Some(after)] => format!("{name}: {before} → {after}"),
        [before, after] => format!("{name}: {}", before.or(after).unwrap_or_default()),
    }
}

/// Writes a value as JSON in one line.
fn value(value: &Value) -> String {
    let text = value.to_string();
    let shown = sanitize_line(&text);
    match shown.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}

impl EventFormat for History {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        for event in events {
            if !std::mem::take(&mut self.is_first) {
                writeln!(out)?;
            }
            self.write_event(event, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fixtures::{printed, upload};
    use serde_json::json;
    use tower_audit::ChangeSet;
    use unicode_width::UnicodeWidthStr as _;

    fn changed() -> AuditEvent {
        let mut event = upload();
        event.actor.acting_for = Some("bob".into());
        event.request.request_uri = Some("/orders/7".into());
        let before = json!({"status": "open", "note": "call \u{1b}[2J\u{202e}", "same": 1});
        let after = json!({"status": "shipped", "tracking": ["1Z"], "same": 1});
        event.details = ChangeSet::between_json(before, after).into_details();
        event
    }

    #[test]
    fn an_event_has_its_changes_below_it_and_its_id() {
        let mut started = upload();
        (started.phase, started.outcome) = (Phase::Started, None);
        let text = printed(History::new(None, false), &[&[changed()], &[started]]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "2026-05-25 12:00:00  alice@example.org for bob  upload  POST  /orders/7  200",
                r#"    - /note: "call \u001b[2J\u{202e}""#,
                r#"    ~ /status: "open" → "shipped""#,
                r#"    + /tracking: ["1Z"]"#,
                "    0199a700000070008000000000000001",
                "",
                "2026-05-25 12:00:00  alice@example.org  upload  POST  /scans  started",
                "    0199a700000070008000000000000001",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_none_is_without_end() {
        let mut event = changed();
        event.details = json!({"changes": [{"path": "/long", "to": "日本".repeat(3000)}], "changes_omitted": 7})
            .as_object()
            .cloned()
            .unwrap_or_default();
        for columns in [40, 80, 200] {
            let text = printed(History::new(Some(columns), false), &[&[event.clone()]]);
            assert!(text.lines().all(|line| line.width() <= columns), "{text}");
        }
        let text = printed(History::new(None, false), &[&[event]]);
        assert!(text.lines().all(|line| line.chars().count() < 300), "{text}");
        assert!(text.contains("+ /long: \"日本"), "{text}");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let (plain, coloured) = (History::new(None, false), History::new(None, true));
        let (plain, coloured) = (printed(plain, &[&[changed()]]), printed(coloured, &[&[changed()]]));
        assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[33m    ~ /status"));
        let stripped = [PLAIN, BOLD, GREEN, YELLOW, RED].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
    }
}
