//! Encrypted connections: who the server must be, and what is said when it is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tower_audit::store::StoreErrorKind;

use crate::cluster::{Cluster, eventually};
use crate::postgres::support::{append_at_last, event, ok, open, refusal};

/// An authority made for a test, and the certificates it signs.
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self(tempfile::Builder::new().prefix("tower-audit-tls-").tempdir().expect("a folder"));
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let to = ["-keyout", "ca.key", "-out", "ca.pem"];
        authority
            .openssl(&[&["req", "-x509", "-days", "2", "-subj", "/CN=an authority for tests"], &key[..], &to].concat());
        authority
    }

    /// The certificate of a server of this name, and its key.
    pub(crate) fn certify(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key"];
        self.openssl(&[&["req", "-subj", "/CN=server", "-out", "server.csr"], &key[..]].concat());
        std::fs::write(self.0.path().join("names"), format!("subjectAltName=DNS:{name}\n"))
            .expect("the folder is ours");
        self.openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ]);
        let read = |file| std::fs::read(self.0.path().join(file)).expect("openssl has written it");
        (read("server.pem"), read("server.key"))
    }

    fn openssl(&self, words: &[&str]) {
        let done = Command::new("openssl").args(words).current_dir(self.0.path()).output();
        let done = done.expect("`openssl` is installed: Debian's PostgreSQL depends on it");
        assert!(done.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }
}

/// A server with this certificate.
async fn encrypted(cluster: &Cluster, certificate: &[u8], key: &[u8]) {
    for (setting, name, contents) in [("ssl_cert_file", "server.pem", certificate), ("ssl_key_file", "server.key", key)]
    {
        let path = cluster.write(name, contents);
        cluster.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
    }
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    eventually("TLS is on", async || cluster.sql("postgres", "SHOW ssl") == "on").await;
}

fn with(host: &str, cluster: &Cluster, mode: &str, root: Option<&Path>) -> String {
    let root = root.map(|root| format!("&sslrootcert={}", root.display())).unwrap_or_default();
    format!("postgres://postgres@{host}:{}/postgres?sslmode={mode}{root}", cluster.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_must_be_who_the_url_says() {
    let cluster = Cluster::start();
    let (ours, another) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.certify("localhost");
    encrypted(&cluster, &certificate, &key).await;
    let (root, wrong_root) = (ours.file(), another.file());

    let url = with("localhost", &cluster, "verify-full", Some(&root));
    let store = open(&url).await;
    ok(store.append(&[event(1)]).await);
    let sessions = "SELECT string_agg(DISTINCT s.ssl::text, ',') FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
        WHERE a.client_port > 0 AND a.application_name <> 'psql'";
    assert_eq!(cluster.sql("postgres", sessions), "true", "every session of ours");
    // Also after the server was gone.
    cluster.crash();
    cluster.resume();
    append_at_last(&*store, &[event(2)]).await;
    assert_eq!(cluster.sql("postgres", sessions), "true");
    ok(store.close().await);

    for (host, mode, root, words) in [
        (
            "localhost",
            "verify-full",
            Some(&*wrong_root),
            "authority that is not known here: name its file by `sslrootcert`",
        ),
        ("localhost", "verify-ca", Some(&*wrong_root), "authority that is not known here"),
        ("localhost", "verify-full", None, "authority that is not known here"),
        ("127.0.0.1", "verify-full", Some(&*root), "not for the host that the URL names"),
        ("localhost", "verify-full", Some(Path::new("/nowhere/ca.pem")), "`sslrootcert` names cannot be read"),
    ] {
        let error = refusal(&with(host, &cluster, mode, root)).await;
        assert!(error.to_string().contains(words), "{host} {mode} {root:?}: {error}");
        assert_eq!(error.kind(), StoreErrorKind::Config, "{error}");
    }
    // Checks that the URL does not ask for are not made.
    for (host, mode, root, is_encrypted) in [
        ("127.0.0.1", "verify-ca", Some(&*root), "true"),
        ("127.0.0.1", "require", None, "true"),
        ("127.0.0.1", "prefer", None, "true"),
        ("localhost", "disable", None, "false"),
    ] {
        let store = open(&with(host, &cluster, mode, root)).await;
        ok(store.append(&[event(3)]).await);
        assert_eq!(cluster.sql("postgres", sessions), is_encrypted, "{mode}");
        ok(store.close().await);
        eventually("its sessions are gone", async || cluster.sql("postgres", sessions).is_empty()).await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_put_in_place_later_is_taken() {
    let cluster = Cluster::start();
    let (wrong, right) = (Authority::new(), Authority::new());
    let (certificate, key) = wrong.certify("localhost");
    encrypted(&cluster, &certificate, &key).await;
    let url = with("localhost", &cluster, "verify-full", Some(&right.file()));
    assert!(refusal(&url).await.to_string().contains("authority"));
    let (certificate, key) = right.certify("localhost");
    encrypted(&cluster, &certificate, &key).await;
    let mut store = None;
    eventually("the server shows the new one", async || {
        store = tower_audit::store::open(&url, Default::default()).await.ok();
        store.is_some()
    })
    .await;
    // While the log is in use, a certificate that is wrong may become right again: nothing is given up for good.
    let store = store.expect("it is open");
    ok(store.append(&[event(1)]).await);
    let (certificate, key) = wrong.certify("localhost");
    encrypted(&cluster, &certificate, &key).await;
    cluster.crash();
    cluster.resume();
    let error = store.append(&[event(2)]).await.unwrap_err();
    let error =
        if error.to_string().contains("authority") { error } else { store.append(&[event(2)]).await.unwrap_err() };
    assert!(error.is_transient(), "{error}");
    let (certificate, key) = right.certify("localhost");
    encrypted(&cluster, &certificate, &key).await;
    append_at_last(&*store, &[event(2)]).await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_when_it_is_asked_for() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let error = refusal(&format!("{}?sslmode=require", database.url())).await;
    assert!(error.to_string().contains("the server has no TLS and `sslmode` asks for it"), "{error}");
    let error = refusal(&format!("{}?sslmode=verify-ful", database.url())).await;
    assert!(error.to_string().contains("`sslmode`"), "{error}");
    ok(open(&format!("{}?sslmode=prefer", database.url())).await.append(&[event(1)]).await);
}
