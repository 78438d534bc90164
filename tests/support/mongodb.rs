//! A private MongoDB server for tests: SecantusDB, installed by pip if it is missing, in a temporary folder, on a free port of
//! this machine, gone when the test binary ends, however it ends.
//!
//! It speaks MongoDB's protocol over WiredTiger, and is another's program: it runs as a process of its own. The server is a
//! direct child, so that it can be killed and waited for; a shell beside it holds the other end of a pipe, and cleans up when
//! this process has ended.

#![allow(dead_code)] // Each test binary uses another part.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) use crate::private_server::unique;
use crate::private_server::{free_port, janitor, started};

/// The server's version, and the readers of the tests: the only place that names them. The server is a beta, and old betas go
/// away: a newer one must pass every test before it takes this one's place.
const PACKAGES: [&str; 2] = ["SecantusDB==0.7.0b3", "pymongo==4.20.1"];

/// A server and where its files are.
pub(crate) struct MongodbServer {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Mutex<Option<Child>>,
    _janitor: Child,
}

impl MongodbServer {
    /// The one that all tests of this binary share. It is never stopped by a test.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<MongodbServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// One for a test that stops it, or starts it with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tamg-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder of this name is new");
        let server = Self {
            _janitor: janitor(Command::new("/bin/sh"), r#"kill -9 "$(cat "$0/pid")""#, &folder),
            folder,
            port: free_port(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            child: Mutex::new(None),
        };
        server.resume();
        server
    }

    /// The address of a database that nothing else of this process has.
    pub(crate) fn new_url(&self) -> String {
        self.url(&unique("db"))
    }

    /// The address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?directConnection=true", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the server again after [`crash`](Self::crash).
    pub(crate) fn resume(&self) {
        self.resume_with(&[]);
    }

    /// Starts the server again, with further arguments.
    pub(crate) fn resume_with(&self, further: &[&str]) {
        let mut running = self.child.lock().expect("no test panics under this lock");
        let answers = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        *running = Some(started(|| self.spawn(further), answers, || self.log()));
    }

    fn spawn(&self, further: &[&str]) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let child = Command::new(programs().join("secantusd-py"))
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--storage-path"])
            .arg(self.folder.join("data"))
            // Without `--sync-on-commit`: only a write that asks for its journal is on the disk when it is acknowledged.
            .args(["--cache-size", "256M", "--log-level", "WARNING"])
            .args(&self.arguments)
            .args(further)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        fs::write(self.folder.join("pid"), child.id().to_string()).expect("the folder can be written");
        child
    }

    /// Kills the server.
    pub(crate) fn crash(&self) {
        let Some(mut child) = self.child.lock().expect("no test panics under this lock").take() else { return };
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// Stops the server where it is: it answers nothing until [`wake`](Self::wake).
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn wake(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let running = self.child.lock().expect("no test panics under this lock");
        let child = running.as_ref().expect("the server runs");
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
    }

    /// Runs lines of Python with `db`, pymongo's database, and `out`, a function that prints JSON; returns the output.
    pub(crate) fn shell(&self, url: &str, script: &str) -> String {
        let begin = "import sys, json, bson\nfrom datetime import *\nfrom pymongo import MongoClient\n\
            db = MongoClient(sys.argv[1]).get_default_database()\n\
            out = lambda value: print(json.dumps(value, default=str, sort_keys=True))\n";
        let done = Command::new(programs().join("python"))
            .args(["-W", "ignore", "-c", &format!("{begin}{script}"), url])
            .output()
            .expect("Python starts");
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("Python prints UTF-8").trim_end().to_owned()
    }

    /// The server's log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for MongodbServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The folder with the server and a Python that has pymongo, made once for each target folder.
pub(crate) fn programs() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(install).clone()
}

fn install() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(target).expect("the target folder can be written");
    // Test binaries run beside each other; a lock of the folder ends with its process.
    let lock = fs::File::create(target.join("mongodb.lock")).expect("the target folder can be written");
    lock.lock().expect("the file can be locked");
    let folder = target.join(format!("mongodb-{}", PACKAGES.join("-").replace("==", "-")));
    let python = folder.join("bin/python");
    let has_them = || {
        let asked = Command::new(&python).args(["-c", "import secantus, pymongo"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if !has_them() {
        run(Path::new("python3"), &["-m", "venv", "--clear", folder.to_str().expect("a path in UTF-8")]);
        run(&python, &[&["-m", "pip", "install", "-q", "--disable-pip-version-check"], &PACKAGES[..]].concat());
        assert!(has_them(), "SecantusDB was installed and is not there");
    }
    folder.join("bin")
}

fn run(program: &Path, words: &[&str]) {
    let done = Command::new(program).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("MongoDB cannot be tested: {}: {error}", program.display()));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "MongoDB cannot be tested: {} {words:?}: {said}", program.display());
}
