//! TLS to rsyslog: the collector must be who the settings say, and so must the sink.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tower_audit::AuditEvent;
use tower_audit::EventType;
use tower_audit::store::syslog::SyslogSettings;
use tower_audit::store::{AuditStore as _, OpenOptions, StoreErrorKind, open};

use super::collector::Collector;
use super::corpus::{FEW, check};
use super::rsyslog::read;

/// An authority made for a test, and the certificates that it signs.
struct Authority(TempDir);

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Authority {
    fn new() -> Self {
        let authority = Self(tempfile::tempdir().expect("a folder"));
        let request = ["req", "-x509", "-days", "2", "-subj", "/CN=an authority for tests"];
        authority.openssl(&[&request[..], &KEY, &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
        authority.certify("server", "DNS:collector.example.org");
        authority.certify("client", "DNS:web1.example.org");
        authority
    }

    fn certify(&self, file: &str, name: &str) {
        let [key, request, certificate] = ["key", "csr", "pem"].map(|extension| format!("{file}.{extension}"));
        self.openssl(&[&["req", "-subj", "/CN=x", "-out", &request, "-keyout", &key], &KEY[..]].concat());
        std::fs::write(self.0.path().join("names"), format!("subjectAltName={name}\n")).expect("the folder is ours");
        let sign =
            ["x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
        self.openssl(&[&sign[..], &["-in", &request, "-out", &certificate]].concat());
    }

    fn openssl(&self, words: &[&str]) {
        let done = Command::new("openssl").args(words).current_dir(self.0.path()).output();
        let done = done.expect("`openssl` is installed: Debian's PostgreSQL depends on it");
        assert!(done.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_certificates_on_both_sides() {
    let authority = Authority::new();
    let collector = Collector::rsyslog_with_tls(authority.0.path());
    let settings = SyslogSettings::tls("127.0.0.1", collector.tls).unwrap();
    let settings = settings.ca_file(authority.file("ca.pem")).unwrap().server_name("collector.example.org").unwrap();
    let settings =
        settings.cert_file(authority.file("client.pem")).unwrap().key_file(authority.file("client.key")).unwrap();
    assert!(check(&collector, settings.max_bytes(200_000).unwrap(), true, read).await < FEW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_collector_is_refused() {
    let (authority, another) = (Authority::new(), Authority::new());
    let collector = Collector::rsyslog_with_tls(authority.0.path());
    let client = format!("&cert_file={}&key_file={}", authority.file("client.pem"), authority.file("client.key"));
    let ca = format!("ca_file={}", authority.file("ca.pem"));
    let name = "&server_name=collector.example.org";
    let options = OpenOptions::new().timeout(Duration::from_secs(5));
    for (parameters, kind) in [
        (format!("{ca}{client}{name}"), None),
        // Without `server_name` the certificate is none of this address.
        (format!("{ca}{client}"), Some(StoreErrorKind::Transient)),
        (format!("ca_file={}{client}{name}", another.file("ca.pem")), Some(StoreErrorKind::Transient)),
        // Public authorities have not signed it.
        (format!("{}{name}", &client[1..]), Some(StoreErrorKind::Transient)),
        (format!("{ca}{name}&cert_file={}", authority.file("client.pem")), Some(StoreErrorKind::Config)),
        (format!("ca_file={}{name}", authority.file("ca.key")), Some(StoreErrorKind::Config)),
        // TLS 1.3 tells a client behind its handshake that its certificate is refused, or missing.
        (
            format!("{ca}{name}&cert_file={}&key_file={}", another.file("client.pem"), another.file("client.key")),
            Some(StoreErrorKind::Transient),
        ),
        (format!("{ca}{name}"), Some(StoreErrorKind::Transient)),
    ] {
        let url = format!("syslog+tls://127.0.0.1:{}?{parameters}", collector.tls);
        match (open(&url, options).await, kind) {
            (Ok(sink), None) => sink.append(&[AuditEvent::new(EventType::AUTH)]).await.unwrap(),
            (Err(error), Some(kind)) => {
                assert_eq!(error.kind(), kind, "{parameters}: {error}");
                let text = format!("{error} {error:?}");
                assert!(!text.contains("collector.example.org") && !text.contains("127.0.0.1"), "{parameters}: {text}");
            }
            (result, _) => panic!("{parameters}: {result:?}"),
        }
    }
    assert_eq!(collector.messages(1).len(), 1);
}
