//! Each write waits for the journals of a majority, whatever the URL says; each read is one of a majority.

use tower_audit::query::{Field, Filter};
use tower_audit::store::StoreErrorKind;

use super::proxy::Proxy;
use crate::mongodb_server::{MongodbServer, unique};
use crate::postgres::support::{all, close_orphans, end_of, event, ok, open, refusal, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_says_so() {
    let proxy = Proxy::to(MongodbServer::shared().port()).await;
    let url = proxy.url(&unique("db"));
    let store = open(&url).await;
    let begin = started(1);
    ok(store.append(&[begin.clone(), event(2)]).await);
    ok(store.append(&[event(3), end_of(&begin)]).await);
    let repeated = event(4);
    for _ in 0..2 {
        ok(store.append(std::slice::from_ref(&repeated)).await);
    }
    ok(store.health().await);
    assert_eq!(all(&*store).await.len(), 5);
    let reader = store.parts().reader.expect("it is read");
    assert_eq!(ok(reader.count(&Filter::default()).await), 5);
    assert_eq!(ok(reader.top_values(&Filter::default(), Field::Route, 3).await).len(), 1);
    close_orphans(&*store).await;
    let admin = store.parts().admin.expect("it is purged");
    ok(admin.purge(tower_audit::Timestamp::MAX, 10).await);
    ok(admin.migrate().await);
    ok(admin.recreate().await);
    ok(store.close().await);

    let has = |command: &[u8], bytes: &[u8]| command.windows(bytes.len()).any(|window| window == bytes);
    let majority: &[&[u8]] = &[b"writeConcern\0", b"w\0\x09\0\0\0majority\0", b"\x08j\0\x01"];
    for (name, least) in [("insert", 5), ("update", 4), ("delete", 2), ("create", 3), ("createIndexes", 2), ("drop", 3)]
    {
        let commands = proxy.commands(&[name]);
        assert!(commands.len() >= least, "{} commands `{name}`", commands.len());
        for command in commands {
            // Those of a transaction leave it to the commit, and the one here is aborted.
            if !has(&command, b"txnNumber\0") {
                assert!(majority.iter().all(|bytes| has(&command, bytes)), "`{name}` without the write concern");
            }
        }
    }
    let aborted = proxy.commands(&["abortTransaction"]);
    assert!(!aborted.is_empty() && aborted.iter().all(|command| majority.iter().all(|bytes| has(command, bytes))));
    assert!(proxy.commands(&["commitTransaction"]).is_empty(), "a health check leaves nothing");
    let reads = proxy.commands(&["find", "aggregate"]);
    assert!(reads.len() >= 3);
    assert!(reads.iter().all(|command| has(command, b"readConcern\0") && has(command, b"level\0\x09\0\0\0majority\0")));
}

#[tokio::test]
async fn a_weaker_url_is_refused() {
    let url = MongodbServer::shared().new_url();
    for (parameter, named) in [
        ("w=1", "`w`"),
        ("w=0", "`w`"),
        ("journal=false", "`journal`"),
        ("readConcernLevel=local", "`readConcernLevel`"),
        ("readPreference=secondaryPreferred", "`readPreference`"),
        ("wtimeoutMS=1", "`wtimeoutMS`"),
        ("shcema=x", "`shcema`"),
    ] {
        let error = refusal(&format!("{url}&{parameter}")).await;
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains(named), "{parameter}: {error}");
    }
    ok(open(&format!("{url}&w=majority&journal=true&readPreference=primary")).await.health().await);
}

#[tokio::test]
async fn a_url_that_leads_nowhere_is_an_error_without_the_password() {
    let url = "mongodb://alice:hunter2@127.0.0.1:9/app?serverSelectionTimeoutMS=200";
    let error = refusal(url).await;
    let shown = format!("{error} {error:?}");
    assert!(error.is_transient() && !shown.contains("hunter2") && !shown.contains("127.0.0.1"), "{shown}");
}
