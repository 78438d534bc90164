//! `backup`: a copy of an SQLite log in one file, made while it is written.

use std::io::{self, Write as _};

use crate::args::BackupArgs;
use crate::error::CliError;

#[cfg(feature = "sqlite")]
pub(crate) async fn run(url: &str, args: BackupArgs) -> Result<(), CliError> {
    use tower_audit::store::sqlite::SqliteStore;
    use tower_audit::store::{AuditStore as _, OpenOptions, StoreErrorKind};

    use crate::progress::with_progress;

    if !url.starts_with("sqlite:") {
        return Err(elsewhere());
    }
    check_target(&args)?;
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    let store = with_progress("opening the store", SqliteStore::open(url, options)).await?;
    let made = with_progress("copying the log", async {
        match args.force {
            true => store.backup_over(&args.file).await,
            false => store.backup(&args.file).await,
        }
    })
    .await;
    let _ = store.close().await;
    match made {
        Ok(made) => writeln!(io::stdout(), "{}", made.events).map_err(CliError::Output),
        // About the file that was named, not about the store.
        Err(error) if error.kind() == StoreErrorKind::Config => Err(CliError::Usage(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Refuses what can be seen to be no place for a copy, in the words of the program.
#[cfg(feature = "sqlite")]
fn check_target(args: &BackupArgs) -> Result<(), CliError> {
    let shown = args.file.display();
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(CliError::Usage(format!(
            "backup: {shown}: there is no directory {}: make it first",
            folder.display()
        )));
    }
    if args.file.is_file() && !args.force {
        return Err(CliError::Usage(format!("backup: {shown} exists: name another, or give --force to replace it")));
    }
    Ok(())
}

#[cfg(not(feature = "sqlite"))]
pub(crate) async fn run(_: &str, _: BackupArgs) -> Result<(), CliError> {
    Err(elsewhere())
}

fn elsewhere() -> CliError {
    CliError::Usage(
        "backup copies logs in SQLite files (sqlite:PATH): use pg_dump for a log in PostgreSQL, or `tower-audit export` \
         for the events of any log"
            .into(),
    )
}
