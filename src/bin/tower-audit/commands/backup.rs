//! `backup`: a copy of an SQLite log in one file, made while it is written.

use std::io::{self, Write as _};

use crate::args::BackupArgs;
use crate::exit::Failure;

#[cfg(feature = "sqlite")]
pub(crate) async fn run(url: &str, args: BackupArgs) -> Result<(), Failure> {
    use tower_audit::store::sqlite::SqliteStore;
    use tower_audit::store::{AuditStore as _, OpenOptions};

    use crate::progress::patiently;

    let Some(rest) = url.strip_prefix("sqlite:") else { return Err(elsewhere()) };
    let mut options = OpenOptions::default();
    options.create = false;
    let store = patiently("opening the store", SqliteStore::open(rest, options)).await?;
    let made = patiently("copying the log", store.backup(&args.file, args.force)).await;
    let _ = store.close().await;
    writeln!(io::stdout(), "{}", made?.events).map_err(Failure::Output)
}

#[cfg(not(feature = "sqlite"))]
pub(crate) async fn run(_: &str, _: BackupArgs) -> Result<(), Failure> {
    Err(elsewhere())
}

fn elsewhere() -> Failure {
    Failure::Usage(
        "backup copies logs in SQLite files (sqlite:PATH): use pg_dump for a log in PostgreSQL, or `tower-audit export` \
         for the events of any log"
            .into(),
    )
}
