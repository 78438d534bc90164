//! `tail`: the newest events, and what comes after them.

use std::time::Duration;

use tower_audit::Timestamp;
use tower_audit::store::sqlite::path_of;

use super::open_store::{OnMissing, reader, with_store};
use crate::args::{Format, TailArgs};
use crate::error::CliError;
use crate::output::OutputTarget;
use crate::signals::interrupt;
use crate::tail::Follower;

pub(crate) async fn run(url: &str, args: TailArgs) -> Result<(), CliError> {
    let target = OutputTarget::stdout();
    let format = args.format.map_or_else(|| target.default_stream_format(), Into::into);
    let filter = args.filter.filter(Timestamp::now(), format == Format::Table)?;
    let listing = target.stream(format);
    let asked_to_end = args.follow.then(end_when_asked);
    let work = with_store(url, OnMissing::Fail, async |store| {
        let mut follower = Follower::new(reader(store)?, filter, listing, path_of(url));
        follower.print_newest(args.limit).await?;
        if args.follow {
            follower.follow().await?;
        }
        follower.finish()
    });
    match asked_to_end {
        None => work.await,
        Some(asked_to_end) => tokio::select! {
            () = asked_to_end => Ok(()),
            done = work => done,
        },
    }
}

/// Ends when the process is asked to end; that is how following ends well.
fn end_when_asked() -> impl Future<Output = ()> {
    // Whoever reads the output may have stopped to, so that writing never ends.
    let insist = interrupt();
    tokio::spawn(async {
        insist.await;
        tokio::time::sleep(GRACE).await;
        std::process::exit(0);
    });
    interrupt()
}

const GRACE: Duration = Duration::from_secs(1);
