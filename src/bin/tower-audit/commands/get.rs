//! `get`: one event.

use std::io::Write as _;

use tower_audit::export::to_json;

use super::open_store::{OnMissing, reader, with_store};
use crate::args::{Format, GetArgs};
use crate::error::CliError;
use crate::output::{OutputTarget, Stdout, indented};

pub(crate) async fn run(url: &str, args: GetArgs) -> Result<(), CliError> {
    let id = args.id()?;
    if args.indent.is_some() && args.format != Format::Json {
        return Err(CliError::Usage("--indent: only --format json has more than one line".into()));
    }
    with_store(url, OnMissing::Fail, async |store| {
        let found = reader(store)?.get(id).await?;
        let target = OutputTarget::stdout();
        let mut out = Stdout::new();
        match (&found, args.format) {
            (Some(event), Format::Json) => {
                let text = match args.indent {
                    Some(blanks) => indented(event, blanks.into(), 0)?,
                    None if target.is_terminal() => indented(event, 2, 0)?,
                    None => to_json(event)?,
                };
                writeln!(out, "{text}")?;
            }
            // A reader of JSON gets JSON beside the exit code.
            (None, Format::Json) => writeln!(out, "null")?,
            (Some(event), format) => {
                let mut listing = target.listing(format);
                listing.write_page(std::slice::from_ref(event), &mut out)?;
                listing.finish(&mut out)?;
            }
            (None, _) => {}
        }
        out.flush()?;
        found.map(drop).ok_or(CliError::NotFound(id))
    })
    .await
}
