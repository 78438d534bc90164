//! The path in a `sqlite:` URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlitePool;

use super::error::{DuringOperation as _, config};
use crate::store::redacted_url::{may_have_a_password, names_a_user, parameter_name};
use crate::store::resolved_path::resolved_path;
use crate::store::{Durability, OpenOptions, StoreError};

/// The path of the file and the options of its connections.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The given path, made absolute. May be a symbolic link.
    pub(super) path: PathBuf,
    pub(super) create_if_missing: bool,
    /// True for a file that an application shares: the log's tables are created beside the application's.
    pub(super) shares_file: bool,
    pub(super) timeout: Duration,
    pub(super) durability: Durability,
}

impl Config {
    /// Parses `PATH` or `//PATH`. Nothing in it is decoded.
    pub(super) fn parse(rest: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let given = rest;
        let rest = given.strip_prefix("//").unwrap_or(given);
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if let Some(parameter) = parameters.split('&').find(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or(parameter);
            let name = parameter_name(name);
            return Err(config(format!("{name:?} is no parameter: `sqlite:PATH` takes none")));
        }
        if names_a_user(given) {
            return Err(config("a file has no user and no host: expected `sqlite:PATH`"));
        }
        if path.is_empty() {
            return Err(config("the path is empty: expected `sqlite:PATH`, or `memory:` for events kept in memory"));
        }
        if may_have_a_password(path) {
            return Err(config(
                "the path reads like a connection string, and is not shown, for it may have a password in it: expected \
                 `sqlite:PATH`, or `postgres://USER@HOST/DATABASE` without `sqlite:` before it",
            ));
        }
        if path == ":memory:" {
            return Err(config("a database in memory is not durable: use `memory:` for tests"));
        }
        if let Some(control) = path.chars().find(|c| c.is_control()) {
            return Err(config(format!(
                "the path has the control character {control:?} in it: does the URL come from a file with other ends \
                 of lines?"
            )));
        }
        if path.ends_with(char::is_whitespace) {
            return Err(config("the path ends with a blank: take it away"));
        }
        let path =
            std::path::absolute(path).map_err(|error| config("the path cannot be resolved").with_source(error))?;
        Ok(Self {
            path,
            create_if_missing: options.create_if_missing,
            shares_file: false,
            timeout: options.timeout,
            durability: options.durability,
        })
    }

    /// Reads the path of a pool's database.
    pub(super) async fn of_pool(pool: &SqlitePool, options: OpenOptions) -> Result<Self, StoreError> {
        let path: String = sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .fetch_one(pool)
            .await
            .during("asking the pool for its file")?;
        if path.is_empty() {
            return Err(config("the pool's database is in memory, and so not durable: use a file"));
        }
        Ok(Self {
            path: path.into(),
            create_if_missing: options.create_if_missing,
            shares_file: true,
            timeout: options.timeout,
            durability: options.durability,
        })
    }

    /// Resolves symbolic links: SQLite puts `-wal` and `-shm` beside the resolved file. A file that does not exist yet
    /// is named within its resolved folder.
    pub(super) fn resolved(&self) -> std::io::Result<PathBuf> {
        resolved_path(&self.path)
    }

    /// SQLite's timeout for a lock: at most half of the store's, so that SQLite's own error arrives first.
    pub(super) fn busy_timeout(&self) -> Duration {
        (self.timeout / 2).min(MAX_BUSY_TIMEOUT)
    }

    /// The timeout of a statement that takes the write lock.
    pub(super) fn lock_timeout(&self) -> Duration {
        self.timeout / 2
    }
}

/// Returns the absolute path of a `sqlite:PATH` URL, or `None` for any other URL.
///
/// ```
/// use std::path::Path;
/// use tower_audit::store::sqlite::path_of;
///
/// assert_eq!(path_of("sqlite:/var/lib/app/audit.db").as_deref(), Some(Path::new("/var/lib/app/audit.db")));
/// assert_eq!(path_of("postgres://localhost/audit"), None);
/// ```
pub fn path_of(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    Config::parse(rest, OpenOptions::default()).ok().map(|config| config.path)
}

/// Appends a suffix to the file's name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<PathBuf, String> {
        Config::parse(rest, OpenOptions::default()).map(|config| config.path).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_a_path() {
        assert_eq!(parse("/var/a.db").unwrap(), Path::new("/var/a.db"));
        assert_eq!(parse("///var/a.db").unwrap(), Path::new("/var/a.db"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(parse("a%20b.db").unwrap(), here.join("a%20b.db"));
        assert_eq!(parse("//a.db?").unwrap(), here.join("a.db"));
        for plain in ["a:b.db", "me@host.db", "passwords.db", "a=b.db", "2026-05-25T12:00.db"] {
            assert_eq!(parse(plain).unwrap(), here.join(plain));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("").unwrap_err().contains("memory:"));
        assert!(parse("//").unwrap_err().contains("memory:"));
        assert!(parse(":memory:").unwrap_err().contains("use `memory:`"));
        assert!(parse("a.db?mode=ro").unwrap_err().contains("\"mode\""));
        for (path, named) in
            [("a\0b", "'\\0'"), ("a.db\r", "'\\r'"), ("a.db\n", "'\\n'"), ("a.db ", "blank"), ("a\u{85}", "'\\u{85}'")]
        {
            assert!(parse(path).unwrap_err().contains(named), "{path:?}");
        }
        assert!(parse("a b/ c.db").is_ok());
        for secret in [
            "//me:hunter2@host/a.db",
            "a.db?hunter2@host/x",
            "a.db?Hunter2=1",
            "postgres://app:hunter2@db/app",
            "/srv/Postgres://app:hunter2@db/app",
            "app:hunter2@db/app",
            "/app:hunter2@db",
            "host=db Password = 'hunter2' user=app",
            "host=db pwd=hunter2",
        ] {
            let error = parse(secret).unwrap_err().to_lowercase();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
