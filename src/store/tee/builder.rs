//! A builder for tees.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::NAME;
use super::acknowledgement::{AckRules, MAX_MEMBERS, OWN_EVENTS, bit, takers};
use super::lane::{Lane, LaneSettings, Role};
use super::member::TeeMember;
use super::quorum::{Quorum, Unmatched};
use super::store::TeeStore;
use super::tee_state::TeeState;
use crate::event::{EventType, EventTypeFilter, excerpt};
use crate::store::{Durability, StoreError, StoreErrorKind};

/// A builder for a tee, from [`TeeStore::builder`].
#[derive(Debug)]
#[must_use]
pub struct TeeBuilder {
    members: Vec<TeeMember>,
    quorum: Quorum,
    unmatched: Unmatched,
    read: Option<String>,
    declared: Vec<String>,
    durability: Durability,
    timeout: Duration,
    is_strict: bool,
}

/// The default time for a member's acknowledgement: the write timeout of a log.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

impl TeeStore {
    /// Returns a builder, which needs a [`member`](TeeBuilder::member).
    pub fn builder() -> TeeBuilder {
        TeeBuilder {
            members: Vec::new(),
            quorum: Quorum::default(),
            unmatched: Unmatched::default(),
            read: None,
            declared: Vec::new(),
            durability: Durability::default(),
            timeout: DEFAULT_TIMEOUT,
            is_strict: false,
        }
    }
}

impl TeeBuilder {
    /// Adds a member: at most 16.
    pub fn member(mut self, member: TeeMember) -> Self {
        self.members.push(member);
        self
    }

    /// Sets the quorum: [`Quorum::All`] by default.
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.quorum = quorum;
        self
    }

    /// Sets the treatment of an event that the filters leave too few counted members: [`Unmatched::Refuse`] by default.
    pub fn unmatched(mut self, unmatched: Unmatched) -> Self {
        self.unmatched = unmatched;
        self
    }

    /// Names the member that is read, purged by rules and sealed: the first readable one by default.
    pub fn read_from(mut self, member: impl Into<String>) -> Self {
        self.read = Some(member.into());
        self
    }

    /// Makes event types of the app known, so that filters may name them. Each must have enough counted members.
    pub fn declare(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.declared.extend(types.into_iter().map(Into::into));
        self
    }

    /// Sets the treatment of members that are not durable. Told to warn, readable ones count for the quorum although they promise
    /// nothing, and the tee promises nothing either. A sink never counts.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the time within which a member has to acknowledge an append, unless it has a
    /// [timeout](TeeMember::timeout) of its own: 5 s by default. [`close`](crate::store::AuditStore::close) takes nine tenths of it at the
    /// most, so that the log, which waits for its write timeout, learns the outcome.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Has [`health`](crate::store::AuditStore::health) fail as well while any member, a best-effort one too, is not well or has
    /// lost events. By default it is about the next event alone.
    pub fn strict_health(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// Builds the tee.
    ///
    /// # Errors
    /// If there is no member, or more than 16; if two have one name; if the quorum cannot be reached; if the member to read is not
    /// there, or cannot be read; if a filter names an unknown type, or leaves a declared type too few members.
    pub fn build(self) -> Result<TeeStore, StoreError> {
        self.checked().map_err(|hint| StoreError::new(StoreErrorKind::Config, NAME, "opening").with_hint(hint))
    }

    /// Builds the tee. An error is the hint.
    pub(super) fn checked(self) -> Result<TeeStore, String> {
        let Self { members, quorum, unmatched, read, declared, durability, timeout, is_strict } = self;
        check_names(&members)?;
        let declared = declared
            .iter()
            .map(|name| EventType::new(name).map_err(|error| format!("`declare`: {error}")))
            .collect::<Result<Vec<_>, _>>()?;
        let known = known_types(&declared);
        let lanes = members
            .into_iter()
            .map(|member| Ok(Arc::new(lane(member, &known, durability, timeout)?)))
            .collect::<Result<Box<[_]>, String>>()?;
        let routing = AckRules::new(&lanes, quorum, unmatched);
        check_quorum(&lanes, &routing, quorum)?;
        if unmatched == Unmatched::Refuse {
            check_types(&lanes, &routing, &declared)?;
        }
        let reading = match read {
            Some(name) => Some(named_reader(&lanes, &name)?),
            None => lanes.iter().position(|lane| lane.store.parts().reader.is_some()),
        };
        Ok(TeeStore {
            state: Arc::new(TeeState {
                is_durable: is_durable(&lanes, quorum),
                routing,
                reads_may_lag: reading
                    .and_then(|index| lanes.get(index))
                    .is_some_and(|lane| lane.role != Role::Required && !(lane.is_counted && quorum == Quorum::All)),
                reading,
                is_strict,
                close_timeout: timeout / 10 * 9,
                lanes,
                giving: Mutex::default(),
                undecided: Mutex::default(),
                discarded: AtomicU64::default(),
                is_closed: false.into(),
            }),
        })
    }
}

/// The longest name of a member, in bytes.
const MAX_NAME_BYTES: usize = 32;

fn check_names(members: &[TeeMember]) -> Result<(), String> {
    if members.is_empty() || members.len() > MAX_MEMBERS {
        return Err(format!("there are {} members: expected 1 to {MAX_MEMBERS}", members.len()));
    }
    for (index, TeeMember { name, .. }) in members.iter().enumerate() {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_plain) {
            let expected = format!("expected at most {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`");
            return Err(format!("{:?} is no name of a member: {expected}", excerpt(name)));
        }
        if members.iter().take(index).any(|earlier| earlier.name == *name) {
            return Err(format!("two members have the name `{name}`"));
        }
    }
    Ok(())
}

/// Makes the lane of a member.
fn lane(member: TeeMember, known: &[&EventType], durability: Durability, timeout: Duration) -> Result<Lane, String> {
    let TeeMember { name, store, role, timeout: own_timeout, max_events, max_bytes, include, exclude, is_open } =
        member;
    let filter = match (&include, &exclude) {
        (None, None) => None,
        _ => Some(EventTypeFilter::new(include.as_deref(), exclude.as_deref(), known).map_err(|error| {
            let list = error.entry.map(|(list, _)| format!("`{list}`: ")).unwrap_or_default();
            format!("member `{name}`, filter: {list}{}", error.problem)
        })?),
    };
    let is_sink = store.parts().reader.is_none();
    let may_count = store.capabilities().durable || durability == Durability::Warn && !is_sink;
    let role = role.unwrap_or(if may_count { Role::Counted } else { Role::BestEffort });
    let settings = LaneSettings {
        name: name.into(),
        store,
        role,
        is_counted: may_count && role != Role::BestEffort,
        timeout: own_timeout.unwrap_or(timeout),
        filter,
        max_events,
        max_bytes,
        is_open,
    };
    Ok(Lane::new(settings))
}

fn check_quorum(lanes: &[Arc<Lane>], routing: &AckRules, quorum: Quorum) -> Result<(), String> {
    let all = (0..lanes.len()).fold(0, |members, member| members | bit(member));
    if routing.need(all).is_some() {
        return Ok(());
    }
    let counted = lanes.iter().filter(|lane| lane.is_counted).count();
    let needed = quorum.of(u32::try_from(counted).unwrap_or(u32::MAX));
    Err(format!(
        "the quorum needs {needed} durable members, and {counted} count: a sink never does, and neither does a member that is \
         best effort"
    ))
}

/// Refuses filters that leave a declared type too few members.
fn check_types(lanes: &[Arc<Lane>], routing: &AckRules, declared: &[EventType]) -> Result<(), String> {
    let unmatched = declared.iter().find(|declared| routing.need(takers(lanes, declared)).is_none());
    unmatched.map_or(Ok(()), |event_type| {
        Err(format!(
            "the filters leave events of the declared type `{event_type}` too few durable members: let one take them, or have \
             them discarded with `unmatched`"
        ))
    })
}

fn named_reader(lanes: &[Arc<Lane>], name: &str) -> Result<usize, String> {
    let names = || lanes.iter().map(|lane| format!("`{}`", lane.name)).collect::<Vec<_>>().join(", ");
    let named = lanes.iter().enumerate().find(|(_, lane)| *lane.name == *name);
    let Some((index, lane)) = named else {
        return Err(format!("`read`: {:?} is no member: expected one of {}", excerpt(name), names()));
    };
    match lane.store.parts().reader {
        Some(_) => Ok(index),
        None => {
            let kind = lane.store.capabilities().name;
            Err(format!("`read`: the member `{name}` ({kind}) cannot be read: name another one"))
        }
    }
}

/// Returns true if every acknowledged event is in a durable store.
fn is_durable(lanes: &[Arc<Lane>], quorum: Quorum) -> bool {
    let is_durable = |lane: &Lane| lane.store.capabilities().durable;
    let counted: Vec<&Arc<Lane>> = lanes.iter().filter(|lane| lane.is_counted).collect();
    let fleeting = counted.iter().filter(|lane| !is_durable(lane)).count();
    let needed = quorum.of(u32::try_from(counted.len()).unwrap_or(u32::MAX));
    u32::try_from(fleeting).is_ok_and(|fleeting| fleeting < needed)
}

/// Returns the types that filters may name.
pub(super) fn known_types(declared: &[EventType]) -> Vec<&EventType> {
    let is_own = |event_type: &&EventType| event_type.as_str().starts_with(OWN_EVENTS);
    EventType::ALL.iter().filter(|known| !is_own(known)).chain(declared).collect()
}
