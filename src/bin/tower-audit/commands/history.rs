//! `history`: the events of one object, with what each changed.

use tower_audit::Timestamp;

use super::open_store::{OnMissing, reader, with_store};
use super::query::write_listing;
use crate::args::HistoryArgs;
use crate::error::CliError;
use crate::output::OutputTarget;

pub(crate) async fn run(url: &str, args: HistoryArgs) -> Result<(), CliError> {
    let filter = args.filter(Timestamp::now())?;
    let target = OutputTarget::stdout();
    let mut listing = target.history(args.format, args.indent)?;
    with_store(url, OnMissing::Fail, async |store| {
        write_listing(reader(store)?, filter, args.limit, 0, &mut *listing, target).await
    })
    .await
}
