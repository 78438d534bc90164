//! The target and the parameters in a `tracing:` URL.

use tracing::Level;

use crate::store::redacted_url::parameter_name;
use crate::store::url_parameters::url_parameters;
use crate::store::{StoreError, StoreErrorKind};

/// The place and the shape of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) target: String,
    pub(super) level: Level,
    pub(super) format: LineFormat,
}

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// A field of the line for each field of the event.
    Fields,
    /// The event's JSON as the message.
    Json,
}

/// The name of the store.
pub(super) const NAME: &str = "tracing";
/// The target of the lines if the URL names none.
const DEFAULT_TARGET: &str = "tower_audit::events";
/// The longest target, in bytes.
const MAX_TARGET_BYTES: usize = 128;

impl Config {
    /// Parses `TARGET?NAME=VALUE&…`.
    pub(super) fn parse(rest: &str) -> Result<Self, StoreError> {
        let (target, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let target = if target.is_empty() { DEFAULT_TARGET } else { target };
        if target.len() > MAX_TARGET_BYTES
            || !target.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b))
        {
            return Err(config(
                "expected `tracing:TARGET` with a target of at most 128 letters, digits and `_-.:/`, such as \
                 `tracing:my_app::audit`, or `tracing:`",
            ));
        }
        let mut parsed = Self { target: target.to_owned(), level: Level::INFO, format: LineFormat::Fields };
        for (name, value) in url_parameters(parameters).map_err(config)? {
            parsed.set(name, value)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        match name {
            "level" => {
                self.level = match value {
                    "error" => Level::ERROR,
                    "warn" => Level::WARN,
                    "info" => Level::INFO,
                    "debug" => Level::DEBUG,
                    "trace" => Level::TRACE,
                    _ => return Err(config("`level` is `error`, `warn`, `info`, `debug` or `trace`")),
                };
            }
            "format" => {
                self.format = match value {
                    "fields" => LineFormat::Fields,
                    "json" => LineFormat::Json,
                    _ => return Err(config("`format` is `fields` or `json`")),
                };
            }
            _ => {
                let name = parameter_name(name);
                return Err(config(format!("`{name}` is no parameter of it: expected `level` or `format`")));
            }
        }
        Ok(())
    }
}

fn config(hint: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "opening the URL").with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_chooses_target_level_and_format() {
        let parsed = |rest| Config::parse(rest).map(|it| (it.target, it.level, it.format));
        assert_eq!(parsed("").unwrap(), (DEFAULT_TARGET.to_owned(), Level::INFO, LineFormat::Fields));
        assert_eq!(
            parsed("pi-audit?level=warn&format=json").unwrap(),
            ("pi-audit".to_owned(), Level::WARN, LineFormat::Json)
        );
        for (rest, names) in [
            ("a b", "a target of at most 128"),
            (&"a".repeat(129), "a target of at most 128"),
            ("a?level=INFO", "`level` is"),
            ("a?format=text", "`format` is"),
            ("a?level=info&level=warn", "given twice"),
            ("a?colour=red", "`colour` is no parameter"),
            ("a?Hunter2=red", "`…` is no parameter"),
        ] {
            let error = parsed(rest).unwrap_err().to_string();
            assert!(error.contains(names), "{rest}: {error}");
        }
    }
}
