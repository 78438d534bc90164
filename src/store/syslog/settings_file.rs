//! The file of facilities, severities and templates, feature `policy-file`.

use std::path::Path;

use super::error::config;
use super::{Facility, Severity, SyslogSettings, Template, TypeSettings};
use crate::config_file::{FileError, RawValue, SpannedValue, contents};
use crate::event::{EventType, excerpt};
use crate::store::StoreError;

const KEYS: &str = "`facility`, `severity` (or `level`) and `template`";

/// A fault of the file, and its line.
struct Problem {
    line: usize,
    text: String,
}

impl SyslogSettings {
    /// Reads facilities, severities and templates from a file whose name ends in `.toml`, `.yaml`, `.yml` or `.json`, feature
    /// `policy-file`. What was set before stays.
    ///
    /// ```toml
    /// facility = "local0"     # of every type without its own
    /// severity = "notice"
    /// template = "{userid} {type} createdBy:{createdBy} {streamIds} {content}"
    ///
    /// [types.auth]            # of one type
    /// facility = "authpriv"
    /// severity = "warning"
    /// template = "{event_type} from={actor.remote_addr} user={actor.user_email}"
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read, or has a key or a value that it should not have; the error names the line.
    pub fn with_file(self, path: &Path) -> Result<Self, StoreError> {
        let text = contents(path).map_err(unreadable)?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        let root = match extension {
            Some("toml") => SpannedValue::from_toml(&text),
            // JSON is YAML.
            Some("yaml" | "yml" | "json") => SpannedValue::from_yaml(&text),
            _ => {
                return Err(config(
                    "`formats` names no file of settings: expected one that ends in `.toml`, `.yaml`, `.yml` or `.json`",
                ));
            }
        };
        let root = root.map_err(unreadable)?;
        let (general, types) = read(&root)
            .map_err(|Problem { line, text }| config(format!("the file of `formats`, line {line}: {text}")))?;
        Ok(self.with_defaults(general, types))
    }
}

/// The settings of every type, and those of single types.
type FileSettings = (TypeSettings, Vec<(EventType, TypeSettings)>);

fn read(root: &SpannedValue) -> Result<FileSettings, Problem> {
    let mut types = Vec::new();
    let general = settings(root, |name, node| {
        if name != "types" {
            return Ok(false);
        }
        check_table(node, "a table with a key for each event type")?;
        for entry in node.entries() {
            let problem = |error: String| Problem { line: entry.line, text: error };
            let event_type = EventType::new(&entry.name).map_err(|error| problem(error.to_string()))?;
            types.push((event_type, settings(&entry.node, |_, _| Ok(false))?));
        }
        Ok(true)
    })?;
    Ok((general, types))
}

/// Reads one set of settings; `takes` reads a key that only some tables have.
fn settings(
    table: &SpannedValue,
    mut takes: impl FnMut(&str, &SpannedValue) -> Result<bool, Problem>,
) -> Result<TypeSettings, Problem> {
    check_table(table, &format!("a table with {KEYS}"))?;
    let mut settings = TypeSettings::new();
    for entry in table.entries() {
        if takes(&entry.name, &entry.node)? {
            continue;
        }
        let problem = |error: StoreError| Problem { line: entry.line, text: format!("`{}`: {error}", entry.name) };
        let text = || match &entry.node.value {
            RawValue::Text(text) => Ok(text.as_str()),
            other => Err(config(format!("{}: expected a text", other.kind()))),
        };
        settings = match entry.name.as_str() {
            "facility" => settings.facility(text().and_then(Facility::from_name).map_err(problem)?),
            // `level` is Pryv's word.
            "severity" | "level" if settings.severity.is_none() => {
                settings.severity(text().and_then(Severity::from_name).map_err(problem)?)
            }
            "severity" | "level" => {
                return Err(problem(config("`severity` and `level` are the same: give one of them")));
            }
            "template" => settings.template(text().and_then(Template::new).map_err(problem)?),
            name => {
                let name = excerpt(name);
                return Err(Problem {
                    line: entry.line,
                    text: format!("{name:?} is unknown: expected {KEYS}; `types` at the top"),
                });
            }
        };
    }
    Ok(settings)
}

fn check_table(node: &SpannedValue, expected: &str) -> Result<(), Problem> {
    match &node.value {
        RawValue::Table(_) => Ok(()),
        other => Err(Problem { line: node.line, text: format!("{}: expected {expected}", other.kind()) }),
    }
}

fn unreadable(error: FileError) -> StoreError {
    let FileError { line, problem, source } = error;
    let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
    let error = config(format!("the file of `formats`{line}: {problem}"));
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AuditEvent;

    fn read_as(extension: &str, text: &str) -> Result<SyslogSettings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("formats.{extension}"));
        std::fs::write(&path, text).unwrap();
        SyslogSettings::unix("/dev/log").with_file(&path).map_err(|error| error.to_string())
    }

    fn message(settings: &SyslogSettings, event_type: EventType) -> String {
        settings.message(&AuditEvent::new(event_type))
    }

    #[test]
    fn the_settings_of_pryv_work_as_they_are() {
        let given = r#"{
            "template": "{userid} {type} createdBy:{createdBy} {streamIds} {content}",
            "level": "notice"
        }"#;
        let message = message(&read_as("json", given).unwrap(), EventType::UPLOAD);
        assert!(message.starts_with("<133>"), "{message}");
        assert!(
            message.ends_with("]:  upload createdBy: [\"action-upload\"] {\"action\":\"upload\",\"source\":{\"ip\":null,\"name\":\"http\"}}"),
            "{message}"
        );
    }

    #[test]
    fn types_have_their_own() {
        let toml = "severity = 'err'\nfacility = 'mail'\n[types.auth]\nfacility = 'authpriv'\ntemplate = 'x'\n[types.'a.b']\nlevel = 'debug'";
        let yaml =
            "severity: err\nfacility: mail\ntypes:\n  auth: {facility: authpriv, template: x}\n  a.b: {level: debug}";
        for settings in [read_as("toml", toml).unwrap(), read_as("yaml", yaml).unwrap()] {
            assert!(message(&settings, EventType::UPLOAD).starts_with("<19>"));
            let auth = message(&settings, EventType::AUTH);
            assert!(auth.starts_with("<83>") && auth.ends_with("]: x"), "{auth}");
            assert!(message(&settings, EventType::new("a.b").unwrap()).starts_with("<23>"));
        }
    }

    #[test]
    fn a_type_has_its_own_before_those_of_the_url() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("formats.toml");
        std::fs::write(&path, "facility = 'mail'\n[types.auth]\nfacility = 'authpriv'").unwrap();
        let settings = SyslogSettings::unix("/dev/log").facility(Facility::Daemon).with_file(&path).unwrap();
        assert!(message(&settings, EventType::UPLOAD).starts_with("<29>"));
        assert!(message(&settings, EventType::AUTH).starts_with("<85>"));
        let own = TypeSettings::new().facility(Facility::Cron);
        let settings = SyslogSettings::unix("/dev/log").event_type(EventType::AUTH, own).with_file(&path).unwrap();
        assert!(message(&settings, EventType::AUTH).starts_with("<77>"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, named) in [
            ("severity: loud", "line 1: `severity`: "),
            ("\nlevel: notice\nseverity: notice", "line 3: `severity`: "),
            ("facility: 7", "a number: expected a text"),
            ("template: '{user}'", "line 1: `template`: "),
            ("types:\n  Auth: {}", "line 2: "),
            ("types:\n  auth:\n    tempalte: x", "line 3: \"tempalte\" is unknown"),
            ("types: []", "a list: expected a table"),
            ("types:\n  auth:\n    types: {}", "\"types\" is unknown"),
            ("[1]", "a list: expected a table"),
            ("a: [", "not YAML"),
        ] {
            let error = read_as("yaml", text).unwrap_err();
            assert!(error.contains(named), "{text:?}: {error}");
        }
        assert!(read_as("conf", "").unwrap_err().contains(".toml"));
        let missing = SyslogSettings::unix("/dev/log").with_file(Path::new("/nonexistent/x.toml"));
        assert!(missing.unwrap_err().to_string().contains("cannot be read"));
    }
}
