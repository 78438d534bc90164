//! Filters and queries that pass no event of another user.

use std::ops::Deref;

use super::Caller;
use crate::query::{Cursor, Filter, PageQuery};

/// A filter that passes only events that its caller may see. Nothing widens it to those of another user.
#[derive(Debug, Clone)]
pub(crate) struct ConfinedFilter {
    filter: Filter,
    is_own: bool,
}

/// A page of the events that a [`ConfinedFilter`] passes.
#[derive(Debug, Clone)]
pub(crate) struct ConfinedQuery(PageQuery);

/// The filter names another user than its caller, who is no administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfAnotherUser;

impl ConfinedFilter {
    /// Everything that the caller may see.
    pub(super) fn everything(caller: &Caller) -> Self {
        let mut filter = Filter::default();
        if let Some(own) = caller.own_name() {
            filter.user_email = own.into();
        }
        Self { filter, is_own: !caller.is_admin() }
    }

    /// Confines a filter to the caller's events. An administrator's stays as it is.
    pub(super) fn new(mut filter: Filter, caller: &Caller) -> Result<Self, OfAnotherUser> {
        let visible = Self::everything(caller);
        if filter.user_email.is_empty() {
            filter.user_email = visible.filter.user_email;
        } else if visible.is_own && filter.user_email != visible.filter.user_email {
            return Err(OfAnotherUser);
        }
        Ok(Self { filter, ..visible })
    }

    /// Changes the conditions. The one on the user stays unless the caller is an administrator.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Filter)) -> Self {
        let mut filter = self.filter.clone();
        change(&mut filter);
        if self.is_own {
            filter.user_email = self.filter.user_email.clone();
        }
        Self { filter, is_own: self.is_own }
    }

    /// The first page of `limit` events.
    pub(crate) fn page(&self, limit: usize) -> ConfinedQuery {
        ConfinedQuery(PageQuery::new(self.filter.clone(), limit))
    }
}

impl Deref for ConfinedFilter {
    type Target = Filter;

    fn deref(&self) -> &Filter {
        &self.filter
    }
}

impl ConfinedQuery {
    /// Begins after this place, or at the newest event.
    pub(crate) fn after(self, place: Option<Cursor>) -> Self {
        Self(self.0.after(place))
    }

    /// Leaves out that many events.
    pub(crate) fn skip(self, events: u64) -> Self {
        Self(self.0.skip(events))
    }
}

impl Deref for ConfinedQuery {
    type Target = PageQuery;

    fn deref(&self) -> &PageQuery {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Condition, TextPattern};

    #[test]
    fn no_change_leads_to_the_events_of_another_user() {
        let alice = ConfinedFilter::everything(&Caller::user("alice"));
        for user_email in ["bob".into(), Condition::none_of([TextPattern::any()]), Condition::default()] {
            let filter = alice.with(|filter| filter.user_email = user_email);
            assert_eq!(filter.user_email, "alice".into());
        }
        let admin = ConfinedFilter::everything(&Caller::admin("root"));
        assert!(admin.user_email.is_empty());
        assert_eq!(admin.with(|filter| filter.user_email = "bob".into()).user_email, "bob".into());
    }

    #[test]
    fn another_user_can_be_named_by_an_administrator_only() {
        let of_bob = Filter { user_email: "bob".into(), ..Filter::default() };
        assert_eq!(ConfinedFilter::new(of_bob.clone(), &Caller::user("alice")).err(), Some(OfAnotherUser));
        assert!(ConfinedFilter::new(of_bob.clone(), &Caller::user("bob")).is_ok());
        assert!(ConfinedFilter::new(of_bob, &Caller::admin("root")).is_ok());
    }
}
