//! A network between a store and its server that fails at random.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};

/// A fault of a connection, or of the last message on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It arrives late, and all that comes behind it.
    Delay,
    /// It is lost with the connection, on the way to the server.
    Cut,
    /// A part of it arrives and the rest is lost with the connection.
    Tear,
    /// The answer is lost with the connection: what it answers is done.
    LoseAnswer,
    /// From now on nothing passes in this direction, and nobody is told.
    Swallow,
    /// A new connection ends at once.
    Refuse,
}

/// All there are.
pub(crate) const FAULTS: [Fault; 6] =
    [Fault::Delay, Fault::Cut, Fault::Tear, Fault::LoseAnswer, Fault::Swallow, Fault::Refuse];

/// Listens on a port of its own and passes on to the server, with faults while it is told to.
pub(crate) struct FaultyNetwork {
    port: u16,
    state: Arc<FaultState>,
}

struct FaultState {
    is_faulty: AtomicBool,
    chance: Mutex<Rng>,
    times: [AtomicU64; FAULTS.len()],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

impl FaultyNetwork {
    /// Without faults at first.
    pub(crate) async fn to(server: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = Arc::new(FaultState {
            is_faulty: AtomicBool::new(false),
            chance: Mutex::new(Rng::with_seed(seed)),
            times: Default::default(),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set_faulty(&self, is_faulty: bool) {
        self.state.is_faulty.store(is_faulty, Ordering::SeqCst);
    }

    /// The number of times that a fault has happened.
    pub(crate) fn times(&self, fault: Fault) -> u64 {
        self.state.times[fault as usize].load(Ordering::Relaxed)
    }
}

impl FaultState {
    /// The next fault in this direction, by chances in a thousand.
    fn next(&self, way: Option<Way>) -> Option<Fault> {
        if !self.is_faulty.load(Ordering::SeqCst) {
            return None;
        }
        let fault = match (way, self.below(1000)) {
            (None, 0..100) => Fault::Refuse,
            (Some(_), 0..50) => Fault::Delay,
            (Some(Way::ToServer), 50..65) => Fault::Cut,
            (Some(Way::ToClient), 50..70) => Fault::LoseAnswer,
            (Some(_), 70..80) => Fault::Tear,
            (Some(_), 80..83) => Fault::Swallow,
            _ => return None,
        };
        self.times[fault as usize].fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    fn below(&self, end: usize) -> usize {
        self.chance.lock().expect("nobody panics").usize(..end.max(1))
    }
}

/// It ends with the first of its ways.
async fn connection(client: TcpStream, server: u16, state: Arc<FaultState>) {
    if state.next(None).is_some() {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = pass(from_client, to_server, Way::ToServer, &state) => {}
        _ = pass(from_server, to_client, Way::ToClient, &state) => {}
    }
}

async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    way: Way,
    state: &FaultState,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        match state.next(Some(way)) {
            None | Some(Fault::Refuse) => {}
            Some(Fault::Delay) => {
                tokio::time::sleep(Duration::from_millis(1 + state.below(120) as u64)).await;
            }
            Some(Fault::Cut | Fault::LoseAnswer) => return Ok(()),
            Some(Fault::Tear) => return to.write_all(&buffer[..state.below(read)]).await,
            Some(Fault::Swallow) => {
                while from.read(&mut buffer).await? > 0 {}
                return Ok(());
            }
        }
        to.write_all(&buffer[..read]).await?;
    }
}
