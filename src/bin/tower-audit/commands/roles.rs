//! `--roles`: accounts of the database that may do a part of what there is to do.

use crate::exit::Failure;

/// Whether the store of this URL has roles, before anything is done to it.
pub(super) fn check(url: &str, wanted: bool) -> Result<(), Failure> {
    let scheme = url.split([':', '+']).next().unwrap_or_default().to_ascii_lowercase();
    if !wanted || matches!(&*scheme, "postgres" | "postgresql") {
        return Ok(());
    }
    Err(Failure::Usage("--roles is for `postgres://…`: other stores know no roles; nothing was changed".into()))
}

pub(super) async fn make(url: &str) -> Result<(), Failure> {
    use std::io::Write as _;

    use tower_audit::store::postgres::make_roles;

    let roles = crate::progress::patiently("making roles", make_roles(url)).await?;
    let mut out = crate::output::Output::new();
    for role in roles {
        writeln!(out, "{role}")?;
    }
    Ok(out.flush()?)
}
