//! The store, from its name to its newest event.

use std::future::Future;
use std::time::Duration;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::sealing::UNSEALED_LIMIT;
use tower_audit::store::{AuditStore, Diagnostic, OpenOptions, RedactedUrl, Sealing, StoreError, StoreErrorKind};
use tower_audit::{Phase, Timestamp};

use super::files::files;
use crate::error::with_causes;
use crate::store_url::StoreUrl;

/// Longer than a store that is well takes for anything that is asked here.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the URL and its source.
pub(crate) fn url_source(url: &StoreUrl) -> Diagnostic {
    let StoreUrl { url, source } = url;
    let shown = RedactedUrl::of(url);
    let Some(scheme) = shown.scheme() else {
        return Diagnostic::error(
            "url",
            format!("{shown}, named by {source}, and so not shown"),
            "write it as sqlite:PATH, jsonl:PATH, duckdb:PATH, mongodb://HOST/DATABASE, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE",
        );
    };
    let text = format!("{scheme}: store, named by {source}");
    let has_password = url.split_once("://").is_some_and(|(_, rest)| {
        rest.split('/')
            .next()
            .is_some_and(|authority| authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')))
    });
    if has_password && *source == "--url" {
        return Diagnostic::warning(
            "url",
            format!("{text}, with a password, which other users of this machine can see"),
            "set AUDIT_URL instead",
        );
    }
    Diagnostic::ok("url", text)
}

/// Diagnoses the store of this URL. Changes nothing in it but numbers of a sequence.
pub(crate) async fn store(url: &str) -> Vec<Diagnostic> {
    let mut found = files(url);
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    match within_timeout(tower_audit::store::open(url, options)).await {
        Ok(store) => {
            found.extend(opened(&*store).await);
            // The checks are done; a failure to close changes nothing about them.
            let _ = tokio::time::timeout(CHECK_TIMEOUT, store.close()).await;
        }
        Err(Trouble { why, .. }) => found.push(Diagnostic::error(
            "store",
            why,
            "check the URL and the permissions; an app with this URL does not start",
        )),
    }
    found
}

async fn opened(store: &dyn AuditStore) -> Vec<Diagnostic> {
    let can = store.capabilities();
    let parts = store.parts();
    let abilities = [
        (parts.reader.is_some(), "can be read"),
        (parts.admin.is_some(), "can be purged"),
        (parts.recovery.is_some(), "closes events of dead processes"),
    ];
    let abilities: Vec<&str> = abilities.into_iter().filter(|(can, _)| *can).map(|(_, text)| text).collect();
    let mut found = vec![if can.durable {
        // The lines below tell this store's state and this account's rights.
        Diagnostic::ok("store", format!("opens; a store of its kind {}", abilities.join(", ")))
    } else if parts.reader.is_none() {
        // Its own diagnostics say what that means.
        Diagnostic::ok("store", "opens; a sink, to which events can be appended and nothing else")
    } else {
        Diagnostic::error(
            "store",
            "not durable: events are lost with the process",
            "name one that is, such as sqlite:PATH",
        )
    }];
    let write = within_timeout(store.health()).await;
    let read = match parts.reader {
        None => None,
        Some(reader) => Some(match within_timeout(reader.check_access()).await {
            Ok(()) => within_timeout(reader.query(&PageQuery::new(Filter::default(), 1))).await,
            Err(trouble) => Err(trouble),
        }),
    };
    let may_read = !matches!(&read, None | Some(Err(Trouble { is_denied: true, .. })));
    let may_write = !matches!(&write, Err(Trouble { is_denied: true, .. }));
    found.push(match write {
        Ok(()) if can.durable => Diagnostic::ok("write", "the next event would be accepted and durable"),
        Ok(()) => Diagnostic::ok("write", "the next event would be accepted"),
        // An account that reads has no business writing: it is not an app's.
        Err(Trouble { is_denied: true, .. }) if may_read => {
            Diagnostic::ok("write", "this account may read and not append: it is for readers, not for an app")
        }
        Err(Trouble { why, .. }) => Diagnostic::error(
            "write",
            why,
            "fix the reported problem; until then the app answers 503 and 500 on audited routes",
        ),
    });
    found.extend(read.as_ref().map(|read| match read {
        Ok(events) => {
            Diagnostic::ok("read", events.first().map_or_else(nothing_yet, |event| newest_was(event.created_at)))
        }
        Err(Trouble { is_denied: true, .. }) if may_write => Diagnostic::ok(
            "read",
            "this account may append and not read, as it should be for an app that shows no events itself",
        ),
        Err(Trouble { why, .. }) => Diagnostic::error(
            "read",
            why.clone(),
            "check what the URL names: the server or the disk, and the rights on it",
        ),
    }));
    // A store that cannot be read says so once.
    let reads = matches!(&read, Some(Ok(_)));
    if let Some(reader) = parts.reader.filter(|_| reads) {
        let since = Timestamp::from_micros(Timestamp::now().as_micros() - DAY_MICROS);
        let lost = Filter::new().since(since).phase(Phase::Unknown);
        if let Ok(lost @ 1..) = within_timeout(reader.count(&lost)).await {
            found.push(Diagnostic::warning(
                "ends",
                format!("{lost} requests or purges of the last day have an unknown outcome: their process died"),
                "`tower-audit query --phase unknown --since 1d` shows them",
            ));
        }
    }
    if reads && let Some(sealing) = parts.sealing {
        found.extend(seal(sealing).await);
    }
    match within_timeout(store.diagnose()).await {
        Ok(more) => found.extend(more),
        Err(trouble) => {
            found.push(Diagnostic::warning("store", trouble.why, "further checks failed"));
        }
    }
    found
}

/// The newest checkpoint, and the oldest event behind it.
async fn seal(sealing: &dyn Sealing) -> Option<Diagnostic> {
    let newest = match within_timeout(sealing.newest_checkpoint()).await {
        Ok(newest) => newest?,
        Err(Trouble { is_denied: true, .. }) => return None,
        Err(Trouble { why, .. }) => {
            return Some(Diagnostic::error("seal", why, "`tower-audit verify` names what is wrong with the seal"));
        }
    };
    let text = format!("{} leaves; the newest checkpoint is of {}", newest.size, newest.sealed_at);
    match within_timeout(sealing.unsealed(&newest.position, 1)).await {
        Ok(behind) => {
            let oldest = behind.events.iter().map(|event| event.created_at).min();
            let age = oldest.map(|oldest| Timestamp::now().as_micros() - oldest.as_micros());
            Some(match age.filter(|age| *age > UNSEALED_LIMIT.as_micros() as i64) {
                None => Diagnostic::ok("seal", text),
                Some(age) => Diagnostic::warning(
                    "seal",
                    format!("{text}; an event has been without a leaf for {} s", age / 1_000_000),
                    "start the sealer: `tower-audit seal --key FILE`",
                ),
            })
        }
        Err(Trouble { is_denied: true, .. }) => None,
        Err(Trouble { why, .. }) => {
            Some(Diagnostic::error("seal", why, "`tower-audit verify` names what is wrong with the seal"))
        }
    }
}

fn nothing_yet() -> String {
    "there is no event yet".to_owned()
}

fn newest_was(moment: Timestamp) -> String {
    let seconds = (Timestamp::now().as_micros() - moment.as_micros()) / 1_000_000;
    match seconds {
        ..0 => format!("the newest event is from {moment}, in the future: check the clocks"),
        0..120 => format!("the newest event is {seconds} s old"),
        120..7200 => format!("the newest event is {} minutes old", seconds / 60),
        7200..172_800 => format!("the newest event is {} hours old", seconds / 3600),
        _ => format!("the newest event is {} days old", seconds / 86_400),
    }
}

/// The reason why there is no answer, in one line.
struct Trouble {
    why: String,
    /// The account has no right to it.
    is_denied: bool,
}

async fn within_timeout<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Trouble> {
    match tokio::time::timeout(CHECK_TIMEOUT, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Trouble { why: with_causes(&error), is_denied: error.kind() == StoreErrorKind::Denied }),
        Err(_) => Err(Trouble { why: format!("no answer in {} s", CHECK_TIMEOUT.as_secs()), is_denied: false }),
    }
}

const DAY_MICROS: i64 = 86_400_000_000;
