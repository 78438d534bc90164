//! Reading a policy from a TOML or YAML file, feature `policy-file`.

use std::path::Path;

use super::decode::{self, Language};
use crate::config_file::{FileError, SpannedValue, contents};
use crate::policy::error::Location;
use crate::policy::{AuditPolicy, PolicyError};

/// Reading a policy from a file, feature `policy-file`.
///
/// TOML and YAML files have the same keys. None is required, but a file with none of `preset`, `rules` and `declare`
/// is an error. An unknown key is one too.
///
/// | key | meaning |
/// |---|---|
/// | `preset` | `"mutations"` or `"ivre"`: adds the rules of [`presets`](crate::policy::presets) after those of the file, which are asked first |
/// | `base_path` | the prefix under which the app is mounted |
/// | `max_results` | a query with more results is oversize |
/// | `declare` | types that no rule has, but handlers name |
/// | `rules` | a list of rules, see below |
/// | `filter.include`, `filter.exclude` | event types, `resource.all`, `all` |
/// | `capture.trusted_proxies` | networks or addresses whose proxies are believed |
/// | `capture.proxy_header` | `"x-forwarded-for"` (the default) or `"forwarded"` |
/// | `capture.query_string` | the query string in `request_uri`: `"off"` (the default) or `"redacted"` |
/// | `capture.path` | the path there: `"redacted"` (the default: without parameters such as `{token}`), `"as-sent"` or `"template"` (without any parameter) |
/// | `capture.api_key` | the headers of which a digest is kept: `"both"` (the default), `"x-api-key"`, `"bearer"` or `"off"` |
/// | `capture.default_target` | the [target](crate::Rule::target) of an event that names none: the last parameter of its route, `true` (the default), or none, `false` |
/// | `capture.redact` | names whose values are hidden: of parameters of a query or a path, and of keys of `details` |
///
/// `docs/capture.md` lists the names that are hidden anyway.
///
/// The pepper is a secret and in no file: see [`with_pepper`](AuditPolicy::with_pepper). A rule has these keys:
///
/// | key | meaning |
/// |---|---|
/// | `type` | the type of the events; `upload` and `admin_action` bring the settings of their presets except `paths`; `auth` without `paths` has `when = "declared"`, with them the unsafe methods |
/// | `methods` | a list, or `"any"` (the default), or `"unsafe"` |
/// | `paths` | a list of patterns, as [`Rule::paths`](crate::Rule::paths) has them |
/// | `when` | `"always"` (the default), `"success"`, `"effect_possible"`, `"abnormal"`, `"declared"`, a status such as `404`, a range such as `"4xx"` or `"200-299"`, or a list of any of these |
/// | `write_ahead`, `body_end` | `true` or `false` (the default); `body_end` implies `write_ahead` |
/// | `target` | the target of the events, with parameters of the path: `"order/{id}"`; `"off"`: none; see [`Rule::target`](crate::Rule::target) |
/// | `domain`, `action` | the app's names for the action, both or neither: see [`Rule::classify`](crate::Rule::classify) |
/// | `headers`, `query` | lists of names: [`Rule::capture_headers`](crate::Rule::capture_headers), [`Rule::capture_query`](crate::Rule::capture_query) |
/// | `body` | `"digest"` or `"redacted"`: [`Rule::capture_body`](crate::Rule::capture_body) |
/// | `fail_mode` | `"closed"` (the default) or `"open"` |
impl AuditPolicy {
    /// Reads a policy in TOML.
    ///
    /// ```
    /// use tower_audit::AuditPolicy;
    ///
    /// let policy = AuditPolicy::from_toml(r#"
    ///     preset = "mutations"
    ///     [[rules]]
    ///     type = "user.reset"
    ///     methods = ["POST"]
    ///     paths = ["/users/{id}/reset"]
    ///     when = ["2xx", 404]
    /// "#)?;
    /// assert_eq!(policy.rules().len(), 2);
    ///
    /// let error = AuditPolicy::from_toml("preset = \"mutations\"\nbase_path = 7").unwrap_err();
    /// assert_eq!(error.to_string(), "line 2: key `base_path`: a number: expected a text");
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    ///
    /// # Errors
    /// If the text is not TOML, or no policy; the error names the line and the key.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        decode::policy(&SpannedValue::from_toml(text)?, Language::Toml)
    }

    /// Reads a policy in YAML.
    ///
    /// ```
    /// let policy = tower_audit::AuditPolicy::from_yaml("
    /// rules:
    ///   - type: upload
    ///     paths: [/import]
    ///     fail_mode: open
    /// ")?;
    /// assert!(policy.explain(&http::Method::POST, "/import").is_audited());
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    ///
    /// # Errors
    /// If the text is not YAML, or no policy; the error names the line and the key.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyError> {
        decode::policy(&SpannedValue::from_yaml(text)?, Language::Yaml)
    }

    /// Reads a policy from a file whose name ends in `.toml`, `.yaml` or `.yml`.
    ///
    /// # Errors
    /// If the file cannot be read or is larger than 1 MiB, or if its content is no policy; the error names the file,
    /// the line and the key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        let path = path.as_ref();
        let read = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Self::from_toml,
            Some("yaml" | "yml") => Self::from_yaml,
            _ => {
                let problem = "no policy file by its name: expected one that ends in `.toml`, `.yaml` or `.yml`";
                return Err(PolicyError::new(Location::default(), problem).in_file(path.display().to_string()));
            }
        };
        contents(path)
            .map_err(PolicyError::from)
            .and_then(|text| read(&text))
            .map_err(|error| error.in_file(path.display().to_string()))
    }
}

impl From<FileError> for PolicyError {
    fn from(error: FileError) -> Self {
        let FileError { line, problem, source } = error;
        let mut policy_error = Self::new(Location::default(), problem);
        if let Some(line) = line {
            policy_error = policy_error.on_line(line);
        }
        match source {
            Some(source) => policy_error.with_source(source),
            None => policy_error,
        }
    }
}
