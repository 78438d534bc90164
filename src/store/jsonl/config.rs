//! The path and the parameters in a `jsonl:` URL.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::error::config;
use crate::export::{Encoding, EventSource, Profile};
use crate::store::redacted_url::{may_have_a_password, parameter_name};
use crate::store::url_parameters::url_parameters;
use crate::store::{OpenOptions, StoreError};

/// The path of the file, and what is done with it.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The given path, made absolute. May be a symbolic link.
    pub(super) path: PathBuf,
    pub(super) create_if_missing: bool,
    pub(super) timeout: Duration,
    /// The shape of the lines; `None`: the event's own JSON.
    pub(super) encoding: Option<Encoding>,
    pub(super) rotation: Rotation,
    /// The age below which `keep` deletes nothing, in microseconds. Copies of the configuration share it.
    pub(super) floor: Arc<AtomicU64>,
}

/// The rules of rotation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    /// The size from which the file is rotated.
    pub(super) bytes: Option<u64>,
    /// True to rotate a file that was last written on an earlier day, in UTC.
    pub(super) daily: bool,
    /// The number of rotated files that are kept; `None`: all.
    pub(super) keep: Option<usize>,
    /// True to compress rotated files.
    pub(super) gzip: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { bytes: Some(DEFAULT_ROTATE_BYTES), daily: false, keep: None, gzip: false }
    }
}

impl Config {
    /// Parses `PATH?NAME=VALUE&…` or `//PATH?…`. Nothing in it is decoded.
    pub(super) fn parse(rest: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        check_path(path)?;
        let path =
            std::path::absolute(path).map_err(|error| config("the path cannot be resolved").with_source(error))?;
        if path.file_name().is_none() {
            return Err(config("the path names no file: expected `jsonl:PATH`"));
        }
        let mut parsed = Self {
            path,
            create_if_missing: options.create_if_missing,
            timeout: options.timeout,
            encoding: None,
            rotation: Rotation::default(),
            floor: Arc::default(),
        };
        let mut source = None;
        for (name, value) in url_parameters(parameters).map_err(config)? {
            match name {
                "source" => source = Some(value.parse::<EventSource>().map_err(|error| config(error.to_string()))?),
                _ => parsed.set(name, value)?,
            }
        }
        match (&mut parsed.encoding, source) {
            (_, None) => {}
            (Some(encoding), Some(source)) => encoding.settings.source = source,
            (None, Some(_)) => {
                return Err(config("`source` is for a `profile` that is not `native`: add one, or leave it out"));
            }
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        match name {
            "rotate_bytes" => {
                let bytes = bytes(value).ok_or_else(|| {
                    config(
                        "`rotate_bytes` is no size: expected a number of bytes, such as 67108864 or 64M, from 64K on, or 0 \
                         for no limit",
                    )
                })?;
                self.rotation.bytes = Some(bytes).filter(|bytes| *bytes > 0);
            }
            "rotate" => {
                self.rotation.daily = match value {
                    "daily" => true,
                    "never" => {
                        self.rotation.bytes = None;
                        false
                    }
                    _ => return Err(config("`rotate` is `daily` or `never`")),
                };
            }
            "keep" => {
                let files = match value {
                    "all" => None,
                    _ => match value.parse() {
                        Ok(files @ 1..) => Some(files),
                        _ => return Err(config("`keep` is `all` or a number of rotated files, at least 1")),
                    },
                };
                self.rotation.keep = files;
            }
            "gzip" => {
                self.rotation.gzip = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(config("`gzip` is `true` or `false`")),
                };
            }
            "profile" => {
                self.encoding = match value.parse() {
                    _ if value == "native" => None,
                    Ok(profile) if Profile::has_whole_event(profile) => {
                        Some(Encoding::new(profile, EventSource::default()))
                    }
                    Ok(lossy) => {
                        return Err(config(format!(
                            "a line of `{lossy}` has not the whole event, so that no event could be read back: write them \
                             with `syslog:///dev/log?profile={lossy}`, or with `tower-audit export --profile {lossy}`"
                        )));
                    }
                    Err(_) => {
                        let all: Vec<_> = Profile::ALL.iter().copied().filter(|it| it.has_whole_event()).collect();
                        return Err(config(format!("`profile` is `native`, {}", Profile::names(&all))));
                    }
                };
            }
            _ => {
                let name = parameter_name(name);
                return Err(config(format!(
                    "{name:?} is no parameter: `jsonl:PATH` takes `rotate_bytes`, `rotate`, `keep`, `gzip`, `profile` \
                     and `source`"
                )));
            }
        }
        Ok(())
    }
}

fn check_path(path: &str) -> Result<(), StoreError> {
    if path.is_empty() {
        return Err(config("the path is empty: expected `jsonl:PATH`"));
    }
    if may_have_a_password(path) {
        return Err(config(
            "the path reads like a connection string, and is not shown, for it may have a password in it: expected \
             `jsonl:PATH`",
        ));
    }
    if let Some(control) = path.chars().find(|c| c.is_control()) {
        return Err(config(format!(
            "the path has the control character {control:?} in it: does the URL come from a file with other ends of lines?"
        )));
    }
    if path.ends_with(char::is_whitespace) {
        return Err(config("the path ends with a blank: take it away"));
    }
    if path.ends_with('/') {
        return Err(config("the path names a folder: name a file in it, such as `jsonl:/var/log/app/audit.jsonl`"));
    }
    Ok(())
}

/// Reads `65536`, `64K`, `64M` or `1G`, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())??;
    let bytes = number.checked_mul(unit)?;
    (bytes == 0 || bytes >= MIN_ROTATE_BYTES).then_some(bytes)
}

/// Returns the absolute path of a `jsonl:PATH` URL, or `None` for any other URL.
///
/// ```
/// use std::path::Path;
/// use tower_audit::store::jsonl::path_of;
///
/// assert_eq!(path_of("jsonl:/var/log/app/audit.jsonl?gzip=true").as_deref(), Some(Path::new("/var/log/app/audit.jsonl")));
/// assert_eq!(path_of("sqlite:/var/lib/app/audit.db"), None);
/// ```
pub fn path_of(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("jsonl:")?;
    Config::parse(rest, OpenOptions::default()).ok().map(|config| config.path)
}

/// Some 150,000 events.
const DEFAULT_ROTATE_BYTES: u64 = 64 << 20;
/// Below it, a log would be more files than events.
const MIN_ROTATE_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Config, String> {
        Config::parse(rest, OpenOptions::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_read() {
        let plain = parse("/var/log/a.jsonl").unwrap();
        assert_eq!(plain.rotation.bytes, Some(DEFAULT_ROTATE_BYTES));
        assert_eq!((plain.rotation.keep, plain.rotation.gzip, plain.rotation.daily), (None, false, false));
        let all = parse("///a?rotate_bytes=1M&rotate=daily&keep=7&gzip=true&profile=iq").unwrap();
        assert_eq!(all.rotation.bytes, Some(1 << 20));
        assert_eq!((all.rotation.keep, all.rotation.gzip, all.rotation.daily), (Some(7), true, true));
        assert_eq!(all.encoding.unwrap().profile, Profile::Iq);
        assert_eq!(all.path, std::path::Path::new("/a"));
        assert_eq!(parse("a?rotate=never").unwrap().rotation.bytes, None);
        assert_eq!(parse("a?rotate_bytes=0").unwrap().rotation.bytes, None);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for (rest, named) in [
            ("", "empty"),
            ("/var/log/", "folder"),
            ("a?mode=ro", "\"mode\""),
            ("a?keep=0", "`keep`"),
            ("a?keep=7&keep=8", "twice"),
            ("a?rotate_bytes=1", "`rotate_bytes`"),
            ("a?rotate_bytes=-1M", "`rotate_bytes`"),
            ("a?rotate_bytes=99999999999G", "`rotate_bytes`"),
            ("a?rotate=hourly", "`rotate`"),
            ("a?gzip=yes", "`gzip`"),
            ("a?profile=ecsx", "`cloudevents`"),
            ("a?profile=cef", "syslog:"),
            ("a?source=shop", "`profile`"),
            ("a?profile=ecs&source=a%20b", "URI reference"),
            ("a\n", "'\\n'"),
            ("..", "no file"),
            ("a?Hunter2=1", "…"),
        ] {
            let error = parse(rest).unwrap_err();
            assert!(error.contains(named), "{rest:?}: {error}");
        }
        for secret in ["postgres://app:hunter2@db/app", "app:hunter2@db", "host=db password = hunter2"] {
            assert!(!parse(secret).unwrap_err().contains("hunter2"));
        }
    }
}
