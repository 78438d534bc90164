//! The names whose values are hidden, and query strings without those values. `docs/capture.md` lists them.

use std::collections::BTreeSet;

use serde_json::Value;
use smol_str::SmolStr;

use super::percent;
use crate::event::Details;

/// Names of an app's own whose values are hidden, as [`normalized`].
#[derive(Debug, Clone, Default)]
pub(super) struct SecretNames(BTreeSet<SmolStr>);

/// Names that are hidden as a whole.
const SECRET_NAMES: [&str; 22] = [
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

/// Parts of names that hide the whole: `client_secret`, `X-Amz-Security-Token`, `newPassword`.
const SECRET_PARTS: [&str; 13] = [
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

/// Names of [`SECRET_NAMES`] that are left alone in a path, where they name a thing: `/kv/{key}`, `/tickets/{ticket}`.
const THINGS: [&str; 4] = ["key", "state", "sid", "ticket"];

/// The ends of names that are left alone in a path: `{token_id}` names a token, it is none.
const IDS: [&str; 2] = ["id", "name"];

/// The text in place of a hidden value.
pub(crate) const HIDDEN: &str = "***";

impl SecretNames {
    /// # Errors
    /// The first name that has neither a letter nor a digit, and its index.
    pub(super) fn new(names: &[String]) -> Result<Self, (usize, &str)> {
        let folded = |(index, name)| Some(normalized(name)).filter(|folded| !folded.is_empty()).ok_or((index, name));
        names.iter().map(String::as_str).enumerate().map(folded).collect::<Result<_, _>>().map(Self)
    }

    /// Returns true if a parameter of this name is hidden in a path.
    pub(super) fn hide_in_path(&self, name: &str) -> bool {
        // By far the most frequent name, and none of a credential.
        if name == "id" && self.0.is_empty() {
            return false;
        }
        let name = normalized(name);
        let is_credential = || SECRET_NAMES.contains(&name.as_str()) && !THINGS.contains(&name.as_str());
        let has_credential = || {
            let is_id = name != "sessionid" && IDS.iter().any(|end| name.ends_with(end));
            !is_id && SECRET_PARTS.iter().any(|part| name.contains(part))
        };
        // The id of a session is its credential.
        self.0.contains(&name) || is_credential() || has_credential()
    }

    /// Hides the values of the app's own names, at any depth, and those of changes whose path has such a name.
    pub(super) fn redact_details(&self, details: &mut Details) {
        if self.0.is_empty() {
            return;
        }
        if let Some(Value::Array(changes)) = details.get_mut("changes") {
            changes.iter_mut().for_each(|change| self.redact_change(change));
        }
        self.redact_object(details);
    }

    fn redact_object(&self, details: &mut Details) {
        for (key, value) in details {
            if self.0.contains(&normalized(key)) {
                *value = HIDDEN.into();
            } else {
                self.redact_value(value);
            }
        }
    }

    /// Hides the values of a change (`path`, `op`, `from`, `to`) if a member on its path has one of the names.
    fn redact_change(&self, change: &mut Value) {
        let path = change.get("path").and_then(Value::as_str).unwrap_or_default();
        let is_hidden =
            path.split('/').any(|name| self.0.contains(&normalized(&name.replace("~1", "/").replace("~0", "~"))));
        if is_hidden {
            for side in ["from", "to"] {
                if let Some(value) = change.get_mut(side) {
                    *value = HIDDEN.into();
                }
            }
        }
    }

    fn redact_value(&self, value: &mut Value) {
        match value {
            Value::Object(object) => self.redact_object(object),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item)),
            _ => {}
        }
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        // `user[password]` and `filter.pin` are as bad as what is inside of them.
        std::iter::once(name).chain(name.split(['[', ']', '.'])).any(|name| {
            let name = normalized(name);
            SECRET_NAMES.contains(&name.as_str())
                || SECRET_PARTS.iter().any(|part| name.contains(part))
                || self.0.contains(&name)
        })
    }
}

/// Returns true for the name of a parameter or a member that looks like a credential, and is not the name or the id of a thing.
pub(crate) fn looks_like_credential(name: &str) -> bool {
    SecretNames::default().hide_in_path(name)
}

/// The query with `***` for every value that is to be hidden.
pub(super) fn redact_query(query: &str, names: &SecretNames) -> String {
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
                Some((name, value))
                    if names.is_secret(&fully_decoded(name)) || contains_secret(&fully_decoded(value), names) =>
                {
                    shown.push_str(name);
                    shown.push('=');
                    shown.push_str(HIDDEN);
                    break;
                }
                _ => shown.push_str(piece),
            }
        }
    }
    shown
}

/// Returns true if a value is itself a URL or a form with a hidden value: `next=/login?token=…`.
fn contains_secret(value: &str, names: &SecretNames) -> bool {
    let mut pieces = value.split(['?', '&', ';', '#']);
    pieces.any(|piece| piece.split_once('=').is_some_and(|(name, value)| !value.is_empty() && names.is_secret(name)))
}

/// Decodes a name or a value of a query, however often it was encoded.
fn fully_decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent::fully_decoded(text.replace('+', " ").as_bytes())).into_owned()
}

/// In lower case and without punctuation, so that `API-Key`, `api_key` and `apiKey` are one.
fn normalized(name: &str) -> SmolStr {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str) -> String {
        redact_query(query, &SecretNames::new(&["Patient-Id".to_owned()]).expect("names"))
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
        assert_eq!(SecretNames::new(&["ok".to_owned(), "--".to_owned()]).map(|_| ()), Err((1, "--")));
        let names = ["пароль".to_owned()];
        assert_eq!(
            redact_query("%D0%9F%D0%B0%D1%80%D0%BE%D0%BB%D1%8C=S", &SecretNames::new(&names).expect("names")).len(),
            40
        );
    }

    #[test]
    fn credentials_in_paths_are_hidden_and_ids_are_not() {
        let names = SecretNames::new(&["Patient-Id".to_owned()]).expect("names");
        for hidden in
            ["token", "reset_token", "code", "inviteCode", "secret", "password", "api_key", "jwt", "patient_id"]
        {
            assert_eq!(names.hide_in_path(hidden), hidden != "inviteCode", "{hidden}");
        }
        for shown in ["id", "user_id", "token_id", "secret_name", "key", "state", "ticket", "sid", "path", "decode", ""]
        {
            assert!(!names.hide_in_path(shown), "{shown}");
        }
        assert!(names.hide_in_path("session_id") && names.hide_in_path("session"));
    }

    #[test]
    fn details_are_hidden_by_the_names_of_the_app_alone() {
        let names = SecretNames::new(&["iban".to_owned()]).expect("names");
        let mut details = serde_json::json!({"IBAN": "DE02", "token": "t", "list": [{"a": {"i_ban": [1]}}, 2]});
        let Value::Object(details) = &mut details else { unreachable!("an object") };
        names.redact_details(details);
        let expected = serde_json::json!({"IBAN": "***", "token": "t", "list": [{"a": {"i_ban": "***"}}, 2]});
        assert_eq!(Value::Object(details.clone()), expected);
    }

    #[test]
    fn changes_are_hidden_by_the_names_on_their_paths() {
        let names = SecretNames::new(&["iban".to_owned(), "a/b".to_owned()]).expect("names");
        let change = |path: &str| serde_json::json!({"path": path, "op": "replace", "from": {"iban": 1}, "to": 2});
        let paths = ["/bank/IBAN", "/iban/0/x", "/a~1b", "/name"];
        let mut details = serde_json::json!({"changes": paths.map(change)});
        let Value::Object(details) = &mut details else { unreachable!("an object") };
        names.redact_details(details);
        let sides = |n: usize| [details["changes"][n]["from"].clone(), details["changes"][n]["to"].clone()];
        assert_eq!([sides(0), sides(1), sides(2)].concat(), vec![Value::from(HIDDEN); 6]);
        assert_eq!(sides(3), [serde_json::json!({"iban": HIDDEN}), 2.into()]);
    }

    #[test]
    fn the_manual_lists_every_name() {
        const MANUAL: &str = include_str!("../../docs/capture.md");
        for name in SECRET_NAMES.iter().chain(&SECRET_PARTS).chain(&THINGS).chain(&IDS) {
            assert!(MANUAL.contains(&format!("`{name}`")), "{name} is not in docs/capture.md");
        }
    }
}
