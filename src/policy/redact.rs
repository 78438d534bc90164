//! Query strings without credentials.

use std::collections::BTreeSet;

use super::path::decoded;

/// Names of an app's own whose values are hidden, as [`folded`].
#[derive(Debug, Clone, Default)]
pub(super) struct Names(BTreeSet<String>);

/// Names that are hidden as a whole.
const WHOLE: [&str; 22] = [
    "pwd",
    "pass",
    "key",
    "auth",
    "code",
    "state",
    "sig",
    "session",
    "sid",
    "jwt",
    "otp",
    "totp",
    "pin",
    "cookie",
    "nonce",
    "hmac",
    "bearer",
    "assertion",
    "saml",
    "samlresponse",
    "ticket",
    "csrf",
];

/// What makes a name hidden wherever it stands in it: `client_secret`, `X-Amz-Security-Token`, `newPassword`.
const PART: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "signature",
    "authorization",
    "sessionid",
];

impl Names {
    /// # Errors
    /// The first name that has neither a letter nor a digit.
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n String>) -> Result<Self, &'n str> {
        let fold = |name: &'n String| Some(folded(name)).filter(|folded| !folded.is_empty()).ok_or(name.as_str());
        names.into_iter().map(fold).collect::<Result<_, _>>().map(Self)
    }

    fn hide(&self, name: &str) -> bool {
        // `user[password]` and `filter.pin` are as bad as what is inside of them.
        std::iter::once(name).chain(name.split(['[', ']', '.'])).any(|name| {
            let name = folded(name);
            WHOLE.contains(&name.as_str()) || PART.iter().any(|part| name.contains(part)) || self.0.contains(&name)
        })
    }
}

/// The query with `***` for every value that is to be hidden.
pub(super) fn redact(query: &str, names: &Names) -> String {
    let mut shown = String::with_capacity(query.len());
    for (index, parameter) in query.split('&').enumerate() {
        if index > 0 {
            shown.push('&');
        }
        // Some apps also split at `;`, others take it for a part of the value. Hence a hidden value takes all of the
        // parameter with it that follows.
        for (index, piece) in parameter.split(';').enumerate() {
            if index > 0 {
                shown.push(';');
            }
            match piece.split_once('=') {
                Some((name, value)) if names.hide(&plain(name)) || has_hidden(&plain(value), names) => {
                    shown.push_str(name);
                    shown.push_str("=***");
                    break;
                }
                _ => shown.push_str(piece),
            }
        }
    }
    shown
}

/// Whether a value is itself a URL or a form with something to hide: `next=/login?token=…`.
fn has_hidden(value: &str, names: &Names) -> bool {
    let mut pieces = value.split(['?', '&', ';', '#']);
    pieces.any(|piece| piece.split_once('=').is_some_and(|(name, value)| !value.is_empty() && names.hide(name)))
}

/// What the text means, however often it was encoded, within reason.
fn plain(text: &str) -> String {
    let mut text = text.replace('+', " ");
    for _ in 0..3 {
        if !text.contains('%') {
            break;
        }
        let bytes: Vec<u8> = decoded(text.as_bytes()).collect();
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    text
}

/// In lower case and without punctuation, so that `API-Key`, `api_key` and `apiKey` are one.
fn folded(name: &str) -> String {
    let kept = name.chars().filter(|char| char.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str) -> String {
        redact(query, &Names::new(&["Patient-Id".to_owned()]).expect("names"))
    }

    #[test]
    fn every_listed_name_is_hidden_in_any_spelling() {
        for name in [
            "password",
            "passwd",
            "pwd",
            "secret",
            "token",
            "access_token",
            "refresh_token",
            "id_token",
            "api_key",
            "apikey",
            "key",
            "auth",
            "authorization",
            "code",
            "state",
            "sig",
            "signature",
            "session",
            "sid",
            "jwt",
            "otp",
            "pin",
            "credential",
            "credentials",
            "client_secret",
            "X-Amz-Security-Token",
            "patient_id",
        ] {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let twice = encoded.replace('%', "%25");
            for name in [name, &name.to_uppercase(), &encoded, &twice, &format!("+{name}"), &format!("user[{name}]")] {
                assert_eq!(check(&format!("a=1&{name}=S3cr3t&b=2")), format!("a=1&{name}=***&b=2"));
            }
        }
    }

    #[test]
    fn the_rest_is_kept_as_it_is() {
        for query in
            ["", "&", "a", "a=", "=b", "page=2&sort=-date", "q=%41+b&q=%zz%", "a;b=1;c", "monkey=1", "decode=1"]
        {
            assert_eq!(check(query), query);
        }
    }

    #[test]
    fn separators_do_not_help() {
        for (query, shown) in [
            ("a=1;token=S;b=2", "a=1;token=***"),
            ("token=S;S&b=2", "token=***&b=2"),
            ("token=a=b=c", "token=***"),
            ("token=S&token=T", "token=***&token=***"),
            ("&&token=S&", "&&token=***&"),
            ("to%00ken=S", "to%00ken=***"),
            ("next=%2Flogin%3Ftoken%3DS", "next=***"),
            ("next=/login?page=2", "next=/login?page=2"),
            ("next=/login?code=S", "next=***"),
        ] {
            assert_eq!(check(query), shown);
        }
    }

    #[test]
    fn a_name_without_letters_is_none() {
        assert_eq!(Names::new(&["ok".to_owned(), "--".to_owned()]).map(|_| ()), Err("--"));
        let names = ["пароль".to_owned()];
        assert_eq!(redact("%D0%9F%D0%B0%D1%80%D0%BE%D0%BB%D1%8C=S", &Names::new(&names).expect("names")).len(), 40);
    }
}
