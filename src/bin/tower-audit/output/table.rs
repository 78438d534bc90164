//! `--format table`: columns for the eye.

use std::borrow::Cow;
use std::io::{self, Write};

use tower_audit::export::EventFormat;
use tower_audit::{AuditEvent, CompactText, Phase};
use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

use crate::sanitize::sanitize_cell;

const COLUMNS: usize = 8;

/// An event that is no `completed` one has its phase in place of an outcome: two rows of one request never look alike.
const HEADERS: [&str; COLUMNS] = ["time (UTC)", "type", "user", "address", "method", "path", "outcome", "id"];
const PATH: usize = 5;

/// The minimum column widths on a terminal; `None`: the column is never cut.
const MIN_WIDTHS: [Option<usize>; COLUMNS] = [None, Some(14), Some(16), Some(9), Some(6), Some(10), None, None];

/// The columns that give way on a terminal that is too narrow for all, first ones first: the rest says when, who, what
/// and how it ended. An id that is cut is of no use to `get`, so that it gives way as a whole, before anything is cut.
const DROP_ORDER: [usize; 6] = [7, 3, 4, 1, 5, 2];

/// The column widths for events that are not known yet.
const TYPICAL_WIDTHS: [usize; COLUMNS] = [19, 12, 24, 15, 6, 24, 7, 32];

const GAP: &str = "  ";

/// The maximum column width without a terminal. A longer value sticks out of its own row only.
const MAX_UNCONSTRAINED_WIDTH: usize = 40;

/// Rows under a header. The widths are those that the first page needs: later rows keep to them.
#[derive(Debug)]
pub(crate) struct Table {
    terminal_columns: Option<usize>,
    colour: bool,
    layout: Option<ColumnLayout>,
    /// The minimum column widths, where there is room.
    likely: [usize; COLUMNS],
}

impl Table {
    pub(crate) fn new(terminal_columns: Option<usize>, colour: bool) -> Self {
        Self { terminal_columns, colour, layout: None, likely: [0; COLUMNS] }
    }

    /// With room for what usual events have, whatever the first few have.
    pub(crate) fn with_typical_widths(self) -> Self {
        Self { likely: TYPICAL_WIDTHS, ..self }
    }
}

impl EventFormat for Table {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        let mut rows: Vec<TableRow<'_>> = events.iter().map(TableRow::of).collect();
        let layout = match &mut self.layout {
            Some(layout) => layout,
            empty @ None => {
                let layout = empty.insert(ColumnLayout::fit(&rows, &self.likely, self.terminal_columns));
                let style = if self.colour { BOLD } else { "" };
                layout.print(&HEADERS.map(Cow::Borrowed), |_| style, out)?;
                layout
            }
        };
        for (row, event) in rows.iter_mut().zip(events) {
            row.choose_path(layout);
            let style = |column| if self.colour { style_of(event, column) } else { "" };
            layout.print(&row.0, style, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let left_out: Vec<&str> =
            (0..COLUMNS).filter(|column| !layout.shows(*column)).map(|column| HEADERS[column]).collect();
        if left_out.is_empty() {
            return Ok(());
        }
        let text = format!("(too narrow for {}; --format jsonl has all)", left_out.join(", "));
        writeln!(out, "{}", ellipsize(&text, self.terminal_columns.unwrap_or(usize::MAX)))
    }
}

/// The cells of an event, safe to look at.
struct TableRow<'a>([Cow<'a, str>; COLUMNS], &'a AuditEvent);

impl<'a> TableRow<'a> {
    fn of(event: &'a AuditEvent) -> Self {
        let text = |value: &'a Option<CompactText>| cell(value.as_deref());
        // The fraction and the `Z` are left to the other formats.
        let mut time = event.created_at.to_string().replace('T', " ");
        time.truncate("2026-05-25 12:00:00".len());
        Self(
            [
                time.into(),
                sanitize_cell(event.event_type.as_str()),
                text(&event.actor.user_email),
                text(&event.actor.remote_addr),
                text(&event.resource.method),
                text(if event.request.request_uri.is_some() {
                    &event.request.request_uri
                } else {
                    &event.resource.route
                }),
                match (event.phase, event.outcome) {
                    (Phase::Completed, None) => "-".into(),
                    (Phase::Completed, Some(outcome)) => outcome.to_string().into(),
                    (phase, None) => phase.as_str().into(),
                    (phase, Some(outcome)) => format!("{} {outcome}", phase.as_str()).into(),
                },
                event.event_id.to_string().into(),
            ],
            event,
        )
    }

    /// Takes the template of the path where the path itself does not fit: a template that is whole says more than the
    /// beginning of a path.
    fn choose_path(&mut self, layout: &ColumnLayout) {
        let room = layout.columns.iter().find(|(column, _)| *column == PATH).map_or(0, |(_, width)| *width);
        if layout.cuts && self.0[PATH].width() > room && self.1.resource.route.is_some() {
            self.0[PATH] = cell(self.1.resource.route.as_deref());
        }
    }
}

/// Escapes a value that a client chose, for one line; `-` is a missing value.
pub(crate) fn cell(value: Option<&str>) -> Cow<'_, str> {
    match value {
        None => "-".into(),
        // Not to be taken for nobody.
        Some("-") => "\"-\"".into(),
        Some("") => "\"\"".into(),
        Some(text) => sanitize_cell(text),
    }
}

/// The visible columns, from left to right, and the width of each.
#[derive(Debug, PartialEq, Eq)]
struct ColumnLayout {
    columns: Vec<(usize, usize)>,
    /// Cuts values that are wider than their column.
    cuts: bool,
}

impl ColumnLayout {
    fn fit(rows: &[TableRow<'_>], likely: &[usize; COLUMNS], terminal_columns: Option<usize>) -> Self {
        let needed = |column: usize| {
            let cells = rows.iter().map(|row| row.0[column].width()).max().unwrap_or(0);
            cells.max(HEADERS[column].width()).max(likely[column])
        };
        let mut columns: Vec<(usize, usize)> = (0..COLUMNS).map(|column| (column, needed(column))).collect();
        let Some(room) = terminal_columns else {
            for (_, width) in &mut columns {
                *width = (*width).min(MAX_UNCONSTRAINED_WIDTH);
            }
            return Self { columns, cuts: false };
        };
        let narrowest = |column: usize, width: usize| MIN_WIDTHS[column].map_or(width, |least| least.min(width));
        let fits = |columns: &[(usize, usize)]| {
            total(columns.iter().map(|(column, width)| narrowest(*column, *width))) <= room
        };
        let all = columns.clone();
        let mut gone: Vec<usize> = Vec::new();
        for column in DROP_ORDER {
            if fits(&columns) {
                break;
            }
            gone.push(column);
            columns.retain(|(shown, _)| *shown != column);
        }
        // A wide column that gave way may have left room for one that did so in vain.
        for column in gone.clone() {
            let with: Vec<_> =
                all.iter().filter(|(shown, _)| *shown == column || !gone.contains(shown)).copied().collect();
            if fits(&with) {
                gone.retain(|left_out| *left_out != column);
                columns = with;
            }
        }
        // The widest gives first, so that a long route does not cost a short name its end.
        while total(columns.iter().map(|(_, width)| *width)) > room {
            let widest = columns
                .iter_mut()
                .filter(|(column, width)| *width > narrowest(*column, *width))
                .max_by_key(|(_, width)| *width);
            let Some((_, width)) = widest else { break };
            *width -= 1;
        }
        Self { columns, cuts: true }
    }

    fn shows(&self, column: usize) -> bool {
        self.columns.iter().any(|(shown, _)| *shown == column)
    }

    fn print(
        &self,
        cells: &[Cow<'_, str>; COLUMNS],
        style: impl Fn(usize) -> &'static str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for (place, (column, width)) in self.columns.iter().enumerate() {
            let cell = &cells[*column];
            let cell = if self.cuts { ellipsize(cell, *width) } else { Cow::Borrowed(cell.as_ref()) };
            let style = style(*column);
            if place > 0 {
                out.write_all(GAP.as_bytes())?;
            }
            let end = if style.is_empty() { "" } else { PLAIN };
            write!(out, "{style}{cell}{end}")?;
            // No blanks at the end of a line.
            if place + 1 < self.columns.len() {
                write!(out, "{:1$}", "", width.saturating_sub(cell.width()))?;
            }
        }
        out.write_all(b"\n")
    }
}

fn total(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

/// As much of `text` as fits, with `…` at its end if that is not all.
pub(crate) fn ellipsize(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut room = width.saturating_sub(1);
    let end = text.char_indices().find(|(_, character)| match room.checked_sub(character.width().unwrap_or(0)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    let end = end.map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}…", &text[..end]))
}

pub(crate) const PLAIN: &str = "\u{1b}[0m";
pub(crate) const BOLD: &str = "\u{1b}[1m";
pub(crate) const GREEN: &str = "\u{1b}[32m";
pub(crate) const YELLOW: &str = "\u{1b}[33m";
pub(crate) const RED: &str = "\u{1b}[31m";

fn style_of(event: &AuditEvent, column: usize) -> &'static str {
    match HEADERS[column] {
        "outcome" if event.phase == Phase::Unknown => RED,
        "outcome" if event.phase == Phase::Started => YELLOW,
        "outcome" => match event.outcome {
            Some(500..) => RED,
            Some(400..) => YELLOW,
            Some(200..300) => GREEN,
            _ => "",
        },
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fixtures::{printed, upload};

    fn lines(text: &str) -> Vec<&str> {
        text.lines().collect()
    }

    #[test]
    fn all_columns_where_there_is_room() {
        let mut anonymous = upload();
        anonymous.actor.user_email = None;
        anonymous.outcome = None;
        let text = printed(Table::new(None, false), &[&[upload()], &[anonymous]]);
        assert_eq!(
            lines(&text),
            [
                "time (UTC)           type    user               address    method  path    outcome  id",
                "2026-05-25 12:00:00  upload  alice@example.org  192.0.2.7  POST    /scans  200      0199a700000070008000000000000001",
                "2026-05-25 12:00:00  upload  -                  192.0.2.7  POST    /scans  -        0199a700000070008000000000000001",
            ]
        );
        assert_eq!(printed(Table::new(Some(200), false), &[&[upload()]]), lines(&text)[..2].join("\n") + "\n");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut long = upload();
        long.actor.user_email = Some("日本語".repeat(40).into());
        long.actor.remote_addr = Some("2001:db8:1111:2222:3333:4444:5555:6666".into());
        long.resource.route = Some("/users/{id}/".repeat(20).into());
        long.resource.method = Some("PROPFIND".repeat(16).into());
        long.event_type = format!("a.{}", "b".repeat(62)).parse().unwrap();
        for columns in 28..260 {
            let text = printed(Table::new(Some(columns), false), &[&[upload(), long.clone()], &[long.clone()]]);
            for line in text.lines() {
                assert!(line.width() <= columns, "{columns}: {line}");
            }
            assert!(lines(&text)[1].contains("2026-05-25 12:00:00") && lines(&text)[0].contains("outcome"), "{text}");
        }
    }

    #[test]
    fn a_narrow_terminal_is_told_what_it_misses() {
        let text = printed(Table::new(Some(80), false), &[&[upload()]]);
        assert_eq!(lines(&text)[0], "time (UTC)           type    user               method  path    outcome");
        assert_eq!(lines(&text)[2], "(too narrow for address, id; --format jsonl has all)");
    }

    #[test]
    fn a_column_returns_when_another_made_room() {
        let header =
            |columns| printed(Table::new(Some(columns), false), &[&[upload()]]).lines().next().unwrap().to_owned();
        assert!(!header(80).contains("address") && !header(80).contains("id"));
        assert!(header(95).contains("address") && !header(95).contains("id"));
        assert!(header(130).contains("address") && header(130).contains("id"));
    }

    /// A write-ahead action has two rows; a terminal of the usual width tells them apart, and what it was done to.
    #[test]
    fn two_events_of_a_request_never_look_alike() {
        let mut ended = upload();
        ended.event_type = "admin_action".parse().unwrap();
        ended.resource.method = Some("DELETE".into());
        ended.resource.route = Some("/users/{id}".into());
        ended.request.request_uri = Some("/users/7".into());
        ended.outcome = Some(204);
        let mut started = ended.clone();
        (started.phase, started.outcome) = (Phase::Started, None);
        let mut unknown = started.clone();
        unknown.phase = Phase::Unknown;
        for columns in (28..200).chain([usize::MAX]) {
            let terminal = Some(columns).filter(|columns| *columns < usize::MAX);
            let text = printed(Table::new(terminal, false), &[&[ended.clone(), started.clone(), unknown.clone()]]);
            let rows = &lines(&text)[1..4];
            assert!(rows[0].contains("204") && rows[1].contains("started") && rows[2].contains("unknown"), "{text}");
            if columns >= 80 {
                assert!(rows.iter().all(|row| row.contains("admin_action") && row.contains("/users/7")), "{text}");
            }
        }
    }

    #[test]
    fn a_path_that_does_not_fit_gives_way_to_its_template() {
        let mut event = upload();
        event.resource.route = Some("/scans/{id}".into());
        event.request.request_uri = Some(format!("/scans/{}", "7".repeat(200)).into());
        let text = printed(Table::new(Some(80), false), &[&[event.clone()]]);
        assert!(lines(&text)[1].contains("/scans/{id}"), "{text}");
        assert!(printed(Table::new(None, false), &[&[event]]).contains("/scans/7777"));
    }

    #[test]
    fn hostile_text_is_shown_and_not_obeyed() {
        let mut event = upload();
        event.actor.user_email = Some("\u{1b}[2Jmal\rlory\u{202e}\u{200b}\u{7}\n  POST".into());
        event.resource.method = Some("\u{9b}0m".into());
        let text = printed(Table::new(None, false), &[&[event]]);
        assert!(text.contains(r"\u{1b}[2Jmal\u{d}lory\u{202e}\u{200b}\u{7}\u{a} \u{20}POST"), "{text}");
        assert!(text.contains(r"\u{9b}0m"));
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains(|c: char| c != '\n' && c.is_control()));
    }

    #[test]
    fn a_user_called_dash_is_not_anonymous() {
        let mut event = upload();
        event.actor.user_email = Some("-".into());
        assert!(printed(Table::new(None, false), &[&[event]]).contains("\"-\""));
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let mut failed = upload();
        failed.outcome = Some(500);
        failed.phase = Phase::Unknown;
        let events = [upload(), failed];
        let plain = printed(Table::new(Some(200), false), &[&events]);
        let coloured = printed(Table::new(Some(200), true), &[&events]);
        assert!(!plain.contains('\u{1b}'));
        assert!(coloured.contains("\u{1b}[32m200\u{1b}[0m") && coloured.contains("\u{1b}[31munknown 500\u{1b}[0m"));
        let stripped = [PLAIN, BOLD, GREEN, YELLOW, RED].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
    }

    #[test]
    fn cuts_are_visible_and_fit() {
        assert_eq!(ellipsize("abc", 3), "abc");
        assert_eq!(ellipsize("abcd", 3), "ab…");
        assert_eq!(ellipsize("日本語", 4), "日…");
        assert_eq!(ellipsize("abc", 0), "…");
    }
}
