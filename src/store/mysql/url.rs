//! A URL `mysql://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE&…`, taken apart.
//!
//! An unknown parameter is an error: it is a setting that would silently be missing. No part of a malformed URL is
//! shown: any of it may be a piece of a password.

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::error::config;
use crate::store::StoreError;
use crate::store::sql::server_url::{BAD_PERCENT_SIGN, UrlParts, hosts_of, is_scheme_of, looks_like_a_name};
use crate::store::url_parameters::percent_decoded;

/// The parameters, and the options of the driver.
pub(super) struct Url {
    pub(super) database: String,
    pub(super) table: Option<String>,
    pub(super) options: MySqlConnectOptions,
}

/// Reports a scheme that is MySQL's or MariaDB's: in any case, and with the driver that SQLAlchemy puts behind it.
pub(crate) fn is_scheme(scheme: &str) -> bool {
    is_scheme_of(&["mysql", "mariadb"], scheme)
}

impl Url {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let parts = UrlParts::of(url.trim(), is_scheme).ok_or_else(malformed)?;
        let (hosts, ports) = hosts_of(parts.authority).ok_or_else(malformed)?;
        let [host] = hosts.as_slice() else {
            return Err(config("the URL has several hosts: name one, such as that of a proxy that finds the primary"));
        };
        let mut options = MySqlConnectOptions::new();
        if !host.is_empty() {
            options = options.host(host);
        }
        match ports.first().map_or("", String::as_str) {
            "" => {}
            port => {
                options = options.port(port.parse().ok().filter(|port| *port > 0).ok_or_else(malformed)?);
            }
        }
        let (user, password) = parts.user.split_once(':').unwrap_or((parts.user, ""));
        if !user.is_empty() {
            options = options.username(&decoded(user)?);
        }
        if !password.is_empty() {
            options = options.password(&decoded(password)?);
        }
        let database = decoded(parts.database)?;
        if database.is_empty() {
            return Err(config("the URL names no database: expected `mysql://USER@HOST/DATABASE`"));
        }
        options = options.database(&database);
        let mut found = Self { database, table: None, options };
        for parameter in parts.parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or_else(malformed)?;
            found.set(&decoded(name)?, &decoded(value)?, parts.parameters)?;
        }
        Ok(found)
    }

    fn set(&mut self, name: &str, value: &str, parameters: &str) -> Result<(), StoreError> {
        let options = self.options.clone();
        self.options = match name {
            "table" => {
                self.table = Some(value.to_owned());
                return Ok(());
            }
            "socket" | "unix_socket" => options.socket(value),
            "sslmode" | "ssl-mode" | "ssl_mode" => {
                let mode: MySqlSslMode = value.parse().map_err(|_| {
                    config(
                        "the value of `ssl-mode` is not one of those that it can have: disabled, preferred, required, \
                         verify_ca, verify_identity",
                    )
                })?;
                options.ssl_mode(mode)
            }
            "sslca" | "ssl-ca" | "ssl_ca" => options.ssl_ca(readable(name, value)?),
            "sslcert" | "ssl-cert" | "ssl_cert" => options.ssl_client_cert(readable(name, value)?),
            "sslkey" | "ssl-key" | "ssl_key" => options.ssl_client_key(readable(name, value)?),
            // What SQLAlchemy's users write; the log uses no other.
            "charset" if value == "utf8mb4" => return Ok(()),
            "charset" => return Err(config("the log uses `charset=utf8mb4` alone: leave `charset` out")),
            // The name may be the rest of a password: then there is a host behind it.
            name if looks_like_a_name(name) && !parameters.contains('@') => {
                return Err(config(format!("`{name}` is no parameter of `mysql://…`")));
            }
            _ => return Err(malformed()),
        };
        Ok(())
    }
}

/// The path of a file that can be opened.
fn readable<'a>(name: &str, path: &'a str) -> Result<&'a str, StoreError> {
    std::fs::File::open(path)
        .map(|_| path)
        .map_err(|error| config(format!("the file that `{name}` names cannot be read")).with_source(error))
}

/// The text with its percent signs resolved.
fn decoded(value: &str) -> Result<String, StoreError> {
    percent_decoded(value).ok_or_else(|| config(BAD_PERCENT_SIGN))
}

fn malformed() -> StoreError {
    config(
        // The program shows nothing of a URL, this form of one included: it stands last, and nothing is lost with it.
        "the URL is malformed: `@`, `/`, `?`, `#`, `%` and blanks in a user or a password are written as %40, %2F, %3F, \
         %23, %25 and %20; expected `mysql://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_write_them() {
        for (url, host, port, user) in [
            ("mysql://u@h/d", "h", 3306, "u"),
            ("mariadb://u:p@[::1]:3307/d?charset=utf8mb4", "::1", 3307, "u"),
            ("mysql+pymysql://a%40b:p%2F@h:1/d\n", "h", 1, "a@b"),
            ("MariaDB+mariadbconnector://u@h/d?table=log", "h", 3306, "u"),
        ] {
            let read = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            let options = read.options;
            assert_eq!((options.get_host(), options.get_port(), options.get_username()), (host, port, user), "{url}");
            assert_eq!(read.database, "d");
        }
        let socket = Url::parse("mysql://u@/d?unix_socket=/run/mysqld/mysqld.sock").expect("a URL").options;
        assert_eq!(socket.get_socket().and_then(|path| path.to_str()), Some("/run/mysqld/mysqld.sock"));
    }

    #[test]
    fn nothing_of_a_malformed_url_is_shown() {
        for url in [
            "mysql://app:hunt?er2-secret@db.example.org/app",
            "mysql://app:12?secret=x@db.example.org/app",
            "mysql://app:hunt#secret@db.example.org/app",
            "mysql://app:hunt@secret@db.example.org/app",
            "mysql://app:hunt/secret@db.example.org/app",
            "mysql://app:se cret@db.example.org/app",
            "mysql://app:%zzsecret@db.example.org/app",
            "mysql://app:secret@db.example.org:secret/app",
            "mysql://app:secret@db.example.org:0/app",
            "mysql://app:secret@[::1/app",
            "mysql://app:secret@db.example.org",
            "mysql://app:secret@a,b/d",
            "mysql://app@h/d?Secret=x",
            "mysql://app@h/d?secret",
            "mysql://app@h/d?ssl-mode=secret",
            "mysql://app@h/d?charset=secret",
            "mysql://app@h/d?ssl-ca=/secret/file",
            "mysql:app:secret@h/d",
            "mysql+://app:secret@h/d",
            "postgres://app:secret@h/d",
        ] {
            let Err(error) = Url::parse(url) else { panic!("{url} is taken") };
            let shown = format!("{error} {error:?}").to_lowercase();
            assert!(
                !shown.contains("secret") && !shown.contains("hunt") && !shown.contains("example"),
                "{url}: {shown}"
            );
        }
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_named() {
        let error = Url::parse("mysql://u@h/d?tabel=x").err().expect("it is not known");
        assert!(error.to_string().contains("`tabel`"), "{error}");
    }
}
