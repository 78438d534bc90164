//! The result of a verification.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::event::EventId;
use crate::seal::Hash;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Damage {
    /// An event is another than the one that was sealed, or its seed is.
    Edited,
    /// A sealed event is gone, and no signed purge accounts for it.
    Missing,
    /// An event has no leaf, although the sealer went on after its time: it was put into the store past the log.
    Inserted,
    /// Leaves have changed their places.
    Reordered,
    /// The end of the tree is gone: leaves, or the checkpoints over them, or the store is older than a checkpoint that was kept.
    TailCut,
    /// There is a checkpoint of another history, rightly signed.
    Fork,
    /// A checkpoint is signed by none of the given keys.
    WrongKey,
    /// Events have no leaf for longer than the limit: the sealer does not run.
    UnsealedTooLong,
    /// Leaves, nodes, checkpoints or signed removals were changed, or nodes or removals are missing.
    SealEdited,
    /// An event was purged with its seed, and no signed purge accounts for it.
    PurgeUnaccounted,
    /// A purge was claimed without the retention key: an event that records one, or a signed removal.
    PurgeForged,
    /// Purged events are there again with their seeds: from an older copy of the store.
    PurgeRolledBack,
    /// A purged event was put in again.
    Reinserted,
    /// Cells were erased that no signed erasure lists, an erased cell has a value, or an event records an erasure that the retention key has not
    /// signed.
    ErasureForged,
    /// Erased cells are there again with their salts: from an older copy of the store.
    ErasureRolledBack,
}

impl Damage {
    /// Returns the name, as in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::TailCut => "tail_cut",
            Self::Fork => "fork",
            Self::WrongKey => "wrong_key",
            Self::UnsealedTooLong => "unsealed_too_long",
            Self::SealEdited => "seal_edited",
            Self::PurgeUnaccounted => "purge_unaccounted",
            Self::PurgeForged => "purge_forged",
            Self::PurgeRolledBack => "purge_rolled_back",
            Self::Reinserted => "reinserted",
            Self::ErasureForged => "erasure_forged",
            Self::ErasureRolledBack => "erasure_rolled_back",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Damage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of damage.
    pub damage: Damage,
    /// The index of the leaf, if it is about one.
    pub index: Option<u64>,
    /// The event, if it is about one.
    pub event_id: Option<EventId>,
    /// The finding in words.
    pub text: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The origin of the log; none if there is no checkpoint that can be trusted.
    pub origin: Option<String>,
    /// The number of leaves of the checkpoint from which on the log was verified; 0 for all of it.
    pub since: u64,
    /// The number of leaves of the newest checkpoint.
    pub size: u64,
    /// The root of the newest checkpoint.
    #[serde(serialize_with = "text")]
    pub root: Option<Hash>,
    /// The number of checkpoints that were checked.
    pub checkpoints: u64,
    /// The number of events that are as they were sealed.
    pub intact: u64,
    /// The number of leaves whose events signed purges account for.
    pub purged: u64,
    /// The number of intact events of which signed erasures have blanked cells.
    pub erased: u64,
    /// The number of events without a leaf, those of the last seconds included.
    pub unsealed: u64,
    /// The number of findings.
    pub damaged: u64,
    /// The first findings, at most [`MAX_FINDINGS`](Self::MAX_FINDINGS), the first of each kind among them.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The largest number of findings in a report.
    pub const MAX_FINDINGS: usize = 100;

    pub(super) fn new() -> Self {
        Self {
            origin: None,
            since: 0,
            size: 0,
            root: None,
            checkpoints: 0,
            intact: 0,
            purged: 0,
            erased: 0,
            unsealed: 0,
            damaged: 0,
            findings: Vec::new(),
        }
    }

    /// Returns true if there is a checkpoint that a given key has signed, and nothing is wrong. Nobody vouches for an empty store.
    pub fn is_intact(&self) -> bool {
        self.damaged == 0 && self.origin.is_some()
    }

    pub(super) fn add(&mut self, damage: Damage, index: Option<u64>, event_id: Option<EventId>, text: String) {
        self.damaged += 1;
        let finding = Finding { damage, index, event_id, text };
        if self.findings.len() < Self::MAX_FINDINGS {
            return self.findings.push(finding);
        }
        // A hundred of one kind, which anyone who appends can make, do not hide the first of another.
        let count = |kind: Damage| self.findings.iter().filter(|finding| finding.damage == kind).count();
        if count(damage) == 0
            && let Some(repeated) = self.findings.iter().rposition(|finding| count(finding.damage) > 1)
        {
            self.findings[repeated] = finding;
        }
    }
}

fn text<S: Serializer>(hash: &Option<Hash>, serializer: S) -> Result<S::Ok, S::Error> {
    match hash {
        Some(hash) => serializer.collect_str(hash),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_findings_of_one_kind_do_not_hide_another() {
        let mut report = Report::new();
        for index in 0..500 {
            report.add(Damage::PurgeForged, Some(index), None, String::new());
        }
        report.add(Damage::Edited, Some(7), None, String::new());
        report.add(Damage::Edited, Some(8), None, String::new());
        let edited = report.findings.iter().filter(|finding| finding.damage == Damage::Edited);
        assert_eq!(edited.map(|finding| finding.index).collect::<Vec<_>>(), [Some(7)]);
        assert_eq!((report.findings.len(), report.damaged), (Report::MAX_FINDINGS, 502));
    }
}
