//! Diagnostics of a store.

/// Something that an operator should know of a store: what [`AuditStore::diagnose`](super::AuditStore::diagnose) finds.
///
/// No text of it has a connection string in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The subject, in a word.
    pub subject: &'static str,
    /// The message.
    pub message: String,
    /// A remedy, if there is one.
    pub hint: Option<String>,
}

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "reports have a line for each, and an order")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Events are kept; something should be seen to.
    Warning,
    /// Events are not kept, not durable, or not safe.
    Error,
}

impl Diagnostic {
    /// Something that is as it should be.
    pub fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, subject, message: text.into(), hint: None }
    }

    /// Tables of the seal that are gone, beside others that are there.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", all(feature = "jsonl", unix)))]
    pub(crate) fn of_missing_seal(tables: &[impl AsRef<str>]) -> Option<Self> {
        let names: Vec<&str> = tables.iter().map(AsRef::as_ref).collect();
        (!names.is_empty()).then(|| {
            Self::error(
                "seal",
                format!("tables of the seal are gone: {}", names.join(", ")),
                "keep the database as it is, and bring these tables back from a backup: without them nothing is sealed and nothing is proven",
            )
        })
    }

    /// Something to be seen to, and how.
    pub fn warning(subject: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, subject, message: text.into(), hint: Some(remedy.into()) }
    }

    /// Something that is wrong, and what to do about it.
    pub fn error(subject: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, subject, message: text.into(), hint: Some(remedy.into()) }
    }
}
