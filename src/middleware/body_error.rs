//! The error of an audited body.

/// The error of an audited response's body: the inner body's own, or a failed write of the event at its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
