//! The directory and the parameters in a `spool:` URL.

use std::path::{Path, PathBuf};

use super::error::config;
use crate::store::StoreError;
use crate::store::redacted_url::parameter_name;
use crate::store::url_parameters::url_parameters;

/// The bounds of a spool, and its way of reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) events: Option<u64>,
    /// True if a read waits until the target has every acknowledged event.
    pub(super) has_complete_reads: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: DEFAULT_BYTES, events: None, has_complete_reads: true }
    }
}

/// A `spool:` URL in parts.
pub(super) struct Config {
    pub(super) directory: PathBuf,
    pub(super) limits: Limits,
    /// The URL of the target. May have a password in it.
    pub(super) target: String,
}

impl Config {
    /// Parses `DIR?NAME=VALUE&…&to=URL`. Nothing in it is decoded, and the value of `to` is everything behind it.
    pub(super) fn parse(rest: &str) -> Result<Self, StoreError> {
        let (directory, parameters) = split(rest)?;
        let (parameters, mut target) = match split_target(parameters) {
            Some((before, target)) => (before, Some(target.to_owned())),
            None => (parameters, None),
        };
        let mut limits = Limits::default();
        for (name, value) in url_parameters(parameters).map_err(config)? {
            match name {
                "max_bytes" => {
                    limits.bytes = bytes(value).ok_or_else(|| {
                        config(
                            "`max_bytes` is no size: expected a number of bytes, such as 1073741824 or 1G, from 1M on",
                        )
                    })?;
                }
                "max_events" => match value.parse() {
                    Ok(events @ 1..) => limits.events = Some(events),
                    _ => return Err(config("`max_events` is a number of events, at least 1")),
                },
                "reads" => {
                    limits.has_complete_reads = match value {
                        "complete" => true,
                        "target" => false,
                        _ => return Err(config("`reads` is `complete` or `target`")),
                    };
                }
                "to_file" if target.is_some() => return Err(config("both `to` and `to_file` are given: name one")),
                "to_file" => target = Some(read_target(Path::new(value))?),
                _ => {
                    let name = parameter_name(name);
                    return Err(config(format!(
                        "{name:?} is no parameter: `spool:DIR` takes `max_bytes`, `max_events`, `reads` and `to_file`, and \
                         last `to`; parameters of the target's URL stand behind `to`"
                    )));
                }
            }
        }
        let target = target.filter(|target| !target.is_empty()).ok_or_else(|| {
            config("there is no target: expected `spool:DIR?to=URL`, or `spool:DIR?to_file=PATH` with a file that has the URL in it")
        })?;
        Ok(Self { directory, limits, target })
    }
}

/// Returns the absolute directory of a `spool:DIR?…` URL, or `None` for any other URL.
///
/// ```
/// use std::path::Path;
/// use tower_audit::store::spool::directory_of;
///
/// let url = "spool:/var/spool/app?max_bytes=4G&to=postgres://app@db/app";
/// assert_eq!(directory_of(url).as_deref(), Some(Path::new("/var/spool/app")));
/// assert_eq!(directory_of("sqlite:/var/lib/app/audit.db"), None);
/// ```
pub fn directory_of(url: &str) -> Option<PathBuf> {
    split(url.strip_prefix("spool:")?).ok().map(|(directory, _)| directory)
}

fn split(rest: &str) -> Result<(PathBuf, &str), StoreError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (directory, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if directory.is_empty() {
        return Err(config("the directory is empty: expected `spool:DIR?to=URL`"));
    }
    if directory.contains("://") || directory.contains('@') {
        return Err(config(
            "the directory reads like a connection string, and is not shown, for it may have a password in it: expected \
             `spool:DIR?to=URL`",
        ));
    }
    if let Some(control) = directory.chars().find(|c| c.is_control()) {
        return Err(config(format!(
            "the directory has the control character {control:?} in it: does the URL come from a file with other ends of lines?"
        )));
    }
    if directory.ends_with(char::is_whitespace) {
        return Err(config("the directory ends with a blank: take it away"));
    }
    let directory = std::path::absolute(directory)
        .map_err(|error| config("the directory cannot be resolved").with_source(error))?;
    Ok((directory, parameters))
}

/// Splits `a=1&to=URL` behind `a=1`.
fn split_target(parameters: &str) -> Option<(&str, &str)> {
    match parameters.strip_prefix("to=") {
        Some(target) => Some(("", target)),
        None => parameters.split_once("&to="),
    }
}

/// Reads a file with the URL in its first line, as the program does with `--url-file`.
fn read_target(path: &Path) -> Result<String, StoreError> {
    let text = std::fs::read_to_string(path).map_err(|error| config("`to_file` cannot be read").with_source(error))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(url), None) => Ok(url.to_owned()),
        _ => Err(config("the file that `to_file` names has not one line with the target's URL")),
    }
}

/// Reads `1048576`, `1024K`, `1M` or `1G`, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(unit).filter(|bytes| *bytes >= MIN_BYTES)
}

/// Some two million events.
const DEFAULT_BYTES: u64 = 1 << 30;
/// The least bound, which holds any one batch of a log.
pub(super) const MIN_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Config, String> {
        Config::parse(rest).map_err(|error| error.to_string())
    }

    #[test]
    fn the_target_is_everything_behind_to() {
        let parsed =
            parse("/var/spool/a?max_bytes=4G&to=postgres://u:p%40&=ss@db/app?schema=x&sslmode=require").unwrap();
        assert_eq!(parsed.target, "postgres://u:p%40&=ss@db/app?schema=x&sslmode=require");
        assert_eq!((parsed.directory.as_path(), parsed.limits.bytes), (Path::new("/var/spool/a"), 4 << 30));
        let parsed = parse("//a?max_events=7&reads=target&to=sqlite:b.db").unwrap();
        assert_eq!((parsed.limits.events, parsed.limits.has_complete_reads), (Some(7), false));
        assert!(parsed.directory.ends_with("a"));
    }

    #[test]
    fn the_target_is_read_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "\npostgres://app:hunter2@db/app\n").unwrap();
        assert_eq!(parse(&format!("a?to_file={}", file.display())).unwrap().target, "postgres://app:hunter2@db/app");
        std::fs::write(&file, "a\nb\n").unwrap();
        assert!(parse(&format!("a?to_file={}", file.display())).err().expect("it is refused").contains("one line"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for (rest, named) in [
            ("", "empty"),
            ("a", "no target"),
            ("a?to=", "no target"),
            ("a?max_bytes=1&to=memory:", "`max_bytes`"),
            ("a?max_events=0&to=memory:", "`max_events`"),
            ("a?reads=fast&to=memory:", "`reads`"),
            ("a?mode=x&to=memory:", "\"mode\""),
            ("a?max_events=1&max_events=2&to=memory:", "twice"),
            ("a?to_file=x&to=memory:", "both"),
            ("a?to_file=/nonexistent/url", "cannot be read"),
            ("a\n?to=memory:", "'\\n'"),
            ("postgres://app:hunter2@db/app", "connection string"),
            ("a?Hunter2=1&to=memory:", "…"),
        ] {
            let error = parse(rest).err().unwrap();
            assert!(error.contains(named) && !error.contains("hunter2"), "{rest:?}: {error}");
        }
    }
}
