//! `get`: one event.

use std::io::Write as _;

use tower_audit::export::{to_json, to_json_pretty};

use super::{IfMissing, reader, with_store};
use crate::args::{Format, GetArgs};
use crate::exit::Failure;
use crate::output::{Output, Target};

pub(crate) async fn run(url: &str, args: GetArgs) -> Result<(), Failure> {
    let id = args.id()?;
    with_store(url, IfMissing::Fail, async |store| {
        let found = reader(store)?.get(id).await?;
        let target = Target::stdout();
        let mut out = Output::new();
        match (&found, args.format) {
            (Some(event), Format::Json) => {
                let text = if target.is_terminal() { to_json_pretty(event)? } else { to_json(event)? };
                writeln!(out, "{text}")?;
            }
            // What reads JSON gets JSON, whatever it makes of the exit code.
            (None, Format::Json) => writeln!(out, "null")?,
            (Some(event), format) => {
                let mut listing = target.listing(format);
                listing.page(std::slice::from_ref(event), &mut out)?;
                listing.end(&mut out)?;
            }
            (None, _) => {}
        }
        out.flush()?;
        found.map(drop).ok_or(Failure::NotFound(id))
    })
    .await
}
