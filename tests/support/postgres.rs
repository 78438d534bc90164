//! A private PostgreSQL for tests: installed if it is missing, in a temporary folder, on a free port of this machine,
//! gone when the test binary ends, however it ends.
//!
//! The server is a direct child of this process, so that it can be killed and waited for: nothing is left that a
//! restart could stumble over. A small shell beside it holds the other end of a pipe; when the pipe breaks, because
//! this process has ended, it stops the server and removes the folder.

#![allow(dead_code, unused_imports)] // Each test binary uses another part.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::private_server::{Account, DataTemplate, Held, free_port, install, janitor, started};
pub(crate) use crate::private_server::{eventually, unique};

/// A server and where its files are.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
    account: Option<Account>,
    /// The configuration of one server may be changed by one test at a time; that test has a cluster of its own.
    server: Mutex<Option<Child>>,
    _janitor: Child,
}

impl Cluster {
    /// The one that all tests of this binary share. It is never configured by a test, nor restarted.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One for a test that stops it, or changes what all of its sessions share.
    pub(crate) fn start() -> Self {
        static TEMPLATE: OnceLock<DataTemplate> = OnceLock::new();
        Self::start_from(|programs, account, folder| {
            let init = |folder: &Path| {
                as_account(&programs.join("initdb"), account)
                    .current_dir(folder)
                    .arg("-D")
                    .arg(folder.join("data"))
                    // A loss of power would take the tests with it.
                    .args(["-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"])
                    .output()
            };
            TEMPLATE.get_or_init(|| DataTemplate::new("tapg", account, init)).copy_to(&folder.join("data"))
        })
    }

    /// A copy of this one that follows it, and is `replica` for its `synchronous_standby_names`.
    pub(crate) fn start_standby(&self) -> Self {
        let primary = format!("host=127.0.0.1 port={} user=postgres application_name=replica", self.port);
        Self::start_from(|programs, account, folder| {
            as_account(&programs.join("pg_basebackup"), account)
                .current_dir(folder)
                .arg("-D")
                .arg(folder.join("data"))
                .args(["-R", "-c", "fast", "-d", &primary])
                .output()
        })
    }

    /// One whose data folder is made by another program.
    fn start_from(make: impl FnOnce(&Path, Option<Account>, &Path) -> std::io::Result<Output>) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let programs = programs();
        let account = Account::of_server("postgres");
        // A short name: the path of a socket has 107 bytes at the most.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tapg-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder of this name is new");
        if let Some(Account { uid, gid }) = account {
            chown(&folder, Some(uid), Some(gid)).expect("root can give a folder away");
        }
        let script = format!(r#""{}/pg_ctl" -D "$0/data" -m immediate -w stop"#, programs.display());
        let janitor = janitor(as_account(Path::new("/bin/sh"), account), &script, &folder);
        let made = make(&programs, account, &folder).expect("the programs of PostgreSQL start");
        assert!(made.status.success(), "no data folder: {}", String::from_utf8_lossy(&made.stderr));
        let cluster =
            Self { port: free_port(), folder, programs, account, server: Mutex::new(None), _janitor: janitor };
        cluster.resume();
        cluster
    }

    /// Starts the server again after [`crash`](Self::crash) or [`stop`](Self::stop).
    pub(crate) fn resume(&self) {
        let mut server = self.server.lock().expect("no test panics under this lock");
        *server = Some(started(|| self.spawn(), || self.answers(), || self.log()));
    }

    /// Ends the server at once, as a loss of power would: what was not committed is gone.
    pub(crate) fn crash(&self) {
        self.end("immediate");
    }

    /// Ends the server in order; sessions are ended.
    pub(crate) fn stop(&self) {
        self.end("fast");
    }

    fn end(&self, mode: &str) {
        let mut server = self.server.lock().expect("no test panics under this lock");
        let Some(mut child) = server.take() else { return };
        let asked = as_account(&self.programs.join("pg_ctl"), self.account)
            .current_dir(&self.folder)
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-m", mode, "-W", "stop"])
            .output()
            .expect("pg_ctl starts");
        assert!(asked.status.success(), "pg_ctl: {}", String::from_utf8_lossy(&asked.stderr));
        child.wait().expect("a child can be waited for");
    }

    fn spawn(&self) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"));
        as_account(&self.programs.join("postgres"), self.account)
            .current_dir(&self.folder)
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
            // After a crash, each file of the folder would be synced by itself, which takes seconds on a busy machine.
            .args(["-c", "recovery_init_sync_method=syncfs", "-k"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            // A Ctrl-C at the terminal is for the test; the janitor sees to the server.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the log can be written"))
            .spawn()
            .expect("postgres starts")
    }

    fn answers(&self) -> bool {
        let asked = Command::new(self.programs.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// The server's log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A file beside the server's data that only the server may read, and where it is.
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.create(true).truncate(true).write(true).mode(0o600).open(&path).expect("the folder is ours");
        file.write_all(contents).expect("the file can be written");
        if let Some(Account { uid, gid }) = self.account {
            chown(&path, Some(uid), Some(gid)).expect("root can give a file away");
        }
        path
    }

    /// A disk of so many bytes that the server may write to. The namespace of mounts must be ours alone.
    pub(crate) fn small_disk(&self, bytes: u64) -> PathBuf {
        let path = self.folder.join("disk");
        fs::create_dir(&path).expect("the folder is ours");
        let options = match self.account {
            Some(Account { uid, gid }) => format!("size={bytes},uid={uid},gid={gid},mode=700"),
            None => format!("size={bytes}"),
        };
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status();
        assert!(mounted.expect("there is a `mount`").success(), "no disk");
        path
    }

    /// Makes the server, which is stopped, a standby that nobody replicates to.
    pub(crate) fn make_standby(&self) {
        let signal = self.folder.join("data/standby.signal");
        fs::write(&signal, "").expect("the data folder can be written");
        if let Some(Account { uid, gid }) = self.account {
            chown(&signal, Some(uid), Some(gid)).expect("root can give a file away");
        }
    }

    /// The output of psql for these statements, each in a transaction of its own, as the superuser.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let done = self.psql("postgres", database, sql);
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("psql prints UTF-8").trim_end().to_owned()
    }

    fn psql(&self, role: &str, database: &str, sql: &str) -> Output {
        self.psql_command(role, database).args(["-c", sql]).output().expect("psql starts")
    }

    fn psql_command(&self, role: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", role, "-d", database])
            .args(["-v", "ON_ERROR_STOP=1", "-qXAt"])
            .env_remove("PGOPTIONS");
        command
    }

    /// A new, empty database.
    pub(crate) fn database(&self) -> Database<'_> {
        let database = Database { cluster: self, name: unique("db") };
        self.sql("postgres", &format!("CREATE DATABASE {}", database.name));
        database
    }

    /// The URL of a database for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// The URL of a database for a role.
    pub(crate) fn url_as(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A database of its own, which lasts as long as its cluster.
pub(crate) struct Database<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Database<'_> {
    pub(crate) fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    pub(crate) fn url_as(&self, role: &str) -> String {
        self.cluster.url_as(role, &self.name)
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.name, sql)
    }

    /// The message of psql when this role is refused this statement.
    pub(crate) fn refusal_as(&self, role: &str, sql: &str) -> String {
        let done = self.cluster.psql(role, &self.name, sql);
        assert!(!done.status.success(), "{role} may: {sql}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    }

    /// The output of psql for these statements, as this role in one transaction.
    pub(crate) fn sql_as(&self, role: &str, sql: &str) -> String {
        let done = self.cluster.psql(role, &self.name, sql);
        assert!(done.status.success(), "{role}: {sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("psql prints UTF-8").trim_end().to_owned()
    }

    /// A transaction of the superuser that has done this and stays open until it is dropped.
    pub(crate) fn hold(&self, sql: &str) -> Held {
        let mut client = self.cluster.psql_command("postgres", &self.name);
        Held::open(&mut client, &format!("BEGIN; {sql}; \\echo held"))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the role of the log at its usual place that may do this: `appender`, `reader` or `purger`.
    pub(crate) fn role(&self, of: &str) -> String {
        format!("{}_public_audit_events_{of}", self.name)
    }

    /// A new account that has this role.
    pub(crate) fn account_of(&self, role: &str) -> String {
        let account = unique("account");
        self.sql(&format!("CREATE ROLE {account} LOGIN IN ROLE \"{role}\""));
        account
    }
}

/// The newest PostgreSQL of the machine; Debian's is installed if there is none.
fn programs() -> PathBuf {
    // Looked for once: of tests that begin at the same time, one installs it and the others wait.
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        find_programs().unwrap_or_else(|| {
            install("postgresql");
            find_programs().expect("the package `postgresql` brings the server")
        })
    };
    PROGRAMS.get_or_init(find).clone()
}

fn find_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("postgres").exists())
        .max();
    if let Some((_, programs)) = debian {
        return Some(programs);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
}

fn as_account(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    // Nothing of the tester's own set-up leaks in.
    command.env_clear().env("LC_ALL", "C").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}
