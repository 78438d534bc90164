//! A private MariaDB for tests: installed if it is missing, in a temporary folder, on a free port of this machine,
//! gone when the test binary ends, however it ends.
//!
//! The server is a direct child of this process, so that it can be killed and waited for. A small shell beside it holds the
//! other end of a pipe; when the pipe breaks, because this process has ended, it kills the server and removes the folder.

#![allow(dead_code, unused_imports)] // Each test binary uses another part.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::private_server::{Account, DataTemplate, Held, free_port, install, is_root, janitor, started};
pub(crate) use crate::private_server::{eventually, unique};

/// A server and where its files are.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    process: Mutex<Option<Child>>,
    _janitor: Child,
}

impl Server {
    /// The one that all tests of this binary share. It is never configured by a test, nor restarted.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        // Tables of one file each would take a second to make, for each test.
        SHARED.get_or_init(|| Self::start_with(&["--innodb-file-per-table=0"]))
    }

    /// One for a test that stops it, or changes what all of its sessions share.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let server = Self::prepare(arguments);
        server.resume();
        server
    }

    /// One that is not started yet.
    fn prepare(arguments: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        find_or_install();
        // A short name: the path of a socket has 107 bytes at the most.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tamy-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder of this name is new");
        give(&folder);
        // The server's processes hold files for a moment after its end.
        let script = r#"[ -s "$0/pid" ] && kill -KILL "$(cat "$0/pid")"; sleep 0.2"#;
        let janitor = janitor(Command::new("/bin/sh"), script, &folder);
        static TEMPLATE: OnceLock<DataTemplate> = OnceLock::new();
        let init = |folder: &Path| {
            let mut install = as_account(Command::new("mariadb-install-db"));
            install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", LOG_SIZE]);
            // Two that are made at the same time would share the names of temporary tables.
            install.env("TMPDIR", folder).arg(format!("--datadir={}", folder.join("data").display())).output()
        };
        let template = TEMPLATE.get_or_init(|| DataTemplate::new("tamy", Account::of_server("mysql"), init));
        let made = template.copy_to(&folder.join("data")).expect("there is a `cp`");
        assert!(made.status.success(), "no data folder: {}", String::from_utf8_lossy(&made.stderr));
        let accounts = "CREATE USER IF NOT EXISTS 'root'@'%'; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION; CREATE DATABASE IF NOT EXISTS audit;";
        fs::write(folder.join("accounts.sql"), accounts.replace("; ", ";\n")).expect("the folder is ours");
        Self {
            folder,
            port: free_port(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            process: Mutex::new(None),
            _janitor: janitor,
        }
    }

    /// Starts the server again after [`crash`](Self::crash) or [`stop`](Self::stop).
    pub(crate) fn resume(&self) {
        self.resume_with(&[]);
    }

    /// Starts the server again, with arguments that hold until it ends.
    pub(crate) fn resume_with(&self, arguments: &[&str]) {
        let mut process = self.process.lock().expect("no test panics under this lock");
        *process = Some(started(|| self.spawn(arguments), || self.answers(), || self.log()));
    }

    /// Kills the server, as a loss of power would: what was not committed is gone.
    pub(crate) fn crash(&self) {
        self.end("-KILL");
    }

    /// Ends the server in order; sessions are ended.
    pub(crate) fn stop(&self) {
        self.end("-TERM");
    }

    /// Stops the server's process; its connections stay.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn unpause(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.lock().expect("no test panics under this lock");
        send(signal, process.as_ref().expect("the server runs"));
    }

    fn end(&self, signal: &str) {
        let mut process = self.process.lock().expect("no test panics under this lock");
        let Some(mut child) = process.take() else { return };
        send(signal, &child);
        child.wait().expect("a child can be waited for");
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"));
        let log = log.expect("the log can be written");
        let mut command = Command::new(program("mariadbd"));
        command.arg("--no-defaults");
        if is_root() {
            command.arg("--user=mysql");
        }
        command
            .arg(format!("--datadir={}", self.folder.join("data").display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.join("pid").display()))
            .arg(format!("--init-file={}", self.folder.join("accounts.sql").display()))
            .arg(format!("--tmpdir={}", self.folder.display()))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=200"])
            .args(["--innodb-buffer-pool-size=64M", LOG_SIZE])
            .args(&self.arguments)
            .args(arguments)
            // A Ctrl-C at the terminal is for the test; the janitor sees to the server.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mariadbd starts")
    }

    fn answers(&self) -> bool {
        // A refused connection costs less than a client that ends with it.
        TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.asked()
    }

    fn asked(&self) -> bool {
        self.client("root").args(["-e", "SELECT 1"]).output().is_ok_and(|asked| asked.status.success())
    }

    /// The server's log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The server's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// A folder that the server may write to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The output of the client for these statements, as root.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let done = self.client("root").args(["-e", sql, database]).output().expect("the client starts");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("the client prints UTF-8").trim_end().to_owned()
    }

    fn client(&self, account: &str) -> Command {
        let mut command = Command::new("mariadb");
        command
            .args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-P", &self.port.to_string(), "-u", account])
            .args(["-N", "-B", "--connect-timeout=5"]);
        command
    }

    /// A new, empty database.
    pub(crate) fn database(&self) -> Database<'_> {
        let database = Database { server: self, name: unique("db") };
        self.sql("mysql", &format!("CREATE DATABASE {}", database.name));
        database
    }

    /// The URL of a database for an account.
    pub(crate) fn url_as(&self, account: &str, database: &str) -> String {
        format!("mysql://{account}@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A database of its own, which lasts as long as its server.
pub(crate) struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Database<'_> {
    pub(crate) fn url(&self) -> String {
        self.url_as("root")
    }

    pub(crate) fn url_as(&self, account: &str) -> String {
        self.server.url_as(account, &self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }

    /// The output of the client for these statements, as an account.
    pub(crate) fn sql_as(&self, account: &str, sql: &str) -> Result<String, String> {
        let done: Output =
            self.server.client(account).args(["-e", sql, &self.name]).output().expect("the client starts");
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    /// A session of root that has done this and stays open until it is dropped.
    pub(crate) fn hold(&self, sql: &str) -> Held {
        let mut client = self.server.client("root");
        Held::open(client.arg("--unbuffered").arg(&self.name), &format!("{sql}; SELECT 'held';"))
    }
}

/// Of a template and of its copies: a server would make a log of another size anew.
const LOG_SIZE: &str = "--innodb-log-file-size=32M";

/// Debian's package is installed if there is no MariaDB. It starts no service: a policy of this moment forbids that.
fn find_or_install() {
    static FOUND: OnceLock<()> = OnceLock::new();
    FOUND.get_or_init(|| {
        if program("mariadbd").exists() {
            return;
        }
        install("mariadb-server");
        assert!(program("mariadbd").exists(), "the package `mariadb-server` brings the server");
    });
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut found = folders.map(|folder| folder.join(name)).filter(|path| path.exists());
    found.next().unwrap_or_else(|| Path::new("/usr/sbin").join(name))
}

fn give(path: &Path) {
    if let Some(Account { uid, gid }) = Account::of_server("mysql") {
        chown(path, Some(uid), Some(gid)).expect("root can give a folder away");
    }
}

fn as_account(mut command: Command) -> Command {
    if let Some(Account { uid, gid }) = Account::of_server("mysql") {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("there is a `kill`").success(), "kill {signal}");
}
