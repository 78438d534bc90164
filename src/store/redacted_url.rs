//! A connection string as it may be shown.

use std::fmt;

/// A connection string as it may be shown in an error, a log or `Debug`: its scheme, if that is a known one, and nothing
/// else.
///
/// People write connection strings in many forms, and a password can be in any part of them: `host=db password=…` (libpq)
/// has no scheme, and what stands before the first colon of `hunter2:…` is no scheme either. So only a name of the list
/// below is shown. Everything that shows a connection string shows it by this type.
///
/// ```
/// use tower_audit::store::RedactedUrl;
///
/// assert_eq!(RedactedUrl::of("postgres://audit:hunter2@db/app").to_string(), "postgres:…");
/// assert_eq!(RedactedUrl::of("host=db password=hunter2").to_string(), "a URL without a known scheme");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RedactedUrl {
    scheme: Option<&'static str>,
}

/// The schemes of the stores, and those that people write by mistake.
const KNOWN: &[&str] = &[
    "memory",
    "sqlite",
    "postgres",
    "postgresql",
    "jsonl",
    "spool",
    "syslog",
    "syslog+udp",
    "syslog+tcp",
    "syslog+tls",
    "tracing",
    "tee",
    "nats",
    "tls",
    "duckdb",
    "mongodb",
    "mongodb+srv",
    "mysql",
    "mariadb",
    "mysql+pymysql",
    "mysql+mysqldb",
    "mariadb+pymysql",
    // Of other software.
    "sqlite3",
    "file",
    "pg",
    "pgsql",
    "psql",
    "postgresql+asyncpg",
    "postgresql+psycopg",
    "postgresql+psycopg2",
    "postgis",
    "cockroachdb",
    "jdbc",
    "odbc",
    "mssql",
    "sqlserver",
    "oracle",
    "redis",
    "rediss",
    "amqp",
    "kafka",
    "http",
    "https",
    "tcp",
    "unix",
];

impl RedactedUrl {
    /// Reads the scheme of a connection string; in any letter case (RFC 3986 section 3.1).
    pub fn of(url: &str) -> Self {
        let given = url.split_once(':').map(|(scheme, _)| scheme);
        Self { scheme: given.and_then(|given| KNOWN.iter().copied().find(|known| known.eq_ignore_ascii_case(given))) }
    }

    /// Returns the scheme in lower case, if it is a known one.
    pub fn scheme(&self) -> Option<&'static str> {
        self.scheme
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(scheme) => write!(f, "{scheme}:…"),
            None => f.write_str("a URL without a known scheme"),
        }
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a parameter as it may be shown: only if it looks like one. Behind an unescaped `?` in a password stands the
/// rest of the password.
pub(crate) fn parameter_name(name: &str) -> &str {
    let is_plain = (1..=32).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_'));
    if is_plain { name } else { "…" }
}

/// Returns true for `//USER:PASSWORD@HOST`: taken for a path, the password would be shown.
#[cfg(any(feature = "sqlite", feature = "duckdb"))]
pub(crate) fn names_a_user(rest: &str) -> bool {
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    authority.split_once(':').is_some_and(|(_, rest)| rest.contains('@'))
}

/// Returns true for another URL, `USER:PASSWORD@HOST` and `password=…` within a path: errors show paths.
#[cfg(any(feature = "sqlite", feature = "duckdb", all(feature = "jsonl", unix)))]
pub(crate) fn may_have_a_password(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let has_login = || path.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    lower.contains("://")
        || has_login()
        || ["password", "passwd", "pwd"]
            .iter()
            .any(|name| lower.split(*name).skip(1).any(|rest| rest.trim_start().starts_with('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_nothing_but_a_known_scheme_is_shown() {
        for (url, shown) in [
            ("postgres://audit:hunter2@db/app", "postgres:…"),
            ("POSTGRES://audit:hunter2@db/app", "postgres:…"),
            ("jdbc:postgresql://db/app?password=hunter2", "jdbc:…"),
            ("memory:hunter2", "memory:…"),
        ] {
            assert_eq!(format!("{0} {0:?}", RedactedUrl::of(url)), format!("{shown} {shown}"), "{url}");
        }
        for url in [
            "hunter2",
            "hunter2:",
            "hunter2:app@db",
            "hunter2://app@db/app",
            "audit:hunter2@db/app",
            "host=db password=hunter2",
            "host=db password=hunter2 options=-c:x",
            " postgres://audit:hunter2@db/app",
            "",
        ] {
            let redacted = RedactedUrl::of(url);
            assert_eq!(redacted.scheme(), None, "{url}");
            assert_eq!(format!("{redacted} {redacted:?}"), "a URL without a known scheme a URL without a known scheme");
        }
    }
}
