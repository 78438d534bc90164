//! The parts of a URL `SCHEME://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE&…`.
//!
//! An unescaped `?`, `#` or `@` in a user or a password makes it malformed: a guess that is wrong would show a password to a
//! name server. No part of a malformed URL is shown: any of it may be a piece of a password.

use crate::store::url_parameters::percent_decoded;

/// Reports one of these schemes: in any case, and with the driver that SQLAlchemy puts behind it.
pub(crate) fn is_scheme_of(names: &[&str], scheme: &str) -> bool {
    let (name, driver) = scheme.split_once('+').unwrap_or((scheme, "any"));
    let is_name = names.iter().any(|known| name.eq_ignore_ascii_case(known));
    is_name && !driver.is_empty() && driver.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The parts of a URL, still encoded.
pub(crate) struct UrlParts<'a> {
    pub(crate) user: &'a str,
    pub(crate) authority: &'a str,
    pub(crate) database: &'a str,
    pub(crate) parameters: &'a str,
}

impl<'a> UrlParts<'a> {
    /// Takes a URL apart; none if it is malformed or of another scheme.
    pub(crate) fn of(url: &'a str, is_scheme: impl Fn(&str) -> bool) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !is_scheme(scheme) || rest.contains(|c: char| c == '#' || c.is_control() || c.is_whitespace()) {
            return None;
        }
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (user, authority) = match authority.split_once('@') {
            Some((user, authority)) => (user, authority),
            // A host that comes late: what was taken for one is the beginning of a password.
            None if database.contains('@') || (!place.contains('/') && parameters.contains('@')) => return None,
            None => ("", authority),
        };
        let is_whole = !authority.contains('@') && !database.contains(['@', '/']);
        is_whole.then_some(Self { user, authority, database, parameters })
    }
}

/// The hosts and, in the same order, their ports, empty where there is none.
pub(crate) fn hosts_of(authority: &str) -> Option<(Vec<String>, Vec<String>)> {
    let mut places = (Vec::new(), Vec::new());
    for place in authority.split(',') {
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { "" } else { rest.strip_prefix(':')? })
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        if port.contains(':') || host.contains(['[', ']']) {
            return None;
        }
        places.0.push(percent_decoded(host)?);
        places.1.push(port.to_owned());
    }
    Some(places)
}

/// Returns true for text that is the name of a parameter, and may be shown.
pub(crate) fn looks_like_a_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'-'))
}

pub(crate) const BAD_PERCENT_SIGN: &str = "a percent sign in the URL must begin two hexadecimal digits of UTF-8";
