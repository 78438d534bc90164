//! The search box: words that become filters, such as `alice@example.org 4xx order/7 since:7d`.

use std::net::IpAddr;

use crate::event::{ErrorCode, EventId, EventType, Phase, Target, Timestamp, excerpt};
use crate::query::{Filter, TextPattern, parse_time};

/// The meaning of a search.
#[derive(Debug, PartialEq)]
pub(super) enum Search {
    /// Filters, each as in a query string.
    Filters(Vec<(&'static str, String)>),
    /// The event with this id.
    Event(EventId),
}

/// Shorter names of filters.
const ALIASES: [(&str, &str); 8] = [
    ("user", "user_email"),
    ("type", "event_type"),
    ("status", "outcome"),
    ("path", "uri"),
    ("ip", "remote_addr"),
    ("for", "acting_for"),
    ("request", "request_id"),
    ("trace", "trace_id"),
];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Reads the words. A word of the form `FILTER:VALUE` is that filter; any other is known by its form.
///
/// # Errors
/// A word is not understood, or its value is not valid. The text names it and the remedy.
pub(super) fn read(text: &str, now: Timestamp) -> Result<Search, String> {
    let words = words(text)?;
    if let [word] = words.as_slice()
        && let Ok(id) = word.parse::<EventId>()
        && is_version_7(id)
    {
        return Ok(Search::Event(id));
    }
    let mut pairs = Vec::new();
    for word in &words {
        pairs.push(pair(word, now)?);
    }
    // The errors are those of the filters, and name the filter.
    let mut filter = Filter::default();
    for (name, value) in &pairs {
        filter.set(name, value, now).map_err(|error| error.to_string())?;
    }
    Ok(Search::Filters(pairs))
}

/// Splits at blanks outside of quotation marks.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            blank if blank.is_whitespace() && !is_quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if is_quoted {
        return Err("the search has a quotation mark without its end: expected \"two words\"".into());
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    Ok(words)
}

fn pair(word: &str, now: Timestamp) -> Result<(&'static str, String), String> {
    let (is_excluded, plain) = match word.strip_prefix(['!', '-']) {
        Some(plain) if !plain.is_empty() => (true, plain),
        _ => (false, word),
    };
    let value = |value: String| if is_excluded { format!("!{value}") } else { value };
    if let Some((name, of)) = plain.split_once(':')
        && let Some(filter) = filter_named(name)
    {
        return Ok((filter, value(of.to_owned())));
    }
    // `plan=gold`, but not a path with a query.
    if let Some((key, of)) = plain.split_once('=')
        && !key.is_empty()
        && !key.contains('/')
    {
        return Ok(match filter_named(key) {
            Some(filter) => (filter, value(of.to_owned())),
            None => ("detail", format!("{key}={}", value(of.to_owned()))),
        });
    }
    let exact = |text: &str| TextPattern::exact(text).to_string();
    let (name, found) = by_form(plain, now).unwrap_or_else(|| {
        // A name: whole where it is an address, else its beginning.
        let is_whole = plain.contains(['@', '*']);
        ("user_email", if is_whole { plain.to_owned() } else { format!("{}*", exact(plain)) })
    });
    if found.is_empty() {
        return Err(format!("{:?} is not understood: expected words such as 4xx, order/7 or since:7d", excerpt(word)));
    }
    Ok((name, value(found)))
}

/// Knows a word by its form.
fn by_form(word: &str, now: Timestamp) -> Option<(&'static str, String)> {
    let as_it_is = |name: &'static str| Some((name, word.to_owned()));
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_known = EventType::ALL.iter().any(|known| known.as_str() == word);
    let status = word.as_bytes();
    match word {
        "anonymous" => Some(("user_email", "!*".into())),
        _ if matches!(status, [b'1'..=b'5', b'x', b'x']) => as_it_is("outcome"),
        _ if matches!(status, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) => as_it_is("outcome"),
        _ if METHODS.contains(&word) => as_it_is("method"),
        _ if [Phase::Completed, Phase::Started, Phase::Unknown].iter().any(|phase| phase.as_str() == word) => {
            as_it_is("phase")
        }
        _ if is_known => as_it_is("event_type"),
        _ if ErrorCode::ALL.iter().any(|code| code.as_str() == word) => as_it_is("error"),
        _ if word.starts_with('/') && word.contains('{') => as_it_is("route"),
        _ if word.starts_with('/') => Some(("uri", if word.contains('*') { word.into() } else { format!("{word}*") })),
        _ if word.parse::<IpAddr>().is_ok() => as_it_is("remote_addr"),
        _ if word.parse::<Target>().is_ok() => as_it_is("target"),
        _ if word.len() == 64 && is_hex => as_it_is("api_key_hash"),
        _ if word.len() == 32 && is_hex => as_it_is("trace_id"),
        _ if word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) && parse_time(word, now).is_ok() => {
            as_it_is("since")
        }
        _ if word.contains('.') && !word.contains('@') && is_type_pattern(word) => as_it_is("event_type"),
        _ => None,
    }
}

/// Returns true for `order.created` and `order.*`.
fn is_type_pattern(word: &str) -> bool {
    word.replace('*', "x").parse::<EventType>().is_ok()
}

fn filter_named(name: &str) -> Option<&'static str> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    Filter::FIELD_NAMES.into_iter().find(|known| *known == name)
}

/// Trace ids have 32 digits as well, of any version.
fn is_version_7(id: EventId) -> bool {
    id.as_u128() >> 76 & 0xf == 7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-05-25T12:00:00Z".parse().unwrap()
    }

    fn filters(text: &str) -> String {
        match read(text, now()) {
            Ok(Search::Filters(pairs)) => {
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_become_the_filters_that_people_mean() {
        for (text, expected) in [
            ("alice 4xx order/7 since:7d", "user_email=alice* outcome=4xx target=order/7 since=7d"),
            ("alice@example.org", "user_email=alice@example.org"),
            ("*@example.org -200", "user_email=*@example.org outcome=!200"),
            ("anonymous DELETE 7d", "user_email=!* method=DELETE since=7d"),
            ("/orders/7 /users/{id} /a*b", "uri=/orders/7* route=/users/{id} uri=/a*b"),
            ("192.0.2.7 ::1", "remote_addr=192.0.2.7 remote_addr=::1"),
            ("upload order.* order.created", "event_type=upload event_type=order.* event_type=order.created"),
            ("unknown unauthorized", "phase=unknown error=unauthorized"),
            ("plan=gold -plan=free n=7", "detail=plan=gold detail=plan=!free detail=n=7"),
            ("user:bob status:403 type:auth for:carol", "user_email=bob outcome=403 event_type=auth acting_for=carol"),
            ("!order/7 target_type:item", "target=!order/7 target_type=item"),
            ("user:\"Alice B\" file/etc/hosts", "user_email=Alice B target=file/etc/hosts"),
            (r"CORP\alice", r"user_email=CORP\\alice*"),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "trace_id=4bf92f3577b34da6a3ce929d0e0e4736"),
            ("2026-05-01", "since=2026-05-01"),
            ("", ""),
        ] {
            assert_eq!(filters(text), expected, "{text}");
        }
        assert_eq!(filters(&"a1".repeat(32)), format!("api_key_hash={}", "a1".repeat(32)));
    }

    #[test]
    fn an_id_alone_is_its_event() {
        let id = EventId::new();
        for text in [id.to_string(), format!(" {} ", uuid::Uuid::from(id).hyphenated())] {
            assert_eq!(read(&text, now()), Ok(Search::Event(id)));
        }
    }

    #[test]
    fn what_is_not_understood_says_so() {
        for (text, part) in [
            ("\"alice", "quotation mark"),
            ("since:yesterday", "since: "),
            ("status:60", "outcome: "),
            ("target:order", "target: "),
            ("request_id:a*", "request_id: "),
            ("a*b*c*d*e*f*g*h*i*j*@", "user_email: "),
        ] {
            let error = read(text, now()).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
