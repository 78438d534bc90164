//! The parts that the private servers of tests have alike.

#![allow(dead_code)] // Each test binary uses another part.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A session in a database's client that stays open until it is dropped.
pub(crate) struct Held {
    child: Child,
    input: Option<ChildStdin>,
}

impl Held {
    /// Starts the client and waits until it has printed a line `held`, with which the statements end.
    pub(crate) fn open(client: &mut Command, statements: &str) -> Self {
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let mut input = child.stdin.take().expect("it is piped");
        writeln!(input, "{statements}").expect("the client reads");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        while line.trim_end() != "held" {
            line.clear();
            let read = output.read_line(&mut line).expect("the client prints");
            assert!(read > 0, "the client ended: {statements}");
        }
        Self { child, input: Some(input) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // At the end of its input the client ends, and the server rolls back.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// A name that nothing else of this process has.
pub(crate) fn unique(prefix: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}_{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `is_so`, for as long as anything may take here.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + START_WITHIN;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Starts a server and waits until it answers. One that ends at once is started again: the one before may hold its files, or
/// its memory, for a moment.
pub(crate) fn started(mut spawn: impl FnMut() -> Child, answers: impl Fn() -> bool, log: impl Fn() -> String) -> Child {
    let deadline = Instant::now() + START_WITHIN;
    loop {
        let mut child = spawn();
        while child.try_wait().expect("a child can be waited for").is_none() {
            if answers() {
                return child;
            }
            assert!(Instant::now() < deadline, "the server does not answer: {}", log());
            // There is no event to wait on.
            std::thread::sleep(POLL);
        }
        assert!(Instant::now() < deadline, "the server does not start: {}", log());
        std::thread::sleep(POLL);
    }
}

/// A shell that removes the folder of a server, its `$0`, once this process has ended, and with it the other end of the shell's
/// standard input. The script ends the server before that.
pub(crate) fn janitor(mut shell: Command, script: &str, folder: &Path) -> Child {
    shell
        .arg("-c")
        .arg(format!("trap '' INT TERM HUP; cat >/dev/null; {script}; rm -rf \"$0\""))
        .arg(folder)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell")
}

/// A data folder that each server of this process gets a copy of: to make one takes seconds.
pub(crate) struct DataTemplate {
    data: PathBuf,
    _janitor: Child,
}

impl DataTemplate {
    /// Makes a folder of this name for the account. `make` makes `data` in it.
    pub(crate) fn new(name: &str, account: Option<Account>, make: impl FnOnce(&Path) -> io::Result<Output>) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}-data", std::process::id()));
        fs::create_dir(&folder).expect("a folder of this name is new");
        if let Some(Account { uid, gid }) = account {
            chown(&folder, Some(uid), Some(gid)).expect("root can give a folder away");
        }
        let janitor = janitor(Command::new("/bin/sh"), ":", &folder);
        let made = make(&folder).expect("the programs of the server start");
        assert!(made.status.success(), "no data folder: {}", String::from_utf8_lossy(&made.stderr));
        Self { data: folder.join("data"), _janitor: janitor }
    }

    /// Copies it.
    pub(crate) fn copy_to(&self, data: &Path) -> io::Result<Output> {
        Command::new("cp").args(["-a", "--sparse=always"]).arg(&self.data).arg(data).output()
    }
}

/// Installs a package of Debian's.
pub(crate) fn install(package: &str) {
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", package]] {
        let done = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .unwrap_or_else(|error| panic!("{package} is missing, and so is apt-get: install {package}: {error}"));
        assert!(done.status.success(), "apt-get {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// The account of a server: servers refuse to run as root.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// For root the account of this name, which Debian's package makes; for anybody else themselves.
    pub(crate) fn of_server(name: &str) -> Option<Self> {
        if !is_root() {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").expect("there is a list of accounts");
        let account = accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next()? == name;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_it.then_some(Self { uid, gid })
        });
        Some(account.unwrap_or_else(|| panic!("there is no account `{name}`")))
    }
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc is there").uid() == 0
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

pub(crate) const START_WITHIN: Duration = Duration::from_secs(60);
pub(crate) const POLL: Duration = Duration::from_millis(5);
