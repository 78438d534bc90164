//! A store of its own for each test, and the program to run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tower_audit::store::{self, OpenOptions};
use tower_audit::{Actor, AuditEvent, EventType};

/// A folder with an SQLite store in it.
pub(crate) struct Store {
    folder: TempDir,
}

impl Store {
    /// A folder in which no store was made yet.
    pub(crate) fn none() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the test") }
    }

    /// A store of these events.
    pub(crate) fn of(events: &[AuditEvent]) -> Self {
        let this = Self::none();
        this.append(events);
        this
    }

    /// Appends to the store, which is made if it is not there.
    pub(crate) fn append(&self, events: &[AuditEvent]) {
        append(&self.url(), events);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file beside the store.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the file is written");
        path
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("audit.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    /// The program with these arguments and the store's URL in `AUDIT_URL`.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = program(words);
        command.env("AUDIT_URL", self.url());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Run {
        Run::of(self.command(words))
    }

    pub(crate) fn count(&self) -> u64 {
        self.run(&["count"]).ok().trim().parse().expect("a number")
    }

    /// The events that `query --all` prints with these arguments.
    pub(crate) fn query(&self, words: &[&str]) -> Vec<AuditEvent> {
        serde_json::from_str(&self.run(&[&["query", "--all"], words].concat()).ok()).expect("a JSON array of events")
    }
}

/// Appends to the store of this URL, which is made if it is not there.
pub(crate) fn append(url: &str, events: &[AuditEvent]) {
    runtime().block_on(async {
        let store = store::open(url, OpenOptions::default()).await.expect("the store opens");
        for batch in events.chunks(500) {
            store.append(batch).await.expect("the events are kept");
        }
        store.close().await.expect("the store closes");
    });
}

/// The program with these arguments and without its environment variables.
pub(crate) fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-audit"));
    command.args(words).stdin(Stdio::null());
    for name in ["AUDIT_URL", "DATABASE_URL", "USER", "LOGNAME", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program on a terminal of this width and returns its output and errors.
pub(crate) fn on_terminal(command: Command, columns: usize) -> String {
    let done = terminal(&command, columns).output().expect("`script` gives a program a terminal");
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    String::from_utf8(done.stdout).expect("UTF-8 on a terminal")
}

/// The program on a terminal of this width, with `TERM=xterm-256color`.
pub(crate) fn terminal(command: &Command, columns: usize) -> Command {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("UTF-8").replace('\'', r"'\''"));
    let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty cols {columns} rows 40; exec {}", words.join(" ")))
        .arg("/dev/null")
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script
}

/// Runs the program on a terminal, types `answer` at its question, and returns the screen and the exit code.
#[cfg(unix)]
pub(crate) fn answered(command: &Command, answer: &str) -> (String, Option<i32>) {
    use std::io::{Read as _, Write as _};
    let mut shown = terminal(command, 120)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` gives a program a terminal");
    let mut screen = shown.stdout.take().expect("a pipe");
    let mut keys = shown.stdin.take().expect("a pipe");
    let (mut text, mut has_answered) = (Vec::new(), false);
    loop {
        let mut more = [0; 256];
        match screen.read(&mut more).expect("the screen") {
            0 => break,
            bytes => text.extend_from_slice(&more[..bytes]),
        }
        if !has_answered && (text.ends_with(b"] ") || text.ends_with(b": ")) {
            keys.write_all(format!("{answer}\n").as_bytes()).expect("it is typed");
            has_answered = true;
        }
    }
    let code = shown.wait().expect("it ends").code();
    (String::from_utf8(text).expect("UTF-8 on a terminal"), code)
}

/// The output and exit code of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(stderr).expect("UTF-8 on stderr"),
        }
    }

    /// Expects success and returns the output.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "");
        self.stdout
    }

    /// Expects success and returns output and stderr.
    pub(crate) fn ok_saying(self) -> (String, String) {
        assert_eq!(self.code, Some(0), "{self:?}");
        (self.stdout, self.stderr)
    }

    /// Expects this exit code and no output, and returns stderr.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "");
        assert!(self.stderr.starts_with("tower-audit: "), "{self:?}");
        self.stderr
    }
}

/// An event of each sort that the filters tell apart, oldest first.
pub(crate) fn samples() -> Vec<AuditEvent> {
    let mut alice = at(EventType::UPLOAD, "2026-05-01T10:00:00Z");
    alice.actor = Actor::user("alice@example.org");
    alice.actor.remote_addr = Some("192.0.2.7".into());
    alice.resource.route = Some("/scans".into());
    alice.resource.method = Some("POST".into());
    alice.outcome = Some(200);
    alice.details.insert("files".into(), 3.into());

    let mut bob = at(EventType::ADMIN_ACTION, "2026-05-02T10:00:00Z");
    bob.actor = Actor::user("bob@example.org");
    bob.actor.remote_addr = Some("2001:db8::7".into());
    bob.resource.route = Some("/auth/admin/users/{id}".into());
    bob.resource.method = Some("DELETE".into());
    bob.outcome = Some(403);

    let mut started = at(EventType::ADMIN_ACTION, "2026-05-03T10:00:00Z");
    started.phase = tower_audit::Phase::Started;
    started.resource.method = Some("PUT".into());

    vec![alice, bob, started]
}

/// This many plain events, a second apart, oldest first.
pub(crate) fn many(count: u32, first: &str) -> Vec<AuditEvent> {
    let first: tower_audit::Timestamp = first.parse().expect("a time");
    (0..i64::from(count))
        .map(|n| {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.created_at =
                tower_audit::Timestamp::from_micros(first.as_micros() + n * 1_000_000).expect("in range");
            event
        })
        .collect()
}

pub(crate) fn at(event_type: EventType, time: &str) -> AuditEvent {
    let mut event = AuditEvent::new(event_type);
    event.created_at = time.parse().expect("a time");
    event
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
