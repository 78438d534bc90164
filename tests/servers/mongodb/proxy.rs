//! A network between a store and its server that reads along, and can be told to lose or change an answer.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Listens on a port of its own and passes on to the server.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The commands that clients have sent, each as its bytes.
    commands: Vec<Vec<u8>>,
    /// The fault of the answer to the next command of this name.
    fault: Option<(&'static str, Fault)>,
}

/// A fault of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends in its place.
    Lost,
    /// It counts one document less.
    OneLess,
    /// It is no message of the protocol.
    Noise,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                tokio::spawn(serve(client.into_split(), server.into_split(), Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?directConnection=true", self.port)
    }

    /// Spoils the answer to the next command of this name.
    pub(crate) fn spoil(&self, command: &'static str, fault: Fault) {
        self.state.lock().expect("nobody panics").fault = Some((command, fault));
    }

    /// Returns true once the answer was spoiled.
    pub(crate) fn has_spoiled(&self) -> bool {
        self.state.lock().expect("nobody panics").fault.is_none()
    }

    /// The commands of these names that were sent so far.
    pub(crate) fn commands(&self, names: &[&str]) -> Vec<Vec<u8>> {
        let state = self.state.lock().expect("nobody panics");
        state.commands.iter().filter(|command| names.iter().any(|name| is_command(command, name))).cloned().collect()
    }
}

type Ends = (OwnedReadHalf, OwnedWriteHalf);

/// Passes on whole messages. A client waits for the answer to each, except for the watching connections of the driver.
async fn serve(client: Ends, server: Ends, state: Arc<Mutex<State>>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client, server);
    let fault = Arc::new(Mutex::new(None));
    let next = Arc::clone(&fault);
    let requests = tokio::spawn(async move {
        while let Some(message) = read(&mut from_client).await {
            {
                let mut state = state.lock().expect("nobody panics");
                if let Some((_, fault)) = state.fault.take_if(|(command, _)| is_command(&message, command)) {
                    *next.lock().expect("nobody panics") = Some(fault);
                }
                state.commands.push(message.clone());
            }
            if to_server.write_all(&message).await.is_err() {
                return;
            }
        }
    });
    while let Some(mut message) = read(&mut from_server).await {
        match fault.lock().expect("nobody panics").take() {
            None => {}
            Some(Fault::Lost) => break,
            Some(Fault::OneLess) => count_less(&mut message),
            Some(Fault::Noise) => message[16..].fill(0xFF),
        }
        if to_client.write_all(&message).await.is_err() {
            break;
        }
    }
    requests.abort();
}

/// A message: its length, as 32 bits in front, is that of all of it.
async fn read(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; 4];
    from.read_exact(&mut message).await.ok()?;
    let length = u32::from_le_bytes(message[..4].try_into().ok()?);
    message.resize(usize::try_from(length).ok()?, 0);
    from.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}

/// Returns true for a message (`OP_MSG`) whose first section is a document that begins with this name.
fn is_command(message: &[u8], name: &str) -> bool {
    // 16 bytes of a header, 4 of flags, the kind of the section, 4 of the document's length, the type of the value.
    message.get(20) == Some(&0)
        && message
            .get(26..)
            .is_some_and(|rest| rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)))
}

/// Changes the `n` of an answer, a number of 32 bits.
fn count_less(message: &mut [u8]) {
    let at = message.windows(3).position(|bytes| bytes == b"\x10n\0").expect("the answer has a count");
    let count = &mut message[at + 3..at + 7];
    let number = i32::from_le_bytes(count.try_into().expect("4 bytes"));
    count.copy_from_slice(&(number - 1).to_le_bytes());
}
