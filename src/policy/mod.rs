//! Which requests are audited, and how. Pure: the only I/O is the reading of a policy file.
//!
//! A [`Rule`] names requests, the ends that are worth a record, and how the record is written. An [`AuditPolicy`] is
//! an ordered list of rules, the first that fits decides, plus an include/exclude filter over event types and the
//! [`Capture`] settings: what is taken from a request, and what is hidden.
//!
//! ```
//! use tower_audit::{AuditPolicy, EventType, Rule, When};
//!
//! let policy = AuditPolicy::builder()
//!     .rule(Rule::new(EventType::new("user.reset")?).methods(["POST"]).paths(["/users/{id}/reset"]).write_ahead(true))
//!     .preset()
//!     .mount("/cgi")
//!     .max_results(10_000)
//!     .build()?;
//!
//! let candidates = policy.candidates(&http::Method::POST, "/cgi/users/7//%72eset/");
//! assert_eq!(policy.write_ahead(candidates), Some(0));
//! assert!(policy.candidates(&http::Method::GET, "/cgi/users/7").is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a path is matched
//! The app behind the layer may read a path in another way than this crate: a router may match it raw or decoded,
//! with `..` resolved or left in place. A rule therefore matches if *any* plausible reading of the path fits, so that
//! no spelling gets around it; see [`Rule::paths`].

mod audit_policy;
mod builder;
mod candidates;
mod capture;
mod decision;
mod error;
mod fail_mode;
#[cfg(feature = "policy-file")]
mod file;
mod filter;
mod method_set;
mod mount;
mod path;
mod path_parameters;
mod pattern;
mod redact;
mod rule;
mod when;

pub use audit_policy::AuditPolicy;
pub use builder::PolicyBuilder;
pub use candidates::Candidates;
pub use capture::{ApiKeySource, Capture, ProxyHeader, QueryString, RequestPath};
pub use decision::{Decision, Ended};
pub use error::PolicyError;
pub use fail_mode::FailMode;
pub use rule::Rule;
pub use when::When;
