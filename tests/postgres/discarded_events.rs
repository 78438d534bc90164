//! What the database discards is not acknowledged.

use tower_audit::AuditLog;

use crate::cluster::Cluster;
use crate::support::{all, event, ok, open, started};

const DISCARD_BOB: &str = "CREATE FUNCTION discard_bob() RETURNS trigger LANGUAGE plpgsql AS \
    $$BEGIN IF NEW.actor_user_email LIKE 'user7@%' THEN RETURN NULL; END IF; RETURN NEW; END$$; \
    CREATE TRIGGER discards BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION discard_bob()";

/// One of a batch is discarded: it is refused by itself, and the others are acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_discarded_is_told_and_nobody_else() {
    let database = Cluster::shared().database();
    let log = AuditLog::open(&database.url()).await.expect("the log opens");
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
    assert_eq!(all(&*open(&database.url()).await).await.len(), 30);
    assert_eq!(log.stats().failed, 2);
    log.close().await.expect("it closes");
}

/// A trigger that inserts the row itself, into another partition, has not discarded it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_by_another_way_is_acknowledged() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
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

/// The same event twice in one batch, and again in the next.
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
