//! `serve`: the API and the viewer on this machine, for an operator without an app.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::open_store::{OnMissing, reader, with_shared_store};
use crate::args::ServeArgs;
use crate::error::{CliError, warn};
use crate::output::Stdout;
use crate::serve::{AccessToken, Host, app};
use crate::signals::interrupt;

/// The timeout for open requests at shutdown.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) async fn run(url: &str, args: ServeArgs) -> Result<(), CliError> {
    let (asked, told) = tokio::sync::watch::channel(false);
    let interrupt = interrupt();
    tokio::spawn(async move {
        interrupt.await;
        let _ = asked.send(true);
    });
    with_shared_store(url, OnMissing::Fail, async |store| {
        reader(&**store)?.check_access().await?;
        // Never another address: see the module `serve`.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(CliError::Listen)?;
        let port = listener.local_addr().map_err(CliError::Listen)?.port();
        let host = if args.numeric { Ok(Host::numeric(port)) } else { Host::of_its_own(port) };
        let access = host.and_then(AccessToken::new).map_err(|error| CliError::Start(std::io::Error::other(error)))?;
        let mut out = Stdout::new();
        writeln!(out, "{}", access.address())?;
        out.flush()?;
        warn("open this address in a browser; Ctrl-C ends the server, and the address with it");
        let app = app(Arc::clone(store), access, &super::os_user::name());
        let ended = |mut told: tokio::sync::watch::Receiver<bool>| async move {
            let _ = told.wait_for(|told| *told).await;
        };
        let serving = axum::serve(listener, app).with_graceful_shutdown(ended(told.clone()));
        tokio::select! {
            served = serving => served.map_err(CliError::Listen),
            // Whoever still reads an export then does not keep it from ending.
            () = async { ended(told).await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    })
    .await
}
