//! The parts of a store's URL.

use super::redacted_url::parameter_name;

/// Returns what a URL of this scheme has behind the colon; none if it has another scheme.
#[cfg(any(feature = "sqlite", feature = "duckdb", all(feature = "jsonl", unix)))]
pub(super) fn after_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    url.split_once(':').filter(|(given, _)| given.eq_ignore_ascii_case(scheme)).map(|(_, rest)| rest)
}

/// Splits `NAME=VALUE&…` into names and values. An error is the hint: a name is given twice.
pub(super) fn url_parameters(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(format!("`{}` is given twice", parameter_name(name)));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

/// Resolves the percent signs of a part of a URL. `None` if one does not begin two hexadecimal digits of UTF-8.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "nats"))]
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}
