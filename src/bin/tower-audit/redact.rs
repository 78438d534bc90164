//! Connection strings in what is typed and told: a password may be in any of them.

use std::borrow::Cow;

/// Replaces what may be a password: what follows `://`, a word such as `alice:hunter2@db`, and everything in the line from
/// the value of `password=` or the like on, for such a value may have blanks and quotes in it.
pub(crate) fn redact_passwords(text: &str) -> Cow<'_, str> {
    let text = redact_urls(text);
    let Some(end) = keyword_end(&text) else { return redact_logins(text) };
    format!("{}…", redact_logins(Cow::Borrowed(&text[..end]))).into()
}

/// Replaces what follows `://` in URLs.
pub(crate) fn redact_urls(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find("://") else { return Cow::Borrowed(text) };
    let (mut shown, mut rest) = (text[..first].to_owned(), &text[first..]);
    while let Some(after) = rest.strip_prefix("://") {
        shown.push_str("://…");
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(after.len());
        // A password may contain a blank or a quote; its remainder ends at the host.
        let end = end + after[end..].find('@').map_or(0, |at| host_end(&after[end..], at));
        let next = after[end..].find("://").map_or(after.len(), |next| end + next);
        shown.push_str(&after[end..next]);
        rest = &after[next..];
    }
    Cow::Owned(shown)
}

/// Returns the end of the word that contains the `@` at this index.
fn host_end(text: &str, at: usize) -> usize {
    text[at..].find(char::is_whitespace).map_or(text.len(), |end| at + end)
}

/// The end of the first `password=` or the like, in any letter case, blanks around the sign or not.
fn keyword_end(text: &str) -> Option<usize> {
    const KEYWORDS: [&str; 5] = ["password", "passwd", "pwd", "passphrase", "secret"];
    let lower = text.to_ascii_lowercase();
    let after = |keyword: &'static str| {
        lower.match_indices(keyword).find_map(move |(at, found)| {
            let rest = text[at + found.len()..].trim_start();
            rest.starts_with(['=', ':']).then(|| text.len() - rest.len() + 1)
        })
    };
    KEYWORDS.into_iter().filter_map(after).min()
}

/// Replaces words with a colon and an `@` behind it.
fn redact_logins(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_login = |word: &str| word.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    if !text.split_whitespace().any(is_login) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        shown.push_str(if is_login(bare) { "…" } else { bare });
        shown.push_str(&word[bare.len()..]);
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_password_is_concealed() {
        for (text, shown) in [
            ("no url", "no url"),
            ("'pg://u:p@h/d' and mysql://x y", "'pg://…' and mysql://… y"),
            ("a://://b c", "a://… c"),
            ("'pg://u:p w@h/d' found", "'pg://… found"),
            ("'host=db password=hunter2 user=a'", "'host=db password=…"),
            ("a PWD = 'b c';", "a PWD =…"),
            ("'pg://u:p\nw@h/d' found\nUsage", "'pg://… found\nUsage"),
            ("no 'alice:hunter2@db/app' here", "no … here"),
            ("alice@example.org: no such user", "alice@example.org: no such user"),
            ("with a password, which", "with a password, which"),
        ] {
            assert_eq!(redact_passwords(text), shown);
        }
    }
}
