//! The treatment of a request whose event cannot be written.

/// The treatment of a request whose event cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "a request fails, or it does not")]
pub enum FailMode {
    /// It fails: no action without a record.
    #[default]
    Closed,
    /// It is served without a record; the operator is told.
    Open,
}
