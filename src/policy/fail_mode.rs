//! The treatment of a request whose event cannot be written.

/// The treatment of a request whose event cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailMode {
    /// It fails: no action without a record.
    #[default]
    Closed,
    /// It is served without a record; the operator is told.
    Open,
}
