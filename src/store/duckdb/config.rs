//! The path and the parameters in a `duckdb:` URL.

use std::path::PathBuf;
use std::time::Duration;

use super::error::config;
use crate::store::redacted_url::{may_have_a_password, names_a_user, parameter_name};
use crate::store::url_parameters::{after_scheme, url_parameters};
use crate::store::{OpenOptions, StoreError};

/// The file and the options of the database.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The given path, made absolute. May be a symbolic link, except in an open database.
    pub(super) path: PathBuf,
    /// The file of DuckDB's library; none for the one that the system's loader finds.
    pub(super) library: Option<PathBuf>,
    /// The memory that DuckDB may take, in its own words.
    pub(super) memory: String,
    /// The number of DuckDB's threads; none for its own choice.
    pub(super) threads: Option<u16>,
    pub(super) create_if_missing: bool,
    pub(super) timeout: Duration,
}

impl Config {
    /// Parses `PATH` or `//PATH`, and parameters. Nothing in it is decoded.
    pub(super) fn parse(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let given = after_scheme(url, "duckdb").ok_or_else(|| config("expected `duckdb:PATH`"))?;
        if names_a_user(given) {
            return Err(config("a file has no user and no host: expected `duckdb:PATH`"));
        }
        let rest = given.strip_prefix("//").unwrap_or(given);
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let path = checked(path)?;
        let mut parsed = Self {
            path: std::path::absolute(path)
                .map_err(|error| config("the path cannot be resolved").with_source(error))?,
            library: None,
            memory: DEFAULT_MEMORY.to_owned(),
            threads: None,
            create_if_missing: options.create_if_missing,
            timeout: options.timeout,
        };
        for (name, value) in url_parameters(parameters).map_err(config)? {
            parsed.set(name, value)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        match name {
            "library" if value.is_empty() || value.contains('\0') => {
                return Err(config("`library` is the path of DuckDB's library, such as /usr/local/lib/libduckdb.so"));
            }
            "library" => self.library = Some(value.into()),
            "memory" if is_size(value) => self.memory = value.to_owned(),
            "memory" => return Err(config("`memory` is a number with MB or GB, such as 512MB, from 64MB on")),
            "threads" => match value.parse() {
                Ok(threads @ 1..) => self.threads = Some(threads),
                _ => return Err(config("`threads` is a number, at least 1")),
            },
            _ => {
                let name = parameter_name(name);
                return Err(config(format!(
                    "{name:?} is no parameter: `duckdb:PATH` takes `library`, `memory` and `threads`"
                )));
            }
        }
        Ok(())
    }
}

fn checked(path: &str) -> Result<&str, StoreError> {
    if path.is_empty() {
        return Err(config("the path is empty: expected `duckdb:PATH`"));
    }
    if may_have_a_password(path) {
        return Err(config(
            "the path reads like a connection string, and is not shown, for it may have a password in it: expected \
             `duckdb:PATH`",
        ));
    }
    if path == ":memory:" {
        return Err(config("a database in memory is not durable: use `memory:` for tests"));
    }
    if let Some(control) = path.chars().find(|c| c.is_control()) {
        return Err(config(format!(
            "the path has the control character {control:?} in it: does the URL come from a file with other ends of lines?"
        )));
    }
    if path.ends_with(char::is_whitespace) {
        return Err(config("the path ends with a blank: take it away"));
    }
    Ok(path)
}

/// Returns true for `512MB` and `2GB`, from 64 MB on: DuckDB cannot make a checkpoint in much less.
fn is_size(text: &str) -> bool {
    let (number, least) = match (text.strip_suffix("MB"), text.strip_suffix("GB")) {
        (Some(number), _) => (number, 64),
        (_, Some(number)) => (number, 1),
        _ => return false,
    };
    number.bytes().all(|b| b.is_ascii_digit()) && number.parse::<u32>().is_ok_and(|number| number >= least)
}

/// Returns the absolute path of a `duckdb:PATH` URL, or `None` for any other URL.
///
/// ```
/// use std::path::Path;
/// use tower_audit::store::duckdb::path_of;
///
/// assert_eq!(path_of("duckdb:/var/lib/app/audit.duckdb").as_deref(), Some(Path::new("/var/lib/app/audit.duckdb")));
/// assert_eq!(path_of("sqlite:audit.db"), None);
/// ```
pub fn path_of(url: &str) -> Option<PathBuf> {
    Config::parse(url, OpenOptions::default()).ok().map(|config| config.path)
}

/// DuckDB's own choice is most of the machine's memory, which a service shares.
const DEFAULT_MEMORY: &str = "1GB";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(url: &str) -> Result<Config, String> {
        Config::parse(url, OpenOptions::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_and_its_parameters() {
        let config = parse("duckdb:///var/a.duckdb?library=/opt/libduckdb.so&memory=2GB&threads=3").unwrap();
        assert_eq!(config.path, Path::new("/var/a.duckdb"));
        assert_eq!(config.library.as_deref(), Some(Path::new("/opt/libduckdb.so")));
        assert_eq!((config.memory.as_str(), config.threads), ("2GB", Some(3)));
        assert_eq!(parse("DuckDB:/a").unwrap().path, Path::new("/a"));
    }

    #[test]
    fn errors_name_the_part_and_show_no_secret() {
        for (url, named) in [
            ("duckdb:", "empty"),
            ("duckdb::memory:", "memory:"),
            ("duckdb:a\n", "'\\n'"),
            ("duckdb:a ", "blank"),
            ("duckdb:a?memory=1KB", "memory"),
            ("duckdb:a?memory=8MB", "64MB"),
            ("duckdb:a?threads=0", "threads"),
            ("duckdb:a?mode=ro", "\"mode\""),
            ("duckdb:a?library=", "library"),
        ] {
            assert!(parse(url).unwrap_err().contains(named), "{url}");
        }
        for secret in ["duckdb://me:hunter2@host/a", "duckdb:a?hunter2=1", "duckdb:host=db password=hunter2"] {
            let error = parse(secret).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
