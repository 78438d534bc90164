//! Private collectors: direct children of the test, in a temporary folder, on free ports.

use std::env::consts::ARCH;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::debian_packages;

/// A collector that writes each message as a line of JSON.
pub(crate) struct Collector {
    folder: TempDir,
    kind: Kind,
    pub(crate) udp: u16,
    pub(crate) tcp: u16,
    pub(crate) tls: u16,
    child: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsyslog,
    SyslogNg,
}

/// The time for anything that a collector does.
const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

impl Collector {
    /// rsyslog as Debian has it, with room for large messages.
    pub(crate) fn rsyslog() -> Self {
        debian_packages::install("/usr/sbin/rsyslogd", "rsyslog");
        Self::start_new(Kind::Rsyslog, RSYSLOG, |_| ())
    }

    /// rsyslog with its own limit of a message's size.
    pub(crate) fn rsyslog_with_default_size() -> Self {
        debian_packages::install("/usr/sbin/rsyslogd", "rsyslog");
        Self::start_new(Kind::Rsyslog, &RSYSLOG.replace(" maxMessageSize=\"256k\"", ""), |_| ())
    }

    /// rsyslog that asks for TLS on both sides, with `ca.pem`, `server.pem` and `server.key` from this folder.
    pub(crate) fn rsyslog_with_tls(certificates: &Path) -> Self {
        debian_packages::install("/usr/sbin/rsyslogd", "rsyslog");
        debian_packages::install(&format!("/usr/lib/{ARCH}-linux-gnu/rsyslog/lmnsd_gtls.so"), "rsyslog-gnutls");
        let configuration = format!("{TLS_FILES}{RSYSLOG}{TLS_INPUT}");
        Self::start_new(Kind::Rsyslog, &configuration, |folder| {
            for name in ["ca.pem", "server.pem", "server.key"] {
                fs::copy(certificates.join(name), folder.join(name)).expect("a certificate");
            }
        })
    }

    /// syslog-ng.
    pub(crate) fn syslog_ng() -> Self {
        debian_packages::syslog_ng();
        Self::start_new(Kind::SyslogNg, SYSLOG_NG, |_| ())
    }

    fn start_new(kind: Kind, configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        // A short name: the path of a socket has 107 bytes at the most.
        let folder = tempfile::Builder::new().prefix("tasl-").tempdir_in("/tmp").expect("a folder");
        prepare(folder.path());
        let [udp, tcp, tls] = free_ports();
        let configuration = configuration
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@UDP@", &udp.to_string())
            .replace("@TCP@", &tcp.to_string())
            .replace("@TLS@", &tls.to_string());
        fs::write(folder.path().join("conf"), configuration).expect("the folder is ours");
        let mut collector = Self { folder, kind, udp, tcp, tls, child: None };
        collector.start();
        collector
    }

    /// Starts the collector, and waits until it takes connections.
    pub(crate) fn start(&mut self) {
        let folder = self.folder.path().to_owned();
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("stderr")).expect("a file");
        // The kernel ends it with the thread of this test.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).current_dir(&folder).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        match self.kind {
            Kind::Rsyslog => {
                command
                    .args(["/usr/sbin/rsyslogd", "-n", "-f"])
                    .arg(folder.join("conf"))
                    .arg("-i")
                    .arg(folder.join("pid"));
            }
            Kind::SyslogNg => {
                let root = debian_packages::syslog_ng();
                let libraries = ["usr/lib/@-linux-gnu", "lib/@-linux-gnu", "usr/lib/syslog-ng"]
                    .map(|path| root.join(path.replace('@', ARCH)).display().to_string());
                command.env("LD_LIBRARY_PATH", libraries.join(":")).arg(root.join("usr/sbin/syslog-ng"));
                command.args(["-F", "--no-caps", "-f", "conf"]);
                command.arg(format!("--module-path={}", root.join("usr/lib/syslog-ng/3.38").display()));
                for (option, name) in [("-R", "state"), ("-c", "control"), ("--pidfile", "pid")] {
                    command.arg(option).arg(folder.join(name));
                }
            }
        }
        self.child = Some(command.spawn().expect("`setpriv` is a part of util-linux"));
        let port = self.tcp;
        self.wait("it takes connections", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// Kills the collector.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// The path of a file of the collector.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of a file, once there are this many.
    pub(crate) fn lines(&self, name: &str, count: usize) -> Vec<String> {
        let path = self.path(name);
        // A collector that cuts a message may cut a character.
        let read = || String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let mut length = 0;
        self.wait(&format!("{name} has {count} lines"), || {
            // Read when it has grown: it may have megabytes.
            let before = std::mem::replace(&mut length, fs::metadata(&path).map_or(0, |file| file.len()));
            length != before && read().matches('\n').count() >= count
        });
        let lines: Vec<_> = read().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{name}: {lines:#?}");
        lines
    }

    /// The messages, once there are this many.
    pub(crate) fn messages(&self, count: usize) -> Vec<Value> {
        let lines = self.lines("messages.json", count);
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition() {
            let log = || fs::read_to_string(self.path("stderr")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{:?}: not in time: {what}: {}", self.kind, log());
            // The collector is another process; there is no event to wait on.
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("a listener has an address").port())
}

/// `log` is as Debian's `/dev/log`: for RFC 3164. `new` is for RFC 5424.
const RSYSLOG: &str = r#"
global(workDirectory="@DIR@" maxMessageSize="256k" net.enableDNS="off")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
template(name="json" type="list" option.jsonf="on") {
  property(outname="pri" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="process" name="procid" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}
ruleset(name="all") {
  action(type="omfile" file="@DIR@/messages.json" template="json")
  action(type="omfile" file="@DIR@/traditional" template="RSYSLOG_TraditionalFileFormat")
  action(type="omfile" file="@DIR@/precise" template="RSYSLOG_FileFormat")
}
input(type="imuxsock" Socket="@DIR@/log" RateLimit.Interval="0" UseSysTimeStamp="off" Ruleset="all")
input(type="imuxsock" Socket="@DIR@/new" RateLimit.Interval="0" UseSpecialParser="off" ParseHostname="on" UseSysTimeStamp="off" IgnoreTimestamp="off" Ruleset="all")
input(type="imudp" address="127.0.0.1" port="@UDP@" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="@TCP@" ruleset="all")
"#;

const TLS_FILES: &str = r#"
global(defaultNetstreamDriverCAFile="@DIR@/ca.pem" defaultNetstreamDriverCertFile="@DIR@/server.pem" defaultNetstreamDriverKeyFile="@DIR@/server.key")
"#;

const TLS_INPUT: &str = r#"
input(type="imtcp" address="127.0.0.1" port="@TLS@" ruleset="all" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
"#;

const SYSLOG_NG: &str = r#"@version: 3.38
options { flush-lines(1); log-msg-size(1048576); keep-hostname(yes); use-dns(no); dns-cache(no); stats-freq(0); frac-digits(6); time-zone("UTC"); };
source new {
  unix-dgram("@DIR@/new" flags(syslog-protocol));
  unix-stream("@DIR@/stream" flags(syslog-protocol));
  network(ip(127.0.0.1) port(@UDP@) transport(udp) flags(syslog-protocol));
  syslog(ip(127.0.0.1) port(@TCP@) transport(tcp));
};
source old { unix-dgram("@DIR@/log"); };
destination all {
  file("@DIR@/messages.json" template("$(format-json pri=$PRI time=$ISODATE host=$HOST app=$PROGRAM process=$PID id=$MSGID text=$MESSAGE --key .SDATA.*)\n"));
};
log { source(new); source(old); destination(all); };
"#;
