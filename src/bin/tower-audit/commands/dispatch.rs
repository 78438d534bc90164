//! From the arguments to the command that was given.

use super::{
    backup, checkpoint, completions, count, destroy_and_recreate, doctor, erase, export, get, history, import, keygen,
    man, migrate, proof, purge, query, rotate, seal, serve, stats, tail, verify, verify_proof, witness,
};
use crate::args::{Args, Command};
use crate::error::CliError;
use crate::store_url::store_url;

/// Runs the command that the arguments name.
pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let url = store_url(args.url, args.url_file, |name| std::env::var(name))?;
    let named = || url.clone().map(|url| url.url).ok_or_else(CliError::no_store);
    match args.command {
        Command::Query(args) => query::run(&named()?, args).await,
        Command::Tail(args) => tail::run(&named()?, args).await,
        Command::Stats(args) => stats::run(&named()?, args).await,
        Command::Export(args) => export::run(&named()?, args).await,
        Command::Import(args) => {
            let to = args.to.clone().or_else(|| url.map(|url| url.url));
            import::run(to.as_deref(), args).await
        }
        Command::Count(args) => count::run(&named()?, args).await,
        Command::Get(args) => get::run(&named()?, args).await,
        Command::History(args) => history::run(&named()?, args).await,
        Command::Purge(args) => purge::run(&named()?, args).await,
        Command::Rotate(args) => rotate::run(&named()?, args).await,
        Command::Erase(args) => erase::run(&named()?, args).await,
        Command::DestroyAndRecreate(args) => destroy_and_recreate::run(&named()?, args).await,
        Command::Backup(args) => backup::run(&named()?, args).await,
        Command::Migrate(args) => migrate::run(&named()?, args).await,
        Command::Serve(args) => serve::run(&named()?, args).await,
        #[cfg(unix)]
        Command::Ship(args) => super::ship::run(url.map(|url| url.url), args).await,
        #[cfg(unix)]
        Command::Spool(args) => super::spool::run(url.map(|url| url.url), args).await,
        Command::Doctor(args) => doctor::run(url, args).await,
        Command::Keygen(args) if args.continues.is_some() => keygen::succeed(&named()?, args).await,
        Command::Keygen(args) => keygen::run(&args),
        Command::Seal(args) => seal::run(&named()?, args).await,
        Command::Checkpoint => checkpoint::run(&named()?).await,
        Command::Witness(args) => witness::run(&named()?, args).await,
        Command::Verify(args) => verify::run(&named()?, args).await,
        Command::Proof(args) => proof::run(&named()?, args).await,
        Command::VerifyProof(args) => verify_proof::run(&args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man(args) => man::run(&args),
    }
}
