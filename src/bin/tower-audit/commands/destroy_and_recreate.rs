//! `destroy-and-recreate`: the store made anew, with one event in it that says so.

use std::io::{self, IsTerminal as _};

use tower_audit::query::Filter;
use tower_audit::store::EventExtent;

use super::open_store::{OnMissing, admin, with_store};
use super::prompt::ask;
use super::purge_run::to_the_second;
use super::roles;
use crate::args::DestroyArgs;
use crate::error::{CliError, warn};
use crate::progress::with_progress;
use crate::recreate_store::{DestroyedEvents, recreate};

pub(crate) async fn run(url: &str, args: DestroyArgs) -> Result<(), CliError> {
    roles::check(url, args.roles)?;
    if args.floor.floor()?.is_some() {
        return Err(CliError::Usage(
            "this would delete events younger than the retention floor (--floor, AUDIT_RETENTION_FLOOR); nothing was changed"
                .into(),
        ));
    }
    if !args.yes && !io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "this destroys every event in the store, and there is no terminal to ask at: give --yes if that is meant; \
             nothing was changed. `tower-audit migrate` makes what is missing of a store and destroys nothing"
                .into(),
        ));
    }
    // A store that cannot be opened without making it has no event: it is not made before there is an answer.
    let destroyed = with_store(url, OnMissing::Fail, async |store| {
        let Some(reader) = store.parts().reader else { return Ok(DestroyedEvents::Unknown) };
        Ok(match with_progress("counting", EventExtent::of(reader, &Filter::default())).await {
            Ok(None) => DestroyedEvents::Nothing,
            Ok(Some(extent)) => DestroyedEvents::Events(extent),
            Err(_) => DestroyedEvents::Unknown,
        })
    })
    .await
    .unwrap_or(DestroyedEvents::Unknown);
    if !args.yes {
        confirm(destroyed)?;
    }
    with_store(url, OnMissing::Create, async |store| {
        let work = recreate(store, admin(store, "made anew")?, destroyed, super::os_user::name());
        Ok(with_progress("making the store anew", work).await?)
    })
    .await?;
    if args.roles { roles::make(url).await } else { Ok(()) }
}

/// Asks for the number of the events, or a word: nothing that is typed in passing destroys.
fn confirm(destroyed: DestroyedEvents) -> Result<(), CliError> {
    let (text, word) = match destroyed {
        DestroyedEvents::Events(EventExtent { events, first, last, .. }) => {
            let (first, last) = (to_the_second(first), to_the_second(last));
            (format!("this destroys all {events} events in the store, from {first} to {last}"), events.to_string())
        }
        DestroyedEvents::Nothing => ("the store has no events; it is recreated".to_owned(), "destroy".to_owned()),
        DestroyedEvents::Unknown => {
            ("this destroys every event in the store, if there are any".to_owned(), "destroy".to_owned())
        }
    };
    warn(&text);
    let what = if word == "destroy" { "the word destroy" } else { "the number of events" };
    ask(&format!("To go on, type {what}: "), |answer| answer == word)
}
