//! The diagnostics of the members.

use futures_util::future::join_all;
use tokio::time::timeout;

use super::health::guarded;
use super::lane::{Lane, Role};
use super::tee_state::TeeState;
use crate::store::Diagnostic;

/// The number of ids of lost events that are named.
const IDS_SHOWN: usize = 8;

/// Returns a line for each member, and behind it its own diagnostics.
pub(super) async fn diagnose(tee: &TeeState) -> Vec<Diagnostic> {
    let of_members = tee.lanes.iter().enumerate().map(async |(index, lane)| {
        let mut found = vec![state_of(lane, Some(index) == tee.reading)];
        found.extend(losses_of(lane));
        let own = match timeout(lane.timeout, guarded(|| lane.store.diagnose())).await {
            Ok(Ok(own)) => own,
            Ok(Err(failure)) => vec![silent(&failure.text)],
            Err(_) => vec![silent("it does not answer")],
        };
        found.extend(own.into_iter().map(|mut diagnostic| {
            diagnostic.message = format!("{}: {}", lane.name, diagnostic.message);
            diagnostic
        }));
        found
    });
    join_all(of_members).await.into_iter().flatten().collect()
}

fn state_of(lane: &Lane, is_read: bool) -> Diagnostic {
    let role = match lane.role {
        Role::Required if lane.is_counted => "required",
        Role::Required => "required, not counted for the quorum",
        Role::Counted => "counted for the quorum",
        Role::BestEffort => "best effort",
    };
    let read = if is_read { ", read" } else { "" };
    let text = format!("{} ({}): {role}{read}", lane.name, lane.store.capabilities().name);
    let view = lane.view();
    match lane.obstacle(1, 0) {
        Some(failure) => Diagnostic::warning(
            MEMBER,
            format!("{text}; {} events behind: {}", view.events, failure.text),
            "mend the member: it is given the events that wait for it when it is back",
        ),
        None if view.events > 0 => Diagnostic::ok(MEMBER, format!("{text}; {} events behind", view.events)),
        None => Diagnostic::ok(MEMBER, text),
    }
}

fn losses_of(lane: &Lane) -> Option<Diagnostic> {
    let lost = lane.losses.read();
    let ids: Vec<String> = lost.ids.iter().rev().take(IDS_SHOWN).map(ToString::to_string).collect();
    (lost.events > 0).then(|| {
        Diagnostic::warning(
            MEMBER,
            format!("{}: {} acknowledged events are lost for it, the latest {}", lane.name, lost.events, ids.join(" ")),
            "copy them from the member that is read; raise `backlog` if it was full",
        )
    })
}

fn silent(why: &str) -> Diagnostic {
    Diagnostic::error(MEMBER, format!("cannot be looked at: {why}"), "mend the member, or take it out of the tee")
}

const MEMBER: &str = "member";
