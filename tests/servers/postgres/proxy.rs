//! A network between a store and its server that can be told to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Listens on a port of its own and passes on to the server.
pub(crate) struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
    /// The number of times that connections were forgotten.
    forgotten: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// Everything passes.
    Pass,
    /// The client's message arrives; the first answer is replaced by the end of the connection.
    LoseAnswer,
    /// Nothing passes, and nobody is told.
    Swallow,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let mode = Arc::new(AtomicU8::new(Mode::Pass as u8));
        let forgotten = Arc::new(AtomicU64::new(0));
        let (shared, times) = (mode.clone(), forgotten.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let known = Known { times: times.clone(), since: times.load(Ordering::SeqCst) };
                tokio::spawn(pass(from_client, to_server, shared.clone(), known.clone(), false));
                tokio::spawn(pass(from_server, to_client, shared.clone(), known, true));
            }
        });
        Self { port, mode, forgotten }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// From now on nothing passes on the connections that there are, and nobody is told. New ones work.
    pub(crate) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }
}

/// A connection, as a firewall knows it.
#[derive(Clone)]
struct Known {
    times: Arc<AtomicU64>,
    since: u64,
}

impl Known {
    fn is_forgotten(&self) -> bool {
        self.times.load(Ordering::SeqCst) != self.since
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mode: Arc<AtomicU8>, known: Known, answers: bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if known.is_forgotten() {
            // Not even an end is passed on.
            std::future::pending::<()>().await;
        }
        if read == 0 {
            return;
        }
        let now = mode.load(Ordering::SeqCst);
        if now == Mode::Swallow as u8 {
            continue;
        }
        if answers && now == Mode::LoseAnswer as u8 {
            mode.store(Mode::Pass as u8, Ordering::SeqCst);
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
