//! Encrypted connections: who the server must be, and what is said when it is not.

use tower_audit::store::StoreErrorKind;

use crate::mariadb::Server;
use crate::mysql::support::{event, ok, open, refusal, told};
use crate::postgres::tls::Authority;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_must_be_who_the_url_says() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.certify("localhost");
    let server = Server::start();
    let [certificate, key] = [("server.pem", certificate), ("server.key", key)].map(|(name, contents)| {
        let path = server.folder().join(name);
        std::fs::write(&path, contents).expect("the folder is ours");
        path
    });
    server.stop();
    let arguments = [format!("--ssl-cert={}", certificate.display()), format!("--ssl-key={}", key.display())];
    server.resume_with(&arguments.each_ref().map(String::as_str));
    let database = server.database();
    let by_name = database.url().replace("127.0.0.1", "localhost");
    let verified = format!("{by_name}?ssl-mode=verify_identity&ssl-ca={}", authority.file().display());
    let store = open(&verified).await;
    ok(store.append(&[event(1)]).await);
    let found = ok(store.diagnose().await);
    let connection = found.iter().find(|diagnostic| diagnostic.subject == "connection").expect("it is told");
    assert_eq!(connection.message, "encrypted");
    for (url, named) in [
        (format!("{by_name}?ssl-mode=verify_identity&ssl-ca={}", other.file().display()), "authority"),
        (verified.replace("localhost", "127.0.0.1"), "not for the host"),
    ] {
        let error = refusal(&url).await;
        assert_eq!(error.kind(), StoreErrorKind::Config, "{}", told(&error));
        assert!(error.to_string().contains(named), "{}", told(&error));
    }
    // An account that must come encrypted does not come in without.
    database.sql("CREATE USER guarded REQUIRE SSL; GRANT ALL ON *.* TO guarded");
    let plain = refusal(&format!("{}?ssl-mode=disabled", database.url_as("guarded"))).await;
    assert_eq!(plain.kind(), StoreErrorKind::Config, "{}", told(&plain));
    open(&format!("{}?ssl-mode=required", database.url_as("guarded"))).await;
}
