//! The actor that an app's own layer has found.

use std::sync::Arc;

use http::Extensions;

use crate::event::{Actor, CompactText, Details};

/// The actor that a layer put into the extensions of a request, kept without an allocation.
pub(super) enum GivenActor {
    Shared(Arc<Actor>),
    /// The fields of an actor. `extra` is absent while it is empty, as nearly always: an empty map costs as much to drop as all
    /// other fields.
    Fields {
        user_email: Option<CompactText>,
        api_key_hash: Option<CompactText>,
        remote_addr: Option<CompactText>,
        acting_for: Option<CompactText>,
        extra: Option<Details>,
    },
}

/// The actor in the extensions of a request or of a response.
pub(super) fn actor_in(extensions: &Extensions) -> Option<&Actor> {
    extensions.get::<Arc<Actor>>().map(|actor| &**actor).or_else(|| extensions.get())
}

impl GivenActor {
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        if let Some(actor) = extensions.get::<Arc<Actor>>() {
            return Some(Self::Shared(Arc::clone(actor)));
        }
        let Actor { user_email, api_key_hash, remote_addr, acting_for, extra } = extensions.get()?;
        Some(Self::Fields {
            user_email: user_email.clone(),
            api_key_hash: api_key_hash.clone(),
            remote_addr: remote_addr.clone(),
            acting_for: acting_for.clone(),
            extra: Some(extra).filter(|extra| !extra.is_empty()).cloned(),
        })
    }

    pub(super) fn to_actor(&self) -> Actor {
        match self {
            Self::Shared(actor) => Actor::clone(actor),
            Self::Fields { user_email, api_key_hash, remote_addr, acting_for, extra } => Actor {
                user_email: user_email.clone(),
                api_key_hash: api_key_hash.clone(),
                remote_addr: remote_addr.clone(),
                acting_for: acting_for.clone(),
                extra: extra.clone().unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_comes_back_as_it_was_given() {
        let mut all = Actor::user("a").acting_for("b");
        all.api_key_hash = Some("c".into());
        all.remote_addr = Some("d".into());
        let mut with_extra = all.clone();
        with_extra.extra.insert("e".into(), 1.into());
        for actor in [Actor::default(), Actor::user("a"), all, with_extra] {
            let mut extensions = Extensions::new();
            assert!(GivenActor::of(&extensions).is_none() && actor_in(&extensions).is_none());
            extensions.insert(actor.clone());
            assert_eq!(GivenActor::of(&extensions).map(|given| given.to_actor()), Some(actor.clone()));
            // A shared one comes first.
            extensions.insert(Arc::new(Actor::user("shared")));
            assert_eq!(GivenActor::of(&extensions).map(|given| given.to_actor()), Some(Actor::user("shared")));
            assert_eq!(actor_in(&extensions), Some(&Actor::user("shared")));
        }
    }
}
