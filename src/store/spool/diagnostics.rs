//! The state of a spool, for `doctor` and the app.

use super::error::DuringOperation as _;
use super::process_folder::ProcessFolder;
use super::spool_state::Shared;

use crate::event::Timestamp;
use crate::store::mount::{Mount, VOLATILE_HINT, volatile_message};
use crate::store::{Diagnostic, StoreError};

pub(super) fn inspect(shared: &Shared) -> Result<Vec<Diagnostic>, StoreError> {
    const DOING: &str = "diagnosis";
    let mut found = Vec::new();
    let (mut events, mut bytes, mut oldest, mut dead) = (0, 0, None::<i64>, 0);
    for folder in ProcessFolder::list(&shared.directory).during(DOING)? {
        let summary = super::summary::summarize(&folder).during(DOING)?;
        events += summary.events;
        bytes += summary.bytes;
        oldest = oldest.into_iter().chain(summary.oldest).min();
        dead += u64::from(!summary.is_alive && summary.events > 0);
    }
    let backlog = format!("{events} events in {bytes} bytes wait for the target");
    let age = oldest.map_or(0, |oldest| (Timestamp::now().as_micros() - oldest).max(0) / 1_000_000);
    let is_late = age > LATE_SECONDS || bytes > shared.limits.bytes / 2;
    found.push(if is_late {
        let text = format!("{backlog}; the oldest was acknowledged {age} s ago");
        Diagnostic::warning("backlog", text, "see to the target; an append beyond `max_bytes` is refused")
    } else {
        Diagnostic::ok("backlog", backlog)
    });
    if dead > 0 {
        found.push(Diagnostic::warning(
            "backlog",
            format!("{dead} processes have died with events that are not shipped"),
            "start the service, which adopts them, or run `tower-audit ship --from spool:DIR --to URL`",
        ));
    }
    if let Some(error) = shared.state().target_error.clone() {
        found.push(Diagnostic::warning("target", error, "see to the target: the events wait in the spool"));
    }
    let letters = shared.dead_letters.names().during(DOING)?.len();
    if letters > 0 {
        found.push(Diagnostic::warning(
            "dead-letters",
            format!("{letters} events were refused by the target for good, or cannot be read"),
            "`tower-audit spool list DIR` shows the reasons; mend them and run `tower-audit spool retry DIR`",
        ));
    }
    if let Some(file_system) = Mount::of(&shared.directory).as_ref().and_then(Mount::volatile_file_system) {
        let text = format!("not durable: {}", volatile_message(file_system));
        found.push(Diagnostic::warning("mount", text, VOLATILE_HINT));
    }
    Ok(found)
}

/// The age of a backlog from which it is a warning.
const LATE_SECONDS: i64 = 60;
