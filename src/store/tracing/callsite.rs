//! The metadata of lines whose target and level are chosen at run time.
//!
//! The macros of `tracing` have a constant target. Here each choice has a callsite of its own, made once and never freed,
//! because a subscriber may refer to it at any time.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::callsite::{self, Callsite, Identifier};
use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Metadata, dispatcher};

use super::config::{Config, LineFormat};
use super::event_line::{EventLine, FIELDS};

/// The callsite of the lines of one configuration.
pub(super) struct SinkCallsite {
    config: Config,
    metadata: OnceLock<Metadata<'static>>,
}

impl Callsite for SinkCallsite {
    /// Remembers nothing: the subscriber is asked for each line.
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata.get().expect("it is set before anything refers to the callsite")
    }
}

impl SinkCallsite {
    /// Returns the callsite of this configuration.
    pub(super) fn of(config: &Config) -> &'static Self {
        static MADE: Mutex<Vec<&'static SinkCallsite>> = Mutex::new(Vec::new());
        // Nothing under this lock panics half way through a change.
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.iter().find(|callsite| callsite.config == *config) {
            return known;
        }
        let made_now: &'static Self = Box::leak(Box::new(Self { config: config.clone(), metadata: OnceLock::new() }));
        let names: &[&str] = match config.format {
            LineFormat::Fields => &FIELDS,
            LineFormat::Json => &["message"],
        };
        let fields = FieldSet::new(names, Identifier(made_now));
        let target = made_now.config.target.as_str();
        let metadata = Metadata::new("audit event", target, config.level, None, None, None, fields, Kind::EVENT);
        // It was empty until now.
        let _ = made_now.metadata.set(metadata);
        made.push(made_now);
        drop(made);
        // Calls the subscribers: not under the lock.
        callsite::register(made_now);
        made_now
    }

    fn static_metadata(&'static self) -> &'static Metadata<'static> {
        self.metadata.get().expect("it is set before anything refers to the callsite")
    }

    /// Returns true if the current subscriber may take a line. Runs code of the app's.
    pub(super) fn has_listener(&'static self) -> bool {
        let metadata = self.static_metadata();
        dispatcher::get_default(|subscriber| !subscriber.register_callsite(metadata).is_never())
    }

    /// Gives a line to the current subscriber. Returns false if it takes none of this target and level. Runs code of the
    /// app's.
    pub(super) fn write(&'static self, line: &EventLine) -> bool {
        let metadata = self.static_metadata();
        dispatcher::get_default(|subscriber| {
            let is_taken = subscriber.enabled(metadata);
            if is_taken {
                line.give_to(subscriber, metadata);
            }
            is_taken
        })
    }
}
