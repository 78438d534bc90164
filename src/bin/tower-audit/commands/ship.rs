//! `ship`: moves events from a store, or a spool that a dead process has left, into another store.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tower_audit::Timestamp;
use tower_audit::query::parse_time;
use tower_audit::shipping::{ShipProgress, ShipSource, Shipper, StoreSource, StreamSource};
use tower_audit::store::spool::{SpoolDirectory, SpoolStore, directory_of};
use tower_audit::store::{AuditStore, OpenOptions, RedactedUrl};

use super::open_store::{OnMissing, with_shared_store};
use crate::args::ShipArgs;
use crate::error::{CliError, warn};
use crate::output::Stdout;
use crate::signals::interrupt;
use crate::store_url::first_line;

/// `url` is the store that the program works with if no other is named.
pub(crate) async fn run(url: Option<String>, args: ShipArgs) -> Result<(), CliError> {
    let from = match &args.from_file {
        Some(file) => first_line("--from-file", file)?,
        None => args.from.clone().unwrap_or_default(),
    };
    let is_stream = matches!(RedactedUrl::of(&from).scheme(), Some("nats" | "tls"));
    if is_stream && let Some(done) = control_stream(&from, &args).await? {
        return print(&done);
    }
    if !is_stream && (args.status || args.pause_until.is_some() || args.from_sequence.is_some()) {
        return Err(CliError::Usage("--status, --pause-until and --from-sequence are for NATS streams".into()));
    }
    let to = match &args.to_file {
        Some(file) => Some(first_line("--to-file", file)?),
        None => args.to.clone().or(url),
    };
    let to =
        to.ok_or_else(|| CliError::Usage("no store to ship to is named: give --to URL or --to-file FILE".into()))?;
    if from == to {
        return Err(CliError::Usage("--from and --to are the same store: name another".into()));
    }
    let shipped = with_shared_store(&to, OnMissing::Create, async |target| match directory_of(&from) {
        Some(directory) => ship_spool(&directory, target, &args).await,
        None if is_stream => ship_stream(&from, target, &args).await,
        None => {
            with_shared_store(&from, OnMissing::Fail, async |source| {
                let route = format!("{} > {}", without_secrets(&from), without_secrets(&to));
                ship_store(source, target, &route, &args).await
            })
            .await
        }
    })
    .await?;
    print(&shipped.to_string())
}

fn print(text: &str) -> Result<(), CliError> {
    let mut out = Stdout::new();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Answers what is asked of a stream's consumer, without shipping.
async fn control_stream(from: &str, args: &ShipArgs) -> Result<Option<String>, CliError> {
    if let Some(until) = &args.pause_until {
        let until = when("--pause-until", until)?;
        StreamSource::open(from).await?.pause(until).await?;
        return Ok(Some(format!("paused until {until}")));
    }
    if !args.status {
        return Ok(None);
    }
    let streams: Vec<_> = StreamSource::open(from)
        .await?
        .progress()
        .await?
        .into_iter()
        .map(|it| {
            serde_json::json!({
                "stream": it.stream, "acknowledged": it.acknowledged, "pending": it.pending,
                "unacknowledged": it.unacknowledged, "paused": it.is_paused,
            })
        })
        .collect();
    Ok(Some(serde_json::Value::from(streams).to_string()))
}

/// The servers keep the progress of a stream.
async fn ship_stream(from: &str, target: &Arc<dyn AuditStore>, args: &ShipArgs) -> Result<u64, CliError> {
    if args.progress.is_some() {
        return Err(CliError::Usage(
            "--progress is for stores: the servers keep the progress of a stream, by the name of the `consumer` in its URL".into(),
        ));
    }
    let mut source = match (&args.since, args.from_sequence) {
        (Some(since), _) => StreamSource::replay_since(from, when("--since", since)?).await?,
        (None, Some(number)) => StreamSource::replay_from(from, number).await?,
        (None, None) => StreamSource::open(from).await?,
    };
    if let Some(directory) = &args.dead_letters {
        make(directory)?;
        source = source.dead_letters(directory.clone());
    }
    ship(Shipper::new(source, Arc::clone(target))?, args).await
}

async fn ship_store(
    source: &Arc<dyn AuditStore>,
    target: &Arc<dyn AuditStore>,
    route: &str,
    args: &ShipArgs,
) -> Result<u64, CliError> {
    let since = args.since.as_deref().map(|since| when("--since", since)).transpose()?;
    let mut events = StoreSource::new(Arc::clone(source))?;
    if let Some(since) = since {
        events = events.since(since);
    }
    if let Some(path) = &args.progress {
        let Some(mut progress) = wait_for_lock(path, route).await? else { return Ok(0) };
        if let Some(since) = since {
            progress.rewind(since);
        }
        events = events.progress(progress);
    }
    ship(Shipper::new(events, Arc::clone(target))?, args).await
}

async fn ship<S: ShipSource>(mut shipper: Shipper<S>, args: &ShipArgs) -> Result<u64, CliError> {
    if let Some(directory) = &args.dead_letters {
        make(directory)?;
        shipper = shipper.dead_letters(directory.clone());
    }
    let status = shipper.status();
    if args.follow {
        shipper.run(interrupt()).await?;
    } else {
        shipper = shipper.give_up_after(GIVE_UP);
        let mut stop = std::pin::pin!(interrupt());
        loop {
            tokio::select! {
                () = stop.as_mut() => return Err(CliError::ShipInterrupted { shipped: status.get().events }),
                step = shipper.step() => if step?.events == 0 { break },
            }
        }
    }
    let status = status.get();
    if status.dead_letters > 0 {
        warn(&format!(
            "{} events were refused by the target for good: `tower-audit spool list` shows them",
            status.dead_letters
        ));
    }
    Ok(status.events)
}

/// Waits until no other instance ships. None if the program is asked to end before.
async fn wait_for_lock(path: &Path, route: &str) -> Result<Option<ShipProgress>, CliError> {
    if let Some(progress) = ShipProgress::try_lock(path, route)? {
        return Ok(Some(progress));
    }
    warn("another instance ships with this progress file: this one takes over when that ends");
    tokio::select! {
        () = interrupt() => Ok(None),
        progress = ShipProgress::lock(path, route) => Ok(Some(progress?)),
    }
}

/// Ships what dead processes have left in a spool. A living one ships its own events.
async fn ship_spool(directory: &Path, target: &Arc<dyn AuditStore>, args: &ShipArgs) -> Result<u64, CliError> {
    if args.progress.is_some() || args.since.is_some() || args.dead_letters.is_some() {
        return Err(CliError::Usage(
            "--progress, --since and --dead-letters are for stores: a spool keeps its progress and its dead letters itself".into(),
        ));
    }
    let left = SpoolDirectory::open(directory).await?;
    let waiting = async || -> Result<u64, CliError> { Ok(left.backlogs().await?.iter().map(|it| it.events).sum()) };
    let before = waiting().await?;
    let spool =
        SpoolStore::builder(directory, Arc::clone(target)).timeout(OpenOptions::default().timeout).open().await?;
    let mut stop = std::pin::pin!(interrupt());
    let mut failing = Duration::ZERO;
    let ended = loop {
        if tokio::time::timeout(PAUSE, stop.as_mut()).await.is_ok() {
            break Ok(());
        }
        if !args.follow && waiting().await? == 0 {
            break Ok(());
        }
        failing = if spool.status().target_error.is_some() { failing + PAUSE } else { Duration::ZERO };
        if !args.follow && failing >= GIVE_UP {
            break Err(spool.wait_shipped().await.err());
        }
    };
    let after = waiting().await?;
    let _ = spool.close().await;
    match ended {
        Err(Some(error)) => Err(error.into()),
        _ => Ok(before.saturating_sub(after)),
    }
}

fn when(option: &str, text: &str) -> Result<Timestamp, CliError> {
    parse_time(text, Timestamp::now()).map_err(|error| CliError::Usage(format!("{option}: {error}")))
}

fn make(directory: &PathBuf) -> Result<(), CliError> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(CliError::File { path: directory.clone(), cause: error })
        }
        _ => Ok(()),
    }
}

/// The URL as far as it names a store: without a login, and without parameters that have a secret.
fn without_secrets(url: &str) -> String {
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let place = match place.split_once("//") {
        Some((scheme, rest)) => format!("{scheme}//{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
        None => place.to_owned(),
    };
    let parameters: Vec<&str> = parameters
        .split('&')
        .filter(|it| ["schema=", "table=", "collection="].iter().any(|name| it.starts_with(name)))
        .collect();
    format!("{place}?{}", parameters.join("&"))
}

/// The time that a target may fail before the program gives up, without --follow.
const GIVE_UP: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_no_secret_and_tells_stores_apart() {
        let route = without_secrets("postgres://app:hunter2@db/app?password=hunter2&schema=x");
        assert_eq!(route, "postgres://db/app?schema=x");
        assert_eq!(without_secrets("sqlite:/a.db"), "sqlite:/a.db?");
    }
}
