//! The reference server as a child process.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Answer, Client, Request, SOON, reference, until};

/// Settings of a server.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    words: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    stderr: Stderr,
}

/// The stderr of a server.
#[derive(Debug, Clone)]
enum Stderr {
    /// A pipe that somebody reads.
    Heard,
    /// A pipe whose reader goes away once the server listens.
    Broken,
    File(PathBuf),
}

impl Settings {
    /// A server with its log at this URL.
    pub(crate) fn new(url: &str) -> Self {
        Self { words: vec![reference().into()], variables: Vec::new(), stderr: Stderr::Heard }
            .env("AUDIT_URL", url)
            .env("LISTEN", "127.0.0.1:0")
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn deadline(self, deadline: Duration) -> Self {
        self.env("WRITE_DEADLINE_MS", deadline.as_millis().to_string())
    }

    /// Once it listens, every write to stderr fails: the reader is gone.
    pub(crate) fn stderr_breaks(mut self) -> Self {
        self.stderr = Stderr::Broken;
        self
    }

    /// Its stderr is this file.
    pub(crate) fn stderr_to(mut self, path: PathBuf) -> Self {
        self.stderr = Stderr::File(path);
        self
    }

    /// Started by another program, which becomes it or is its parent in name only.
    pub(crate) fn under<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.splice(0..0, words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Another copy of the server.
    pub(crate) fn binary(mut self, path: impl AsRef<OsStr>) -> Self {
        self.words.pop();
        self.words.push(path.as_ref().to_owned());
        self
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(&self) -> Starting {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        match &self.stderr {
            Stderr::Heard | Stderr::Broken => command.stderr(Stdio::piped()),
            Stderr::File(path) => command.stderr(File::create(path).expect("a file for stderr")),
        };
        for name in ["EFFECTS", "MAX_RESULTS", "WRITE_DEADLINE_MS", "UPLOAD_WRITE_AHEAD", "SEAL_KEY", "RUST_BACKTRACE"]
        {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().expect("the server starts");
        let said = Said::default();
        let (found, address) = mpsc::channel();
        let heard = said.clone();
        let breaks = matches!(self.stderr, Stderr::Broken);
        match (&self.stderr, child.stderr.take()) {
            (Stderr::File(path), _) => {
                let line = until("the server says where it listens", SOON, || {
                    let text = fs::read_to_string(path).expect("stderr can be read");
                    text.lines().find(|line| listens(line).is_some() && text.ends_with('\n')).map(str::to_owned)
                });
                heard.add(&line);
                let _ = found.send(listens(&line).expect("it listens"));
            }
            (_, errors) => {
                let errors = BufReader::new(errors.expect("it was piped"));
                thread::spawn(move || {
                    for line in errors.lines().map_while(Result::ok) {
                        heard.add(&line);
                        if let Some(address) = listens(&line) {
                            // The test that has killed it meanwhile ignores the end.
                            let _ = found.send(address);
                            if breaks {
                                return;
                            }
                        }
                    }
                });
            }
        }
        Starting { child, said, address }
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        match self.spawn().listening() {
            Ok(server) => server,
            Err(exit) => panic!("the server did not start: {exit:?}"),
        }
    }

    /// Starts it and waits until it has refused to.
    #[track_caller]
    pub(crate) fn refused(&self) -> Exit {
        match self.spawn().listening() {
            Ok(server) => panic!("the server started: {}", server.said()),
            Err(exit) => exit,
        }
    }
}

/// Returns the address in the line that says where the server listens.
fn listens(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening on http://").and_then(|address| address.parse().ok())
}

/// The stderr of a server so far.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn add(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The exit of a server that ended without a signal.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// A server that may not listen yet.
pub(crate) struct Starting {
    child: Child,
    said: Said,
    address: Receiver<SocketAddr>,
}

impl Starting {
    /// Waits until it listens, or has ended.
    pub(crate) fn listening(mut self) -> Result<Server, Exit> {
        match self.address.recv_timeout(SOON) {
            Ok(address) => Ok(Server { child: self.child, said: self.said, address }),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().expect("it can be waited for");
                Err(Exit { status, stderr: self.said.text() })
            }
            Err(RecvTimeoutError::Timeout) => {
                let said = self.said.text();
                self.kill();
                panic!("the server neither listens nor ends: {said}");
            }
        }
    }

    /// Kills it wherever it is.
    pub(crate) fn kill(mut self) {
        end(&mut self.child);
    }
}

/// A server that listens. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    said: Said,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Returns its stderr so far.
    pub(crate) fn said(&self) -> String {
        self.said.text()
    }

    /// The answer to a request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        match self.client().send(request) {
            Ok(answer) => answer,
            Err(cut) => panic!("no answer: {}\n{}", cut.error, self.said()),
        }
    }

    /// Returns the status of its health check.
    #[track_caller]
    pub(crate) fn health(&self) -> u16 {
        self.ask(&Request::get("/health/audit")).status
    }

    /// Waits until its health check has this status.
    #[track_caller]
    pub(crate) fn until_health(&self, status: u16) {
        until(&format!("health {status}"), SOON, || (self.health() == status).then_some(()));
    }

    /// Kills it, with no chance to do anything.
    pub(crate) fn kill(mut self) {
        end(&mut self.child);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the signal can be sent");
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Exit {
        let status = until("the server ends", SOON, || self.child.try_wait().expect("it can be waited for"));
        Exit { status, stderr: self.said() }
    }

    /// Asks it to end and waits until it has, in good order.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.terminate();
        let exit = self.ended();
        assert!(exit.status.success(), "{exit:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // Fails only if it has been waited for.
    let _ = child.kill();
    let _ = child.wait();
}
