//! Diagnostics of the stream and its servers.

use super::inspection::Inspection;
use super::stream::Cluster;
use super::url_settings::{SyncEvidence, UrlSettings};
use crate::store::Diagnostic;

pub(super) fn diagnose(settings: &UrlSettings, inspection: &Inspection, version: &str) -> Vec<Diagnostic> {
    let mut found = vec![durability(settings, inspection)];
    found.push(Diagnostic::ok(
        "server",
        format!("version {version}; {} peers have a copy of the stream", inspection.peers),
    ));
    if !inspection.absent.is_empty() {
        found.push(Diagnostic::warning(
            "servers",
            format!("down: {}", inspection.absent.join(", ")),
            "start them: with one more down, no event is accepted",
        ));
    }
    found.extend(copies(inspection));
    let is_open = !settings.is_tls && settings.servers.iter().any(|server| !server.is_local());
    if is_open {
        found.push(Diagnostic::warning(
            "transport",
            "without TLS, unless the servers require it: events and logins can be read on their way",
            "use `tls://`",
        ));
    }
    found.push(room(inspection));
    found
}

/// Names the peers whose copies lack messages.
fn copies(inspection: &Inspection) -> Option<Diagnostic> {
    let behind = inspection.info.cluster.as_ref().map(Cluster::behind).unwrap_or_default();
    let behind: Vec<_> = behind.iter().map(|(name, lag)| format!("{name} by {lag} operations")).collect();
    (!behind.is_empty()).then(|| {
        Diagnostic::warning(
            "copies",
            format!("behind the leader: {}", behind.join(", ")),
            "wait for them, and look at their disks and network: until they have caught up, the loss of another server stops the writing",
        )
    })
}

fn durability(settings: &UrlSettings, inspection: &Inspection) -> Diagnostic {
    if !inspection.weak.is_empty() {
        return Diagnostic::error(
            "durability",
            format!("acknowledged events may be lost: {}", inspection.weak.join("; ")),
            "change the stream and the servers as it says",
        );
    }
    match &settings.sync {
        SyncEvidence::Declared => Diagnostic::warning(
            "durability",
            "declared: the URL says that each server syncs each write (`sync=declared`); no server was asked",
            "give a login of the system account, or `monitor`, instead of `sync=declared`",
        ),
        SyncEvidence::MonitoringPort(_) => {
            Diagnostic::ok("durability", "seen: each peer syncs each write, by its monitoring port")
        }
        _ => Diagnostic::ok("durability", "seen: each peer syncs each write, by its answer to the system account"),
    }
}

/// The share of a limit from which there is a warning.
const FULL: f64 = 0.8;

fn room(inspection: &Inspection) -> Diagnostic {
    let (config, state) = (&inspection.info.config, &inspection.info.state);
    let share = |limit: i64, used: u64| if limit > 0 { used as f64 / limit as f64 } else { 0.0 };
    let used = share(config.max_bytes, state.bytes).max(share(config.max_msgs, state.messages));
    let text = format!("{} messages, {} bytes, the last one number {}", state.messages, state.bytes, state.last_seq);
    if used >= FULL {
        return Diagnostic::warning(
            "room",
            format!("{text}: {:.0} % of the stream's limit", used * 100.0),
            "raise `max_bytes` or `max_msgs` of the stream: when it is full, no event is accepted",
        );
    }
    Diagnostic::ok("room", text)
}
