//! `--roles`: accounts of the database that may do a part of what there is to do.

use crate::error::CliError;

/// Rejects `--roles` for a URL of a store without roles, before the store is changed.
pub(super) fn check(url: &str, wanted: bool) -> Result<(), CliError> {
    let scheme = url.split([':', '+']).next().unwrap_or_default().to_ascii_lowercase();
    if !wanted || matches!(&*scheme, "postgres" | "postgresql") {
        return Ok(());
    }
    Err(CliError::Usage(
        "--roles is for `postgres://…` alone: for `mysql://…` see examples/mysql_roles.sql; nothing was changed".into(),
    ))
}

pub(super) async fn make(url: &str) -> Result<(), CliError> {
    use std::io::Write as _;

    use tower_audit::store::postgres::create_roles;

    let roles = crate::progress::with_progress("making roles", create_roles(url)).await?;
    let mut out = crate::output::Stdout::new();
    for role in roles {
        writeln!(out, "{role}")?;
    }
    Ok(out.flush()?)
}
