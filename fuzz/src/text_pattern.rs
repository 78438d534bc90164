//! A pattern of a filter.

use tower_audit::query::TextPattern;

use super::choices::Choices;

/// A pattern is read as what it says and printed as what is read; it matches what the plainest way to say it matches.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let (written, text) = (choices.text(), choices.rest());

    let exactly = TextPattern::exact(text.as_str());
    assert!(exactly.matches(&text) && exactly.as_exact() == Some(text.as_str()));
    if exactly.to_string().len() <= TextPattern::MAX_BYTES {
        assert_eq!(exactly.to_string().parse::<TextPattern>(), Ok(exactly));
    }

    let pattern = match written.parse::<TextPattern>() {
        Ok(pattern) => pattern,
        Err(error) => {
            let error = error.to_string();
            assert!(!error.is_empty() && error.len() < 1000, "{error}");
            return;
        }
    };
    assert_eq!(pattern.to_string().parse::<TextPattern>().as_ref(), Ok(&pattern));
    assert_eq!(pattern.matches(&text), matches_plainly(&written, &text), "{pattern:?} {text:?}");
    // A text made of the pattern's literals matches, with any text in place of the stars.
    assert!(pattern.matches(&pattern.literals().join(if pattern.as_exact().is_some() { "" } else { &text })));
}

/// For each end of the text, whether the pattern up to here matches the text up to there.
fn matches_plainly(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    let mut pattern = pattern.chars();
    while let Some(sign) = pattern.next() {
        if sign == '*' {
            let first = matched.iter().position(|matched| *matched).unwrap_or(matched.len());
            matched[first..].fill(true);
            continue;
        }
        let sign = if sign == '\\' { pattern.next() } else { Some(sign) };
        for end in (0..text.len()).rev() {
            matched[end + 1] = matched[end] && Some(text[end]) == sign;
        }
        matched[0] = false;
    }
    matched[text.len()]
}
