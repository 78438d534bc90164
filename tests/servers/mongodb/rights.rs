//! Accounts: an appender may not make collections or indexes, a reader may not append, a stranger may not enter.
//!
//! The server of the tests checks rights by database and action, and not by collection.

use tower_audit::query::Filter;
use tower_audit::store::{OpenOptions, Severity, StoreErrorKind, open as open_store};

use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, close_orphans, event, ok, open, open_to_read, refusal, started};

/// The block of the store's page with the commands of the shell, as commands of the driver.
fn documented_roles() -> String {
    let page = include_str!("../../../docs/stores/mongodb.md");
    let (_, rest) = page.split_once("```js\n").expect("the page has the commands");
    let (block, _) = rest.split_once("```").expect("the block has an end");
    let mut script = String::from(
        "def on(collection, actions): return {'resource': {'db': db.name, 'collection': collection}, 'actions': actions}\n",
    );
    for statement in block.split(';').map(str::trim).filter(|statement| statement.starts_with("db.createRole(")) {
        let words = statement
            .replace("db.createRole({role: ", "db.command({'createRole': ")
            .replace("roles: ", "'roles': ")
            .replace("privileges: ", "'privileges': ");
        script.push_str(&words);
        script.push('\n');
    }
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_roles_suffice() {
    let server = MongodbServer::start(&[]);
    let url = server.url("app");
    ok(open(&url).await.health().await);
    let roles = documented_roles();
    assert_eq!(roles.matches("createRole").count(), 3, "{roles}");
    server.shell(&url, &roles);
    for (name, role) in [("web", "audit_appender"), ("auditor", "audit_reader"), ("cleaner", "audit_purger")] {
        server.shell(&url, &format!("db.command({{'createUser': '{name}', 'pwd': 'p@ss', 'roles': ['{role}']}})"));
    }
    server.crash();
    server.resume_with(&["--auth"]);
    let url_as = |name: &str| format!("mongodb://{name}:p%40ss@127.0.0.1:{}/app?directConnection=true", server.port());

    let store = open(&url_as("web")).await;
    let begin = started(1);
    ok(store.append(&[begin.clone(), event(2)]).await);
    ok(store.append(&[event(3), event(4)]).await);
    ok(store.health().await);
    let diagnostics = ok(store.diagnose().await);
    assert!(diagnostics.iter().all(|found| found.severity < Severity::Error), "{diagnostics:?}");
    assert!(
        diagnostics.iter().any(|found| found.subject == "role" && found.severity == Severity::Ok),
        "{diagnostics:?}"
    );
    let error = store.parts().admin.expect("it has the part").recreate().await.expect_err("it may not drop");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    ok(store.close().await);
    let next = open(&url_as("web")).await;
    assert_eq!(close_orphans(&*next).await, 1, "an appender closes what the dead have left");

    let auditor = ok(open_to_read(&url_as("auditor")).await);
    let reader = auditor.parts().reader.expect("it is read");
    ok(reader.check_access().await);
    assert_eq!(ok(reader.count(&Filter::new().folded(true)).await), 4);
    let error = auditor.append(&[event(5)]).await.expect_err("it may not append");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");

    let cleaner = ok(open_store(&url_as("cleaner"), OpenOptions::new().create_if_missing(false)).await);
    let purged = cleaner.parts().admin.expect("it is purged").purge(tower_audit::Timestamp::MAX, 100).await;
    assert_eq!(ok(purged).deleted, 5);
    ok(cleaner.append(&[event(6)]).await);
    assert_eq!(all(&*cleaner).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_error_of_the_url_and_is_not_shown() {
    let server = MongodbServer::start(&[]);
    let url = server.url("app");
    server.shell(&url, "db.command({'createUser': 'web', 'pwd': 'right', 'roles': ['readWrite']})");
    server.crash();
    server.resume_with(&["--auth"]);
    let error = refusal(&format!("mongodb://web:hunter2@127.0.0.1:{}/app?directConnection=true", server.port())).await;
    let shown = format!("{error} {error:?}");
    assert_eq!(error.kind(), StoreErrorKind::Config, "{shown}");
    assert!(shown.contains("authSource") && !shown.contains("hunter2") && !shown.contains("web"), "{shown}");
    let error = refusal(&url).await;
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
}
