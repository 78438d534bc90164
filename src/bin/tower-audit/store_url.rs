//! The URL of the store, and the place it comes from.

use std::env::VarError;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// The URL of the store, and what named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    pub(crate) url: String,
    pub(crate) source: &'static str,
}

/// The part of a file that is looked at for its first line, in bytes: a device may have no end.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The URL of the store: what was typed, else what a file that was named holds, else the environment. Something empty
/// is nothing, but for a file: who names one means it.
pub(crate) fn store_url(
    typed: Option<String>,
    file: Option<PathBuf>,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Option<StoreUrl>, CliError> {
    if let Some(url) = typed.filter(|url| !url.is_empty()) {
        if file.is_some() {
            return Err(CliError::Usage("--url and --url-file both name a store: give one of them".into()));
        }
        return Ok(Some(StoreUrl { url, source: "--url" }));
    }
    if let Some(path) = file {
        let url = first_line("--url-file", &path)?;
        return Ok(Some(StoreUrl { url, source: "--url-file" }));
    }
    for name in ["AUDIT_URL", "DATABASE_URL"] {
        match variable(name) {
            Ok(url) if !url.is_empty() => return Ok(Some(StoreUrl { url, source: name })),
            Ok(_) | Err(VarError::NotPresent) => {}
            Err(VarError::NotUnicode(_)) => return Err(CliError::Usage(format!("{name} is not UTF-8: correct it"))),
        }
    }
    Ok(None)
}

/// Returns the URL in the first line of a file, which an option names.
pub(crate) fn first_line(option: &str, path: &Path) -> Result<String, CliError> {
    let refused = |why: &str| CliError::Usage(format!("{option}: {}: {why}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| refused(&error.to_string()))?;
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| refused(&error.to_string()))?;
    let url = text.lines().next().unwrap_or_default().trim();
    if url.is_empty() {
        return Err(refused("its first line is empty: expected a URL there"));
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_the_typed_one_then_audit_url_then_database_url() {
        let both = |name: &str| match name {
            "AUDIT_URL" => Ok("audit:".to_owned()),
            _ => Ok("database:".to_owned()),
        };
        let second = |name: &str| match name {
            "AUDIT_URL" => Ok(String::new()),
            _ => Ok("database:".to_owned()),
        };
        let found = |typed: Option<&str>, variable: fn(&str) -> Result<String, VarError>| {
            store_url(typed.map(str::to_owned), None, variable).unwrap().map(|url| (url.url, url.source))
        };
        assert_eq!(found(Some("typed:"), both), Some(("typed:".into(), "--url")));
        assert_eq!(found(None, both), Some(("audit:".into(), "AUDIT_URL")));
        assert_eq!(found(Some(""), second), Some(("database:".into(), "DATABASE_URL")));
        assert_eq!(found(None, |_| Err(VarError::NotPresent)), None);
    }

    #[test]
    fn a_file_that_is_named_has_the_url() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let found = |text: &str, typed: Option<&str>| {
            std::fs::write(&path, text).unwrap();
            store_url(typed.map(str::to_owned), Some(path.clone()), |_| Ok("environment:".into()))
        };
        for text in ["memory:", "memory:\n", " memory: \r\nignored:\n"] {
            let url = found(text, None).unwrap().unwrap();
            assert_eq!((url.url.as_str(), url.source), ("memory:", "--url-file"));
        }
        for text in ["", "\nmemory:"] {
            assert!(found(text, None).unwrap_err().to_string().contains("its first line is empty"));
        }
        assert!(found("memory:", Some("memory:")).unwrap_err().to_string().contains("give one of them"));
        assert!(store_url(None, Some("/nowhere/url".into()), |_| Err(VarError::NotPresent)).is_err());
    }
}
