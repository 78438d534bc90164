//! Events that the database discards are not acknowledged.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection, PgPool};
use tower_audit::store::postgres::create_roles;
use tower_audit::store::{AppConnection, AuditStore, Durability, OpenOptions, Severity, StoreErrorKind};
use tower_audit::{AuditLog, EventId};

use crate::cluster::{Cluster, Database, eventually};
use crate::postgres::support::{all, at, end_of, event, ok, open, open_to_read, refusal, started};

const DISCARD_BOB: &str = "CREATE FUNCTION discard_bob() RETURNS trigger LANGUAGE plpgsql AS \
    $$BEGIN IF NEW.actor_user_email LIKE 'user7@%' THEN RETURN NULL; END IF; RETURN NEW; END$$; \
    CREATE TRIGGER discards BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION discard_bob()";

/// One of a batch is discarded: it is refused by itself, and the others are acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_discarded_is_told_and_nobody_else() {
    let database = Cluster::shared().database();
    // Told to be durable, the log would refuse every further session on a table with a trigger.
    let builder = AuditLog::builder().url(&database.url());
    let log = builder.durability(Durability::Warn).open().await.expect("the log opens");
    database.sql(DISCARD_BOB);
    let records: Vec<_> = (0..32)
        .map(|n| {
            let log = log.clone();
            let event = if n % 2 == 0 { event(n % 16) } else { started(n % 16) };
            tokio::spawn(async move { (n, log.record(event).await) })
        })
        .collect();
    for record in records {
        let (n, recorded) = record.await.expect("it only records");
        assert_eq!(recorded.is_err(), n % 16 == 7, "{n}: {recorded:?}");
    }
    assert_eq!(all(&*ok(open_to_read(&database.url()).await)).await.len(), 30);
    assert_eq!(log.stats().failed, 2);
    log.close().await.expect("it closes");
}

/// A trigger that inserts the row itself, into another partition, has not discarded it. Told to be durable, the log refuses any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_by_another_way_is_acknowledged() {
    let database = Cluster::shared().database();
    let store = open_to_warn(&database.url()).await;
    database.sql(
        "CREATE FUNCTION divert() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN \
         IF pg_trigger_depth() > 1 THEN RETURN NEW; END IF; \
         INSERT INTO public.audit_events SELECT NEW.*; RETURN NULL; END$$; \
         CREATE TRIGGER diverts BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION divert()",
    );
    let batch = [event(1), event(2)];
    ok(store.append(&batch[..1]).await);
    ok(store.append(&batch[1..]).await);
    assert_eq!(all(&*store).await.len(), 2);
}

/// One event twice in a batch, and again in the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_acknowledged() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let (one, two, open_one) = (event(1), event(2), started(3));
    ok(store.append(&[one.clone(), one.clone()]).await);
    ok(store.append(&[one.clone(), two.clone(), one.clone()]).await);
    ok(store.append(&[open_one.clone(), one.clone(), open_one.clone()]).await);
    ok(store.append(&[open_one, two, one]).await);
    assert_eq!(all(&*store).await.len(), 3);
}

/// Statements after which events are acknowledged and gone, or started requests are not listed, and those that undo them.
const DELETIONS: [(&str, &str); 6] = [
    (
        "CREATE TRIGGER gone AFTER INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION gone()",
        "DROP TRIGGER gone ON public.audit_events;",
    ),
    (
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gone()",
        "DROP TRIGGER late ON public.audit_events;",
    ),
    (
        "CREATE TRIGGER gone AFTER INSERT ON audit_events_default FOR EACH ROW EXECUTE FUNCTION gone()",
        "DROP TRIGGER gone ON public.audit_events_default;",
    ),
    (
        "CREATE TRIGGER mute BEFORE INSERT ON audit_events_started FOR EACH ROW EXECUTE FUNCTION mute()",
        "DROP TRIGGER mute ON public.audit_events_started;",
    ),
    (
        "CREATE RULE away AS ON INSERT TO audit_events_started DO INSTEAD DELETE FROM audit_events_started WHERE false",
        "DROP RULE away ON public.audit_events_started;",
    ),
    // The rehearsal of a health check has no such event.
    (
        "CREATE TRIGGER teapot AFTER INSERT ON audit_events FOR EACH ROW WHEN (NEW.outcome = 418) EXECUTE FUNCTION gone()",
        "DROP TRIGGER teapot ON public.audit_events;",
    ),
];

const FUNCTIONS: &str = "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
    $$BEGIN DELETE FROM public.audit_events WHERE event_id = NEW.event_id; RETURN NULL; END$$; \
    CREATE FUNCTION mute() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$";

async fn open_to_warn(url: &str) -> Arc<dyn AuditStore> {
    let mut options = OpenOptions::default();
    options.durability = Durability::Warn;
    ok(tower_audit::store::open(url, options).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_delete_an_acknowledged_event_is_refused_with_the_statement_that_removes_it() {
    let database = Cluster::shared().database();
    let _owner = open(&database.url()).await;
    let roles = ok(create_roles(&database.url()).await);
    let url = database.url_as(&database.account_of(&roles[0]));
    let (store, lenient) = (open(&url).await, open_to_warn(&url).await);
    database.sql(FUNCTIONS);
    for (statement, remedy) in DELETIONS {
        database.sql(statement);
        let told = format!("`{remedy}`");
        for error in [store.health().await.expect_err(statement), refusal(&url).await] {
            assert_eq!(error.kind(), StoreErrorKind::Permanent, "{statement}: {error}");
            assert!(error.to_string().contains(&told), "{statement}: {error}");
        }
        // The sessions that are open meet it, too: the next append is refused, of one event or of several. No other writes to the table
        // of open events.
        let plain =
            if statement.contains("_started") { vec![] } else { vec![vec![event(2)], vec![event(3), event(4)]] };
        for refused in [plain, vec![vec![started(5), event(6)]]].concat() {
            let error = store.append(&refused).await.expect_err(statement);
            // A rule that the server cannot apply to the statement is refused by the server itself.
            let is_of_server =
                statement.contains("RULE") && error.to_string().contains("a rule on it may be in the way; drop it");
            assert!(is_of_server || error.to_string().contains(&told), "{statement}: {error}");
        }
        let findings = ok(store.diagnose().await);
        let is_named = findings
            .iter()
            .any(|finding| finding.severity == Severity::Error && finding.hint.iter().any(|hint| hint.contains(&told)));
        assert!(is_named, "{statement}: {findings:?}");
        // Told to accept less, the store opens, and its health check still sees what its own events meet.
        let is_met = !statement.contains("418") && !statement.contains("_default");
        assert_eq!(lenient.health().await.is_err(), is_met, "{statement}");
        database.sql(remedy);
        ok(store.health().await);
        let first = started(1);
        ok(store.append(std::slice::from_ref(&first)).await);
        ok(store.append(&[end_of(&first)]).await);
    }
}

/// Its statement waits for the table's lock, and is then executed with what the trigger's transaction has committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_that_is_committed_while_an_append_waits_is_met() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql(FUNCTIONS);
    for waiting in [vec![event(1)], vec![event(1), event(2)], vec![started(1), event(2)]] {
        // The session that is to wait has its statement prepared.
        let mut served = waiting.clone();
        served.iter_mut().for_each(|event| event.event_id = EventId::new());
        ok(store.append(&served).await);
        let mut other = PgConnection::connect(&database.url()).await.expect("the server lets us in");
        let trigger = "BEGIN; CREATE TRIGGER gone AFTER INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION gone()";
        sqlx::raw_sql(trigger).execute(&mut other).await.expect("a trigger");
        let appending = tokio::spawn({
            let (store, waiting) = (Arc::clone(&store), waiting.clone());
            async move { store.append(&waiting).await }
        });
        eventually("the append waits", async || {
            database.sql("SELECT count(*) FROM pg_locks l WHERE NOT granted AND relation = 'audit_events'::regclass")
                == "1"
        })
        .await;
        sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("it is committed");
        let error = appending.await.expect("no panic").expect_err("the trigger would delete the events");
        assert!(error.to_string().contains("`DROP TRIGGER gone ON public.audit_events;`"), "{error}");
        database.sql("DROP TRIGGER gone ON audit_events");
        ok(store.append(&waiting).await);
    }
    assert_eq!(all(&*store).await.len(), 10);
}

/// The app's own transaction is told as well, before it commits an effect without its event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_the_app_is_refused_the_same() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let transactional = store.parts().transactional.expect("the app may record in its transactions");
    database.sql(FUNCTIONS);
    let pool = PgPool::connect(&database.url()).await.expect("the server lets us in");
    for (statement, remedy) in DELETIONS {
        database.sql(statement);
        let mut tx = pool.begin().await.expect("begun");
        ok(transactional.prepare(AppConnection::Postgres(&mut tx)).await);
        let inserted = transactional.insert(AppConnection::Postgres(&mut tx), &event(1), true).await;
        let error = inserted.expect_err(statement);
        assert!(error.to_string().contains(remedy), "{statement}: {error}");
        tx.rollback().await.expect("rolled back");
        database.sql(remedy);
    }
}

async fn purge_fails(database: &Database<'_>, statement: &str, remedy: &str) {
    database.sql(statement);
    let purger = database.url_as(&database.account_of(&database.role("purger")));
    let store = ok(open_to_read(&purger).await);
    let keeper = store.parts().admin.expect("it purges");
    let error = keeper.purge(at("2021-01-01T00:00:00Z"), 2).await.expect_err(statement);
    assert!(error.to_string().contains(remedy), "{statement}: {error}");
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), "3", "{statement}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_that_cannot_delete_is_an_error_with_its_cause() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    ok(create_roles(&database.url()).await);
    let mut events = [event(1), event(2), event(3)];
    for event in &mut events {
        event.created_at = at("2020-01-01T00:00:00Z");
    }
    ok(owner.append(&events).await);
    database.sql(FUNCTIONS);
    let trigger = "CREATE TRIGGER kept BEFORE DELETE ON audit_events FOR EACH ROW EXECUTE FUNCTION mute()";
    purge_fails(&database, trigger, "`DROP TRIGGER kept ON public.audit_events;`").await;
    database.sql("DROP TRIGGER kept ON public.audit_events;");
    let key = "CREATE TABLE notes (event uuid CONSTRAINT noted REFERENCES audit_events); \
        INSERT INTO notes SELECT event_id FROM audit_events LIMIT 1";
    purge_fails(&database, key, "`ALTER TABLE public.notes DROP CONSTRAINT noted;`").await;
    let findings = ok(owner.diagnose().await);
    let remedy = "`ALTER TABLE public.notes DROP CONSTRAINT noted;`";
    assert!(findings.iter().any(|finding| finding.hint.iter().any(|hint| hint.contains(remedy))), "{findings:?}");
    database.sql("ALTER TABLE public.notes DROP CONSTRAINT noted;");
    let purged = ok(owner.parts().admin.expect("it purges").purge(at("2021-01-01T00:00:00Z"), 10).await);
    assert_eq!((purged.deleted, purged.has_more), (3, false));
}

#[tokio::test]
async fn a_name_that_a_triggers_function_does_not_find_is_not_taken_for_a_table_of_the_log() {
    let database = Cluster::shared().database();
    let store = open_to_warn(&database.url()).await;
    database.sql(
        "CREATE TABLE counts (n bigint); CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN INSERT INTO counts VALUES (1); RETURN NEW; END$$; \
         CREATE TRIGGER counts BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION counted()",
    );
    let error = store.append(&[event(1)]).await.unwrap_err().to_string();
    assert!(error.contains("drop the trigger") && !error.contains("tower-audit migrate"), "{error}");
}
