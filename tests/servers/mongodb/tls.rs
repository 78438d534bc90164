//! Encrypted connections: who the server must be.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tower_audit::store::{OpenOptions, Severity, open as open_store};

use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, event, ok, open};

/// An authority made for a test, and a certificate that it signs for `localhost`.
fn authority() -> TempDir {
    let folder = tempfile::Builder::new().prefix("tower-audit-tls-").tempdir().expect("a folder");
    let openssl = |words: &str| {
        let done = Command::new("openssl").args(words.split(' ')).current_dir(folder.path()).output();
        let done = done.expect("`openssl` is installed: Debian's PostgreSQL depends on it");
        assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 -days 2 -subj /CN=tests {key} -keyout ca.key -out ca.pem"));
    openssl(&format!("req -subj /CN=server {key} -keyout server.key -out server.csr"));
    std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost\n").expect("the folder is ours");
    openssl("x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem");
    folder
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_server_of_a_known_authority_is_believed() {
    let folder = authority();
    let file = |name: &str| text(&folder.path().join(name));
    let server = MongodbServer::start(&["--tls-cert-file", &file("server.pem"), "--tls-key-file", &file("server.key")]);
    let url = |host: &str, rest: &str| {
        format!("mongodb://{host}:{}/app?directConnection=true&serverSelectionTimeoutMS=2000{rest}", server.port())
    };
    let authority = format!("&tls=true&tlsCAFile={}", file("ca.pem"));
    let store = open(&url("localhost", &authority)).await;
    ok(store.append(&[event(1)]).await);
    assert_eq!(all(&*store).await.len(), 1);
    let diagnostics = ok(store.diagnose().await);
    assert!(diagnostics.iter().any(|found| found.subject == "connection" && found.message == "encrypted"));

    for refused in [
        url("localhost", "&tls=true"),
        url("127.0.0.1", &authority),
        url("localhost", ""),
        url("localhost", "&tls=true&tlsCAFile=/nowhere"),
    ] {
        assert!(open_store(&refused, OpenOptions::default()).await.is_err(), "{refused}");
    }
    let unverified = open(&url("127.0.0.1", "&tls=true&tlsAllowInvalidCertificates=true")).await;
    let diagnostics = ok(unverified.diagnose().await);
    let warned = diagnostics
        .iter()
        .any(|found| found.severity == Severity::Warning && found.message.contains("certificate is not checked"));
    assert!(warned, "{diagnostics:?}");
}
