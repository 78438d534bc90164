//! The policy: rules that select requests, and how each is recorded. Its only I/O is reading a policy file.
//!
//! A [`Rule`] names requests, the ends that are worth a record, and how the record is written. An [`AuditPolicy`] is
//! an ordered list of rules, the first that fits decides, plus an include/exclude filter over event types and the
//! [`CaptureConfig`] settings: what is taken from a request, and what is hidden.
//!
//! ```
//! use http::Method;
//! use tower_audit::{AuditPolicy, EventType, RecordWhen, Rule};
//!
//! let reset = Rule::new(EventType::new("user.reset")?).methods(["POST"]).paths(["/users/{id}/reset"]);
//! let policy = AuditPolicy::builder()
//!     .rule(reset.when(RecordWhen::effect_possible()))
//!     .preset_mutations()
//!     .base_path("/cgi")
//!     .build()?;
//!
//! let explanation = policy.explain(&Method::POST, "/cgi/users/7//%72eset/");
//! assert_eq!(
//!     explanation.to_string(),
//!     "POST /cgi/users/7//%72eset/: audited as `user.reset`, `started` before the handler\n  \
//!      rule 1 `user.reset`: yes, by `/users/{id}/reset`, target `users/7`\n  \
//!      rule 2 `http.mutation`: yes, by `/{*path}`"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a path is matched
//! A proxy or the app may decode a path, resolve its dots, or take `\` for `/`, in any order. A rule matches if any plausible
//! reading of the path fits, so that no spelling gets around it; see [`Rule::paths`].

mod error;
mod fail_mode;

mod form;
mod method_set;
mod percent;
mod request_outcome;

mod path_variants;

mod path_parameters;
mod path_pattern;
mod secret_names;
mod secret_values;

mod base_path;
mod capture_config;
mod decision;
mod matching_rules;
mod record_when;
mod rule_capture;
mod rule_target;

mod rule;

mod audit_policy;
mod builder;

mod explain;
mod path_target;
pub mod presets;

#[cfg(feature = "policy-file")]
mod file;

pub use audit_policy::AuditPolicy;
pub use builder::PolicyBuilder;
pub use capture_config::{ApiKeySource, CaptureConfig, ProxyHeader, QueryString, RequestPath};
pub(crate) use decision::Decision;
pub use error::PolicyError;
pub use explain::{ExplainedRule, Explanation, RuleResult};
pub use fail_mode::FailMode;
pub(crate) use form::form_pairs;
#[doc(hidden)]
pub use matching_rules::MatchingRules;
#[cfg(feature = "axum")]
pub(crate) use path_parameters::fits;
pub(crate) use path_target::RoutedPath;
pub use record_when::RecordWhen;
pub(crate) use request_outcome::RequestOutcome;
pub use rule::Rule;
pub use rule_capture::{BodyCapture, MAX_BODY_BYTES};
pub(crate) use secret_names::{HIDDEN, looks_like_credential};
