//! A URL `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?NAME=VALUE&…`, taken apart.
//!
//! Takes URLs as libpq does, with two exceptions. An unescaped `?`, `#` or `@` in a user or a password is an error:
//! libpq guesses there, and a guess that is wrong shows a password to a name server. An unknown parameter is an
//! error too: it is a setting that would silently be missing.
//!
//! No part of a malformed URL is shown: any of it may be a piece of a password.

use std::net::IpAddr;
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error::config;
use super::servers::SessionTarget;
use crate::store::StoreError;
use crate::store::sql::server_url::{BAD_PERCENT_SIGN, UrlParts, hosts_of, is_scheme_of, looks_like_a_name};
use crate::store::url_parameters::percent_decoded;

/// The parameters, and one set of options for each server.
pub(super) struct Url {
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
    pub(super) roles: Option<String>,
    pub(super) target: Option<SessionTarget>,
    pub(super) servers: Vec<PgConnectOptions>,
}

/// Reports a scheme that is PostgreSQL's: in any case, and with the driver that SQLAlchemy puts behind it.
pub(crate) fn is_scheme(scheme: &str) -> bool {
    is_scheme_of(&["postgres", "postgresql"], scheme)
}

impl Url {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let parts = UrlParts::of(url.trim(), is_scheme).ok_or_else(malformed)?;
        let mut found = Self { schema: None, table: None, roles: None, target: None, servers: Vec::new() };
        let (mut hosts, mut ports) = hosts_of(parts.authority).ok_or_else(malformed)?;
        // The driver gets a URL that consists of parameters alone.
        let mut given = String::new();
        let mut give = |name: &str, value: &str| given.extend(["&", name, "=", &encoded(value)]);
        let (user, password) = parts.user.split_once(':').unwrap_or((parts.user, ""));
        for (name, value) in [("user", user), ("password", password), ("dbname", parts.database)] {
            if !value.is_empty() {
                give(name, &decoded(value)?);
            }
        }
        for parameter in parts.parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or_else(malformed)?;
            let (name, value) = (decoded(name)?, decoded(value)?);
            match &*name {
                "schema" => found.schema = Some(value),
                "table" => found.table = Some(value),
                "roles" => found.roles = Some(value),
                "target_session_attrs" => found.target = Some(SessionTarget::parse(&value)?),
                "host" => hosts = value.split(',').map(str::to_owned).collect(),
                "hostaddr" => {
                    hosts = value.split(',').map(str::to_owned).collect();
                    if !hosts.iter().all(|host| host.parse::<IpAddr>().is_ok()) {
                        return Err(config("the value of `hostaddr` is no address of a host"));
                    }
                }
                "port" => ports = value.split(',').map(str::to_owned).collect(),
                name if is_known_to_driver(name) => {
                    check(name, &value)?;
                    give(&encoded(name), &value);
                }
                // The name may be the rest of a password: then there is a host behind it.
                name if looks_like_a_name(name) && !parts.parameters.contains('@') => {
                    return Err(config(format!("`{name}` is no parameter of `postgres://…`")));
                }
                _ => return Err(malformed()),
            }
        }
        for (host, port) in pairs(&hosts, &ports)? {
            let mut url = String::from("postgres://?");
            if !host.is_empty() {
                url.extend(["host=", &encoded(host)]);
            }
            if !port.is_empty() {
                let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(malformed)?;
                url.push_str(&format!("&port={port}"));
            }
            url.push_str(&given);
            // The driver's error may have a value in it.
            found.servers.push(PgConnectOptions::from_str(&url).map_err(|_| malformed())?);
        }
        Ok(found)
    }
}

/// Each host with its port: one port is that of all of them.
fn pairs<'a>(hosts: &'a [String], ports: &'a [String]) -> Result<Vec<(&'a str, &'a str)>, StoreError> {
    match ports {
        [port] => Ok(hosts.iter().map(|host| (host.as_str(), port.as_str())).collect()),
        _ if ports.iter().all(String::is_empty) => Ok(hosts.iter().map(|host| (host.as_str(), "")).collect()),
        _ if ports.len() == hosts.len() => {
            Ok(hosts.iter().zip(ports).map(|(host, port)| (host.as_str(), port.as_str())).collect())
        }
        _ => {
            Err(config(format!("the URL has {} hosts and {} ports: expected one or as many", hosts.len(), ports.len())))
        }
    }
}

/// Refuses what the driver would refuse with the value in its error, and files that are not there.
fn check(name: &str, value: &str) -> Result<(), StoreError> {
    let is_good = match name {
        "sslmode" | "ssl-mode" => value.parse::<PgSslMode>().is_ok(),
        "statement-cache-capacity" => value.parse::<usize>().is_ok(),
        _ if FILES.contains(&name) && !value.starts_with("-----BEGIN") => {
            return std::fs::File::open(value)
                .map(drop)
                .map_err(|error| config(format!("the file that `{name}` names cannot be read")).with_source(error));
        }
        _ => true,
    };
    if is_good { Ok(()) } else { Err(config(format!("the value of `{name}` is not one of those that it can have"))) }
}

/// The driver passes over what it does not know, and logs its value.
fn is_known_to_driver(name: &str) -> bool {
    const KNOWN: [&str; 8] = [
        "sslmode",
        "ssl-mode",
        "statement-cache-capacity",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    KNOWN.contains(&name) || FILES.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
}

/// Parameters that name a file, or are what would be in it.
const FILES: [&str; 7] = ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];

/// The text with its percent signs resolved.
fn decoded(value: &str) -> Result<String, StoreError> {
    percent_decoded(value).ok_or_else(|| config(BAD_PERCENT_SIGN))
}

fn encoded(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

fn malformed() -> StoreError {
    config(
        // The program shows nothing of a URL, this form of one included: it stands last, and nothing is lost with it.
        "the URL is malformed: `@`, `/`, `?`, `#`, `%` and blanks in a user or a password are written as %40, %2F, %3F, \
         %23, %25 and %20; expected `postgres://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Vec<PgConnectOptions> {
        Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).servers
    }

    fn places(url: &str) -> Vec<(String, u16)> {
        servers(url).iter().map(|server| (server.get_host().to_owned(), server.get_port())).collect()
    }

    #[test]
    fn hosts_are_read_as_libpq_reads_them() {
        for (url, expected) in [
            ("postgres://u@h/d", vec![("h", 5432)]),
            ("postgres://u@h:6000/d", vec![("h", 6000)]),
            ("postgres://u:p@[::1]:6000/d", vec![("::1", 6000)]),
            ("postgres://[2001:db8::1]", vec![("2001:db8::1", 5432)]),
            ("postgres://h1,h2:6000,[::1]:7000/d", vec![("h1", 5432), ("h2", 6000), ("::1", 7000)]),
            ("postgres://u@/d?host=::1&port=6000", vec![("::1", 6000)]),
            ("postgres:///d?host=h1,h2&port=6000,7000", vec![("h1", 6000), ("h2", 7000)]),
            ("postgres:///d?host=h1,h2&port=6000", vec![("h1", 6000), ("h2", 6000)]),
            ("postgres://h1:6000/d?hostaddr=192.0.2.1", vec![("192.0.2.1", 6000)]),
            ("postgresql+psycopg2://u@h/d", vec![("h", 5432)]),
            ("PostgreSQL://u@h/d\n", vec![("h", 5432)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(host, port)| (host.to_owned(), port)).collect();
            assert_eq!(places(url), expected, "{url}");
        }
        let socket = servers("postgres://u@%2Frun%2Fpg/d").remove(0);
        assert_eq!(socket.get_socket().and_then(|path| path.to_str()), Some("/run/pg"));
    }

    #[test]
    fn names_are_decoded() {
        let server =
            servers("postgres://a%40b:p%3A%2F%40%3F%23@h/d%2Fb?application_name=x%20y&options[a.b]=c").remove(0);
        assert_eq!((server.get_username(), server.get_database()), ("a@b", Some("d/b")));
        assert_eq!(server.get_application_name(), Some("x y"));
        assert!(server.get_options().is_some_and(|options| options.contains("a.b=c")));
    }

    #[test]
    fn nothing_of_a_malformed_url_is_shown() {
        for url in [
            "postgres://app:hunt?er2-secret@db.example.org/app",
            "postgres://app:12?secret@db.example.org/app",
            "postgres://app:12?secret=x@db.example.org/app",
            "postgres://app:12/secret?secret=x@db.example.org/app",
            "postgres://app:x@12?secret=x@db.example.org/app",
            "postgres://app:hunt#secret@db.example.org/app",
            "postgres://app:hunt@secret@db.example.org/app",
            "postgres://app:hunt/secret@db.example.org/app",
            "postgres://app:12/secret@db.example.org/app",
            "postgres://app:se cret@db.example.org/app",
            "postgres://app:%zzsecret@db.example.org/app",
            "postgres://app:secret@db.example.org:secret/app",
            "postgres://app:secret@db.example.org:0/app",
            "postgres://app:secret@[::1/app",
            "postgres://app:secret@::1/app",
            "postgres://app@h/d?Secret=x",
            "postgres://app@h/d?secret",
            "postgres://app@h/d?sslmode=secret",
            "postgres://app@h/d?port=secret",
            "postgres://app@h/d?statement-cache-capacity=secret",
            "postgres://app@h/d?target_session_attrs=secret",
            "postgres://app@h/d?sslrootcert=/secret/file",
            "postgres:app:secret@h/d",
            "postgres+://app:secret@h/d",
            "mysql://app:secret@h/d",
        ] {
            let Err(error) = Url::parse(url) else { panic!("{url} is taken") };
            let shown = format!("{error} {error:?}");
            let named = shown.replace("SECRET", "").to_lowercase();
            assert!(
                !named.contains("secret") && !named.contains("hunt") && !named.contains("example"),
                "{url}: {shown}"
            );
        }
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_named() {
        let error = Url::parse("postgres://u@h/d?shcema=x").err().expect("it is not known");
        assert!(error.to_string().contains("`shcema`"), "{error}");
    }
}
