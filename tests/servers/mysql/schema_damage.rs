//! Tables that were changed: what would lose or change an event is refused and named.

use tower_audit::store::StoreErrorKind;

use crate::mariadb::Server;
use crate::mysql::support::{all, event, ok, open, refusal, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_of_the_tables_is_named_with_a_remedy() {
    for (change, named) in [
        ("CREATE TRIGGER hush BEFORE INSERT ON audit_events FOR EACH ROW SET NEW.event = ''", "the trigger hush"),
        ("ALTER TABLE audit_events DROP COLUMN details", "missing"),
        ("DROP TABLE audit_events_started", "missing"),
        ("ALTER TABLE audit_events CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "collation"),
        ("ALTER TABLE audit_events MODIFY actor_user_email VARCHAR(3) COLLATE utf8mb4_nopad_bin", "too narrow"),
        ("ALTER TABLE audit_events ADD COLUMN mine INT NOT NULL", "must not be null"),
        ("ALTER TABLE audit_events ADD CHECK (outcome < 100)", "CHECK"),
        ("UPDATE audit_events_version SET version = 2", "version 2"),
    ] {
        let database = Server::shared().database();
        let store = open(&database.url()).await;
        ok(store.health().await);
        database.sql(change);
        let error = store.health().await.expect_err(change);
        assert!(told(&error).contains(named), "{change}: {}", told(&error));
        assert!(!matches!(error.kind(), StoreErrorKind::NotDurable), "{change}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_parts_are_made_by_who_may_and_named_to_who_may_not() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    ok(store.append(&[event(1)]).await);
    database.sql("DROP TABLE audit_events_started; ALTER TABLE audit_events DROP INDEX by_route");
    database.sql("CREATE USER IF NOT EXISTS mere; GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO mere");
    let error = refusal(&database.url_as("mere")).await;
    assert!(error.to_string().contains("tower-audit migrate"), "{}", told(&error));
    let found = ok(store.diagnose().await);
    assert!(found.iter().any(|found| found.message.contains("by_route")), "{found:?}");
    assert!(found.iter().any(|found| found.message.contains("audit_events_started")), "{found:?}");
    let again = open(&database.url()).await;
    ok(again.parts().admin.expect("an admin part").migrate().await);
    ok(again.health().await);
    ok(again.append(&[event(2)]).await);
    assert_eq!(all(&*again).await.len(), 2);
    let found = ok(again.diagnose().await);
    assert!(found.iter().any(|found| found.message == "all of them"), "{found:?}");
}
