//! The treatment of a request whose event cannot be written.

/// What becomes of a request whose event cannot be written.
///
/// ```
/// use tower_audit::{FailMode, Rule};
///
/// assert_eq!(Rule::upload().failing(), FailMode::Closed);
/// assert_eq!(Rule::upload().fail_mode(FailMode::Open).failing(), FailMode::Open);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailMode {
    /// It fails: no action without a record.
    #[default]
    Closed,
    /// It is served without a record; the operator is told.
    Open,
}
