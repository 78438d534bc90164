//! The result of a purge.

/// The result of a purge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeReport {
    /// The number of deleted events.
    pub deleted: u64,
    /// The number of events that the run selected for each rule, in the order of the rules. Their sum is greater than
    /// `deleted` if another purge ran at the same time.
    pub rules: Vec<u64>,
    /// The number of selected events that stay because they have no leaf yet: a sealer was not there in time. 0 for a log without a seal.
    pub unsealed: u64,
}
