//! Verifying a sealed store.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::finding::{Damage, Report};
use super::key_chain::{KeyChain, SignerAges};
use super::leaf_hash::{leaf_hash, surviving};
use super::removal_check::Removals;
use super::stored_tree::{edge, tiles_of};
use super::tree_check::TreeCheck;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::seal::{
    Checkpoint, Hash, NoteError, SignedNote, TreeEdge, VerifierKey, inclusion_nodes, inclusion_proof, verify_inclusion,
};
use crate::store::{AuditStore, ForeignRow, Sealing, StoreError, StoreErrorKind, StoredCheckpoint, StoredLeaf};

/// The time after which an event without a leaf is damage: a minute.
pub const UNSEALED_LIMIT: Duration = Duration::from_secs(60);
/// The time for which a verification waits for a sealer, if events lack leaves: three seconds.
pub const SEALER_WAIT: Duration = Duration::from_secs(3);

/// Compares every event of a store with its leaf, the leaves with the checkpoints, and these with the public keys.
///
/// Streams: the memory does not grow with the log. Sealers and writers may go on meanwhile.
pub struct Verifier<'s> {
    store: &'s dyn AuditStore,
    keys: Vec<VerifierKey>,
    retention_keys: Vec<VerifierKey>,
    kept: Vec<Checkpoint>,
    kept_notes: Vec<SignedNote>,
    since: Option<Checkpoint>,
    unsealed_limit: Duration,
    sealer_wait: Duration,
}

impl<'s> Verifier<'s> {
    /// A verifier of this store that trusts these keys.
    pub fn new(store: &'s dyn AuditStore, keys: Vec<VerifierKey>) -> Self {
        Self {
            store,
            keys,
            retention_keys: Vec::new(),
            kept: Vec::new(),
            kept_notes: Vec::new(),
            since: None,
            unsealed_limit: UNSEALED_LIMIT,
            sealer_wait: SEALER_WAIT,
        }
    }

    /// Adds a checkpoint that was kept elsewhere: the log must have grown from it. Without one, nobody can tell a whole log
    /// from one that was cut back to an earlier state of its own.
    #[must_use]
    pub fn against(mut self, checkpoint: Checkpoint) -> Self {
        self.kept.push(checkpoint);
        self
    }

    /// Adds a signed checkpoint that was kept elsewhere: the log must have grown from it, as for [`against`](Self::against). Of larger trees, a checkpoint by a key
    /// that was replaced before the note was signed is damage.
    #[must_use]
    pub fn against_note(mut self, note: SignedNote) -> Self {
        self.kept_notes.push(note);
        self
    }

    /// Verifies what came after this checkpoint, and that the log has grown from it. What came before is not looked at: events of the tree of
    /// the checkpoint may be edited or missing, and older ones may have been put in.
    #[must_use]
    pub fn since(mut self, checkpoint: Checkpoint) -> Self {
        self.since = Some(checkpoint);
        self
    }

    /// Adds a retention key: purges that it has signed account for missing events. Without one, every missing event is damage.
    #[must_use]
    pub fn retention_key(mut self, key: VerifierKey) -> Self {
        self.retention_keys.push(key);
        self
    }

    /// Sets the time after which an event without a leaf is damage: [`UNSEALED_LIMIT`] by default.
    #[must_use]
    pub fn unsealed_limit(mut self, limit: Duration) -> Self {
        self.unsealed_limit = limit;
        self
    }

    /// Sets the time for which a verification waits for a sealer, if events lack leaves: [`SEALER_WAIT`] by default.
    #[must_use]
    pub fn sealer_wait(mut self, wait: Duration) -> Self {
        self.sealer_wait = wait;
        self
    }

    /// Verifies everything. `progress` is called with the number of leaves that were checked, a few times a second.
    ///
    /// # Errors
    /// The store cannot be read, or keeps no seal. Damage is no error: it is in the report.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn verify(&self, mut progress: impl FnMut(u64)) -> Result<Report, StoreError> {
        let sealing = self.sealing()?;
        let mut report = Report::new();
        let chain = KeyChain::read(self.store.parts().reader, &self.keys).await?;
        let mut removals = Removals::read(sealing, &self.retention_keys, &chain, &mut report).await?;
        let (notes, ages) = self.open_kept_notes(&chain, &mut report);
        let mut checkpoints = Checkpoints::new(sealing, &chain, ages);
        let Some(mut tree) = self.begin(sealing, &mut checkpoints, &mut report).await? else { return Ok(report) };
        removals.skip_to(tree.size());
        let first = tree.size().max(1);
        let mut kept: VecDeque<&Checkpoint> =
            self.kept.iter().chain(&notes).filter(|kept| kept.size >= first).collect();
        kept.make_contiguous().sort_by_key(|kept| kept.size);
        // One may be that from which on the log is verified.
        compare_kept(&mut kept, &tree, &chain, &mut report);
        // The time of the newest event that is as it was sealed.
        let mut latest = None;
        loop {
            removals.begin_page();
            let page = sealing.leaves(tree.size(), PAGE).await?;
            let Some(last) = page.last().filter(|_| i64::try_from(tree.size()).is_ok()) else {
                checkpoints.read_through(u64::MAX, &mut report).await?;
                // A sealer may have gone on between the two reads.
                if checkpoints.are_beyond(tree.size()) && !sealing.leaves(tree.size(), 1).await?.is_empty() {
                    continue;
                }
                break;
            };
            // After the leaves, so that the checkpoint that came with them is there.
            checkpoints.read_through(last.index + 1, &mut report).await?;
            let events = events_of(sealing, &page, &mut report).await?;
            for leaf in &page {
                if leaf.index != tree.size() {
                    tree.note_gap(leaf.index, &mut report);
                }
                removals.note_leaf(leaf, &mut report);
                let is_intact;
                let read = Read::of(leaf, events.get(&leaf.event_id)).settled(sealing).await?;
                let (leaf, computed) = (&*read.leaf, read.computed);
                match read.event.as_deref() {
                    Some(event) => {
                        removals.check_event(leaf, event, &mut report).await?;
                        let is_compared = removals.judge_present(leaf, &mut report);
                        is_intact = is_compared
                            && removals.judge_erased(leaf, event, &mut report).await?
                            && computed.is_some_and(|computed| *computed.as_bytes() == leaf.hash);
                        tree.push(leaf, if is_compared { computed } else { None }, &mut report);
                    }
                    None => {
                        is_intact = false;
                        removals.judge_gone(leaf, &mut report).await?;
                        tree.push(leaf, None, &mut report);
                    }
                }
                if is_intact {
                    report.intact += 1;
                    report.erased += u64::from(surviving(&leaf.seed).is_some());
                    latest = latest.max(read.event.as_deref().map(|event| event.created_at));
                }
                while let Some(checkpoint) = checkpoints.take_through(tree.size()) {
                    if checkpoint.size == tree.size() {
                        tree.compare(&checkpoint, &mut report);
                        (report.origin, report.root) = (Some(checkpoint.origin), Some(checkpoint.root));
                        report.size = checkpoint.size;
                    }
                }
                compare_kept(&mut kept, &tree, &chain, &mut report);
            }
            check_nodes(sealing, &mut tree, &mut report).await?;
            progress(tree.size());
        }
        let size = tree.size();
        removals.finish(&mut report).await?;
        if let Some(checkpoint) = checkpoints.take_last() {
            // Every event had a leaf that is older than this.
            latest = Some(Timestamp::MAX);
            let text = format!("{} leaves were signed, and {size} are there: the end is gone", checkpoint.size);
            report.add(Damage::TailCut, Some(size), None, text);
        } else if report.size < size && checkpoints.last_size < size {
            let newest = checkpoints.last_size;
            let text =
                format!("{size} leaves are there, and the newest checkpoint is of {newest}: later ones are gone");
            report.add(Damage::TailCut, Some(newest), None, text);
        }
        if let Some(kept) = kept.back() {
            let text = format!(
                "a checkpoint of {} leaves was kept, and {size} are there: the end is gone{}",
                kept.size,
                chain.loss_of(kept)
            );
            report.add(Damage::TailCut, Some(size), None, text);
        }
        tree.finish(&mut report);
        check_foreign_rows(sealing, &mut report).await?;
        self.check_unsealed(sealing, latest, &mut report).await?;
        report.findings.sort_by_key(|finding| finding.index.unwrap_or(u64::MAX));
        Ok(report)
    }

    /// Opens the notes that were kept. Returns their checkpoints, and the ages of their keys.
    fn open_kept_notes(&self, chain: &KeyChain, report: &mut Report) -> (Vec<Checkpoint>, SignerAges) {
        let (mut checkpoints, mut ages) = (Vec::new(), Vec::new());
        for note in &self.kept_notes {
            match Checkpoint::open(note, chain.keys()) {
                Ok(checkpoint) => {
                    ages.push((checkpoint.size, chain.age_of(note)));
                    checkpoints.push(checkpoint);
                }
                Err(error) => {
                    report.add(Damage::WrongKey, None, None, format!("the checkpoint that was kept: {error}"));
                }
            }
        }
        (checkpoints, SignerAges::new(ages))
    }

    /// Begins with the tree of the given checkpoint. None if the store has no such tree.
    async fn begin(
        &self,
        sealing: &dyn Sealing,
        checkpoints: &mut Checkpoints<'_>,
        report: &mut Report,
    ) -> Result<Option<TreeCheck>, StoreError> {
        let Some(since) = self.since.as_ref().filter(|since| since.size > 0) else {
            return Ok(Some(TreeCheck::from(TreeEdge::new())));
        };
        (report.origin, report.root) = (Some(since.origin.clone()), Some(since.root));
        (report.since, report.size, checkpoints.last_size) = (since.size, since.size, since.size);
        let is_there = !sealing.leaves(since.size - 1, 1).await?.is_empty();
        match edge(sealing, since.size).await? {
            Ok(edge) if edge.root() == since.root => return Ok(Some(TreeCheck::from(edge))),
            Ok(_) => {
                let text = format!("the first {} leaves are not those of the checkpoint", since.size);
                report.add(Damage::Fork, None, None, text);
            }
            Err(_) if !is_there => {
                let text = format!("the checkpoint has {} leaves, and the log has fewer: the end is gone", since.size);
                report.add(Damage::TailCut, None, None, text);
            }
            Err(error) => report.add(Damage::SealEdited, None, None, format!("the tree of the checkpoint: {error}")),
        }
        Ok(None)
    }

    /// Verifies one event: that it is the one that was sealed, and that its leaf is in the tree of the newest checkpoint. None if the
    /// event has no leaf.
    ///
    /// Reads a few hundred rows, whatever the size of the log.
    ///
    /// # Errors
    /// The store cannot be read, or keeps no seal.
    pub async fn verify_event(&self, id: EventId) -> Result<Option<Report>, StoreError> {
        let sealing = self.sealing()?;
        let (Some(leaf), Some(newest)) = (sealing.leaf_of(id).await?, sealing.newest_checkpoint().await?) else {
            return Ok(None);
        };
        let mut report = Report::new();
        let chain = KeyChain::read(self.store.parts().reader, &self.keys).await?;
        let mut removals = Removals::read(sealing, &self.retention_keys, &chain, &mut report).await?;
        removals.begin_page();
        let event = events_of(sealing, std::slice::from_ref(&leaf), &mut report).await?.remove(&id);
        let read = Read::of(&leaf, event.as_ref()).settled(sealing).await?;
        let (leaf, event) = (&*read.leaf, read.event.as_deref());
        match event {
            Some(event) => {
                removals.check_event(leaf, event, &mut report).await?;
                let is_compared = removals.judge_present(leaf, &mut report);
                let is_accounted = is_compared && removals.judge_erased(leaf, event, &mut report).await?;
                if is_compared && read.computed.is_none_or(|computed| *computed.as_bytes() != leaf.hash) {
                    let text =
                        format!("the event of leaf {} is not the one that was sealed, or its seed is not", leaf.index);
                    report.add(Damage::Edited, Some(leaf.index), Some(id), text);
                } else if is_accounted {
                    report.intact = 1;
                    report.erased = u64::from(surviving(&leaf.seed).is_some());
                }
            }
            None => removals.judge_gone(leaf, &mut report).await?,
        }
        report.checkpoints = 1;
        match open(&newest, chain.keys()) {
            Ok((checkpoint, note)) => {
                let (_, mut ages) = self.open_kept_notes(&chain, &mut report);
                ages.check(&chain, &note, checkpoint.size, &mut report);
                let nodes = inclusion_nodes(leaf.index, checkpoint.size);
                let tiles = tiles_of(sealing, nodes.as_deref().unwrap_or_default(), checkpoint.size).await?;
                let proven = inclusion_proof(leaf.index, checkpoint.size, &tiles).and_then(|proof| {
                    let hash = Hash::from_bytes(leaf.hash);
                    verify_inclusion(&hash, leaf.index, checkpoint.size, &proof, &checkpoint.root)
                });
                if let Err(error) = proven {
                    let text = format!("leaf {} is not in the tree that was signed: {error}", leaf.index);
                    report.add(Damage::SealEdited, Some(leaf.index), Some(id), text);
                }
                (report.size, report.root) = (checkpoint.size, Some(checkpoint.root));
                report.origin = Some(checkpoint.origin);
            }
            Err((damage, reason)) => {
                report.add(damage, None, None, format!("the checkpoint of {} leaves: {reason}", newest.size));
            }
        }
        Ok(Some(report))
    }

    fn sealing(&self) -> Result<&'s dyn Sealing, StoreError> {
        let name = self.store.capabilities().name;
        self.store.parts().sealing.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, name, "verifying"))
    }

    /// Counts the events without a leaf. One that is too old is damage, unless it gets a leaf now.
    async fn check_unsealed(
        &self,
        sealing: &dyn Sealing,
        latest: Option<Timestamp>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let limit = i64::try_from(self.unsealed_limit.as_micros()).unwrap_or(i64::MAX);
        let mut position = match &self.since {
            Some(_) => sealing.newest_checkpoint().await?.map_or(String::new(), |newest| newest.position),
            None => String::new(),
        };
        let mut suspects: Vec<(EventId, Timestamp)> = Vec::new();
        loop {
            let found = sealing.unsealed(&position, PAGE).await?;
            report.unsealed += found.events.len() as u64;
            let now = Timestamp::now().as_micros();
            // One of the future would be young for years.
            let old =
                found.events.iter().filter(|event| now.abs_diff(event.created_at.as_micros()) > limit.unsigned_abs());
            let room = MAX_SUSPECTS.saturating_sub(suspects.len());
            suspects.extend(old.take(room).map(|event| (event.event_id, event.created_at)));
            // A store in memory knows no position.
            if !found.has_more || found.position == position {
                break;
            }
            position = found.position;
        }
        let has_grown = self.wait_for_leaves(sealing, &mut suspects).await?;
        let mut oldest: Option<(EventId, Timestamp)> = None;
        for (id, at) in suspects {
            let is_behind = latest.is_some_and(|latest| latest.as_micros().saturating_sub(at.as_micros()) > limit);
            if is_behind && !has_grown {
                let text = format!("the event {id} has no leaf, and later ones have");
                report.add(Damage::Inserted, None, Some(id), text);
            } else if oldest.is_none_or(|(_, oldest)| at < oldest) {
                oldest = Some((id, at));
            }
        }
        if let Some((id, at)) = oldest {
            let why = match has_grown {
                true => "the sealer has not come to it, or it was put in past the log",
                false => "the sealer does not run, or passes it over",
            };
            report.add(Damage::UnsealedTooLong, None, Some(id), format!("an event of {at} has no leaf: {why}"));
        }
        Ok(())
    }

    /// Gives a sealer the time to come to these events, and leaves those that have no leaf then. Returns true if the tree has grown.
    ///
    /// An event may be committed late, or wait for its turn in a backlog:
    ///
    /// - t0: the transaction of an event of this morning is committed, beside later events that have leaves.
    /// - t0 + 0.1 s: a verification finds it without a leaf.
    /// - t0 + 1 s: the sealer's next step gives it one.
    async fn wait_for_leaves(
        &self,
        sealing: &dyn Sealing,
        suspects: &mut Vec<(EventId, Timestamp)>,
    ) -> Result<bool, StoreError> {
        if suspects.is_empty() {
            return Ok(false);
        }
        let size = async || Ok::<_, StoreError>(sealing.newest_checkpoint().await?.map_or(0, |newest| newest.size));
        let before = size().await?;
        let until = Instant::now() + self.sealer_wait;
        loop {
            let mut sealed = HashSet::new();
            for chunk in suspects.chunks(PAGE) {
                let ids: Vec<EventId> = chunk.iter().map(|(id, _)| *id).collect();
                sealed.extend(sealing.leaf_indexes(&ids).await?.into_iter().map(|(id, _)| id));
            }
            suspects.retain(|(id, _)| !sealed.contains(id));
            if suspects.is_empty() || Instant::now() >= until {
                return Ok(size().await? > before);
            }
            tokio::time::sleep(SEALER_POLL.min(self.sealer_wait)).await;
        }
    }
}

impl fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("store", &self.store).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Returns the events of leaves. Reports those that are there twice.
async fn events_of(
    sealing: &dyn Sealing,
    page: &[StoredLeaf],
    report: &mut Report,
) -> Result<HashMap<EventId, AuditEvent>, StoreError> {
    let ids: Vec<EventId> = page.iter().map(|leaf| leaf.event_id).collect();
    let mut events = HashMap::with_capacity(ids.len());
    for event in sealing.events(&ids).await? {
        let id = event.event_id;
        if events.insert(id, event).is_some() {
            let index = page.iter().find(|leaf| leaf.event_id == id).map(|leaf| leaf.index);
            report.add(
                Damage::Inserted,
                index,
                Some(id),
                "the store has two events with one id, and one leaf".to_owned(),
            );
        }
    }
    Ok(events)
}

/// Reports rows that no other read of a verification sees.
async fn check_foreign_rows(sealing: &dyn Sealing, report: &mut Report) -> Result<(), StoreError> {
    for row in sealing.foreign_rows(Report::MAX_FINDINGS).await? {
        match row {
            ForeignRow::Leaf { number } => {
                report.add(Damage::SealEdited, None, None, format!("a leaf has the number {number}: the first has 0"));
            }
            ForeignRow::Event { text } => report.add(Damage::Inserted, None, None, text),
        }
    }
    Ok(())
}

/// A leaf and its event, as they were read one after the other.
struct Read<'p> {
    leaf: Cow<'p, StoredLeaf>,
    event: Option<Cow<'p, AuditEvent>>,
    /// The hash of the leaf that the two make.
    computed: Option<Hash>,
}

impl<'p> Read<'p> {
    fn of(leaf: &'p StoredLeaf, event: Option<&'p AuditEvent>) -> Self {
        let computed = event.map(|event| computed(event, leaf));
        Self { leaf: Cow::Borrowed(leaf), event: event.map(Cow::Borrowed), computed }
    }

    /// Reads both again if they do not fit: an erasure may have changed them between the two reads.
    ///
    /// - t0: the leaf is read, with the seed of the whole event.
    /// - t1: an erasure blanks a cell of the event, and puts the salts that are left in place of the seed.
    /// - t2: the event is read, without the value.
    async fn settled(mut self, sealing: &dyn Sealing) -> Result<Self, StoreError> {
        while self.computed.is_some_and(|computed| *computed.as_bytes() != self.leaf.hash) {
            let again = sealing.leaves(self.leaf.index, 1).await?.into_iter().next();
            let Some(again) = again.filter(|again| again.index == self.leaf.index && again.seed != self.leaf.seed)
            else {
                break;
            };
            let event = sealing.events(&[again.event_id]).await?.into_iter().next();
            self.computed = event.as_ref().map(|event| computed(event, &again));
            (self.leaf, self.event) = (Cow::Owned(again), event.map(Cow::Owned));
        }
        Ok(self)
    }
}

/// Returns the hash of the leaf that an event and its seed make.
fn computed(event: &AuditEvent, leaf: &StoredLeaf) -> Hash {
    // No leaf has the hash of an empty tree.
    leaf_hash(event, &leaf.seed).unwrap_or_else(Hash::of_empty_tree)
}

/// Compares the tree with the checkpoints of its size that were kept elsewhere.
fn compare_kept(kept: &mut VecDeque<&Checkpoint>, tree: &TreeCheck, chain: &KeyChain, report: &mut Report) {
    while let Some(checkpoint) = kept.pop_front_if(|kept| kept.size <= tree.size()) {
        if tree.root().is_some_and(|root| root != checkpoint.root) {
            let size = checkpoint.size;
            let lost = chain.loss_of(checkpoint);
            let text = format!("the first {size} leaves are not those of the checkpoint that was kept{lost}");
            report.add(Damage::Fork, None, None, text);
        }
    }
}

/// Compares the stored nodes with those that follow from the leaves.
async fn check_nodes(sealing: &dyn Sealing, tree: &mut TreeCheck, report: &mut Report) -> Result<(), StoreError> {
    let mut by_level: HashMap<u8, Vec<(u64, Hash)>> = HashMap::new();
    for (node, hash) in tree.take_nodes() {
        by_level.entry(node.level / 8).or_default().push((node.index, hash));
    }
    for (level, computed) in by_level {
        let Some((first, _)) = computed.first() else { continue };
        let stored = sealing.nodes(level, *first, computed.len()).await?;
        let stored: HashMap<u64, [u8; 32]> = stored.into_iter().map(|node| (node.index, node.hash)).collect();
        for (index, hash) in computed {
            if stored.get(&index) != Some(hash.as_bytes()) {
                let first_leaf = index << (8 * u32::from(level));
                let text = format!("the node {index} of level {level} is missing or was changed");
                report.add(Damage::SealEdited, Some(first_leaf), None, text);
            }
        }
    }
    Ok(())
}

fn open(stored: &StoredCheckpoint, keys: &[VerifierKey]) -> Result<(Checkpoint, SignedNote), (Damage, String)> {
    let edited = |reason: String| (Damage::SealEdited, reason);
    let note: SignedNote = stored.note.parse().map_err(|error: crate::seal::SealError| edited(error.to_string()))?;
    match Checkpoint::open(&note, keys) {
        Ok(checkpoint) if checkpoint.size == stored.size => Ok((checkpoint, note)),
        Ok(checkpoint) => Err(edited(format!("it is signed for {} leaves", checkpoint.size))),
        Err(error @ NoteError::NoKnownSignature { .. }) => Err((Damage::WrongKey, error.to_string())),
        Err(error) => Err(edited(error.to_string())),
    }
}

/// The checkpoints of a store whose signatures are right, in the order of their sizes.
struct Checkpoints<'v> {
    sealing: &'v dyn Sealing,
    chain: &'v KeyChain,
    ages: SignerAges,
    read: VecDeque<Checkpoint>,
    /// The size of the last checkpoint that was read, right or wrong.
    last_size: u64,
}

impl<'v> Checkpoints<'v> {
    fn new(sealing: &'v dyn Sealing, chain: &'v KeyChain, ages: SignerAges) -> Self {
        Self { sealing, chain, ages, read: VecDeque::new(), last_size: 0 }
    }

    /// Reads the checkpoints up to this size, and reports those that are wrong.
    async fn read_through(&mut self, size: u64, report: &mut Report) -> Result<(), StoreError> {
        while self.last_size < size {
            let page = self.sealing.checkpoints(self.last_size, CHECKPOINTS).await?;
            let is_last = page.len() < CHECKPOINTS;
            for stored in page {
                self.last_size = stored.size;
                report.checkpoints += 1;
                match open(&stored, self.chain.keys()) {
                    Ok((checkpoint, note)) => {
                        self.ages.check(self.chain, &note, stored.size, report);
                        self.read.push_back(checkpoint);
                    }
                    Err((damage, reason)) => {
                        let text = format!("the checkpoint of {} leaves: {reason}", stored.size);
                        report.add(damage, None, None, text);
                    }
                }
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Takes the next checkpoint, if it is of at most this size.
    fn take_through(&mut self, size: u64) -> Option<Checkpoint> {
        self.read.pop_front_if(|checkpoint| checkpoint.size <= size)
    }

    /// Returns true if a checkpoint of a larger tree was read.
    fn are_beyond(&self, size: u64) -> bool {
        self.read.back().is_some_and(|checkpoint| checkpoint.size > size)
    }

    fn take_last(&mut self) -> Option<Checkpoint> {
        self.read.pop_back()
    }
}

const PAGE: usize = 2048;
const CHECKPOINTS: usize = 256;
/// A mebibyte and a half.
const MAX_SUSPECTS: usize = 65_536;
const SEALER_POLL: Duration = Duration::from_millis(250);
