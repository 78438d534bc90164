//! Logins and TLS.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tower_audit::store::{AuditStore as _, OpenOptions, StoreErrorKind, open};
use tower_audit::{AuditEvent, EventType};

use super::opening::options;
use crate::nats_cluster::{ALWAYS, Cluster, NKEY_SEED};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_by_password_and_by_nkey_and_those_that_are_refused() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let seed = cluster.folder().join("user.nk");
    std::fs::write(&seed, format!("# a user\n{NKEY_SEED}\n")).unwrap();
    let system = "system_user=sys&system_password=sys";
    let nkey = place.url_as("", &format!("{system}&nkey_file={}", seed.display()));
    let store = open(&nkey, options()).await.unwrap();
    store.append(&[AuditEvent::new(EventType::UPLOAD)]).await.unwrap();

    let short = OpenOptions::new().timeout(Duration::from_secs(3));
    let missing = cluster.folder().join("missing");
    for (url, kind, named) in [
        (cluster.url_as("app:Hunter2@", system), StoreErrorKind::Denied, "refuses this login"),
        (cluster.url_as("Hunter2@", system), StoreErrorKind::Denied, "refuses this login"),
        (cluster.url_as("", system), StoreErrorKind::Denied, "refuses this login"),
        (cluster.url_as("", &format!("nkey_file={}", missing.display())), StoreErrorKind::Config, "`nkey_file`"),
        (
            cluster.url_as("", &format!("credentials_file={}", seed.display())),
            StoreErrorKind::Config,
            "`credentials_file`",
        ),
        (
            cluster.url_without_evidence("system_user=sys&system_password=Hunter2"),
            StoreErrorKind::NotDurable,
            "refuses this login",
        ),
        // An account that is none of the system.
        (
            cluster.url_without_evidence("system_user=app&system_password=app"),
            StoreErrorKind::NotDurable,
            "none of the system account",
        ),
    ] {
        let refused = open(&url, short).await.unwrap_err();
        let text = format!("{refused} {refused:?}");
        assert!(refused.kind() == kind && text.contains(named), "{named}: {text}");
        assert!(!text.contains("Hunter2") && !text.contains("127."), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_may_not_publish_is_told_so() {
    let place = Cluster::shared().place();
    open(&place.url(""), options()).await.unwrap();
    let short = OpenOptions::new().timeout(Duration::from_secs(3));
    let store = open(&place.url_as("reader:reader@", "sync=declared"), short).await.unwrap();
    for refused in [store.append(&[AuditEvent::new(EventType::UPLOAD)]).await, store.health().await] {
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Denied);
    }
}

/// An authority made for a test, and the certificate of the servers.
struct Authority(TempDir);

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Authority {
    fn new(names: &str) -> Self {
        let authority = Self(tempfile::tempdir().expect("a folder"));
        let request = ["req", "-x509", "-days", "2", "-subj", "/CN=an authority for tests"];
        authority.openssl(&[&request[..], &KEY, &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
        authority
            .openssl(&[&["req", "-subj", "/CN=x", "-out", "server.csr", "-keyout", "server.key"], &KEY[..]].concat());
        std::fs::write(authority.0.path().join("names"), format!("subjectAltName={names}\n")).expect("ours");
        let sign =
            ["x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
        authority.openssl(&[&sign[..], &["-in", "server.csr", "-out", "server.pem"]].concat());
        authority
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
async fn over_tls_the_server_must_be_the_right_one() {
    let localhost = Authority::new("DNS:localhost");
    let another = Authority::new("DNS:localhost");
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        localhost.file("server.pem"),
        localhost.file("server.key")
    );
    let cluster = Cluster::start_with(&[ALWAYS], &tls);
    let warn = OpenOptions::new().timeout(Duration::from_secs(5)).durability(tower_audit::store::Durability::Warn);
    // The address is none of the names in the certificate.
    let refused =
        open(&cluster.url(&format!("&replicas=1&ca_file={}", localhost.file("ca.pem"))), warn).await.unwrap_err();
    assert!(refused.to_string().contains("for another name"), "{refused}");

    let listed = Authority::new(&format!("IP:{}", cluster.address(0)));
    for name in ["server.pem", "server.key"] {
        std::fs::copy(listed.0.path().join(name), localhost.0.path().join(name)).unwrap();
    }
    cluster.kill(0);
    cluster.resume(0);
    for scheme in ["nats", "tls"] {
        let url = cluster
            .url(&format!("&replicas=1&ca_file={}", listed.file("ca.pem")))
            .replace("nats://", &format!("{scheme}://"));
        let store = open(&url, warn).await.unwrap();
        store.append(&[AuditEvent::new(EventType::UPLOAD)]).await.unwrap();
    }
    for (parameters, kind, named) in [
        (format!("&ca_file={}", another.file("ca.pem")), StoreErrorKind::Transient, "TLS is refused"),
        // No public authority has signed it.
        (String::new(), StoreErrorKind::Transient, "TLS is refused"),
        (format!("&ca_file={}", another.file("ca.key")), StoreErrorKind::Config, "`ca_file`"),
        (format!("&cert_file={}", another.file("ca.pem")), StoreErrorKind::Config, "belong together"),
    ] {
        let refused = open(&cluster.url(&format!("&replicas=1{parameters}")), warn).await.unwrap_err();
        assert!(refused.kind() == kind && refused.to_string().contains(named), "{parameters}: {refused}");
    }
}
