//! A tee: the suite over members of several kinds, and over members that fail.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tower_audit::store::conformance::{Fault, FaultyStore, FreshStore, Harness, Need};
use tower_audit::store::tee::{Quorum, TeeMember, TeeStore};
use tower_audit::store::{self, AuditStore, Durability, MemoryStore, OpenOptions};

use crate::stores::recovery_store::OrphanMemory;

/// Makes harnesses of tees whose second handle has the same members.
fn harness<F, Fut>(open: F) -> Harness
where
    F: Fn(PathBuf) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = TeeStore> + Send + 'static,
{
    Harness::new(move || {
        let open = open.clone();
        async move {
            let directory = Arc::new(tempfile::tempdir().expect("there is room for a temporary directory"));
            let place = directory.path().to_owned();
            FreshStore::new(Arc::new(open(place.clone()).await))
                .reopened_by(move || {
                    let opening = open(place.clone());
                    async move { Arc::new(opening.await) as Arc<dyn AuditStore> }
                })
                .owning(directory)
        }
    })
}

async fn file(directory: &Path, scheme: &str) -> Arc<dyn AuditStore> {
    let url = format!("{scheme}:{}", directory.join(scheme).display());
    let options = OpenOptions::default().timeout(Duration::from_secs(60));
    store::open(&url, options).await.expect("the file in a new directory is opened")
}

/// Every member must have every event, and the second is read.
async fn both_files(directory: PathBuf) -> TeeStore {
    TeeStore::builder()
        .member(TeeMember::new("lines", file(&directory, "jsonl").await))
        .member(TeeMember::new("database", file(&directory, "sqlite").await))
        .read_from("database")
        .timeout(Duration::from_secs(60))
        .build()
        .expect("both are durable")
}

/// One member is enough, and the other one is read, which may be late.
async fn one_of_two(directory: PathBuf) -> TeeStore {
    TeeStore::builder()
        .member(TeeMember::new("database", file(&directory, "sqlite").await))
        .member(TeeMember::new("lines", file(&directory, "jsonl").await))
        .read_from("lines")
        .quorum(Quorum::Any)
        .timeout(Duration::from_secs(60))
        .build()
        .expect("both are durable")
}

tower_audit::conformance_tests!(both_files_must_have_it, || async {
    harness(both_files).without(&[Need::Erasure]).with_event_count(3_000)
});
/// Another process cannot know of what the member that it reads has still to take from this one: so one handle alone.
fn one_handle_of_two() -> Harness {
    Harness::new(|| async {
        let directory = tempfile::tempdir().expect("there is room for a temporary directory");
        let tee = one_of_two(directory.path().to_owned()).await;
        FreshStore::new(Arc::new(tee)).owning(directory)
    })
    // The member that is read may be late: what it does not have yet gets its leaf later than the checks look.
    .without(&[Need::Sealing, Need::Erasure, Need::SecondHandle])
    .with_event_count(3_000)
}

tower_audit::conformance_tests!(one_of_two_files_is_enough, || async { one_handle_of_two() });

/// Tees in memory over the same stores, whose other members have faults that pass.
fn over_faulty_members(quorum: Quorum) -> Harness {
    Harness::new(move || async move {
        let read = OrphanMemory::new();
        let backing = read.backing();
        let others = [MemoryStore::new(), MemoryStore::new()];
        let open = move |read: OrphanMemory| {
            let [first, second] = others.clone();
            // Each handle fails at first, and once keeps what it says it did not keep.
            let failing = FaultyStore::with_fault(Arc::new(first), Fault::FailsFirst(2));
            let lying = FaultyStore::with_fault(Arc::new(second), Fault::StoresButReportsError);
            let tee = TeeStore::builder()
                .durability(Durability::Warn)
                .member(TeeMember::new("failing", failing))
                .member(TeeMember::new("lying", lying))
                .member(TeeMember::new("read", read).required())
                .read_from("read")
                .quorum(quorum)
                .timeout(Duration::from_secs(60));
            Arc::new(tee.build().expect("the members count")) as Arc<dyn AuditStore>
        };
        FreshStore::new(open(read)).reopened_by(move || {
            let opened = open(OrphanMemory::on(&backing));
            async move { opened }
        })
    })
}

tower_audit::conformance_tests!(faults_of_others_are_not_seen, || async { over_faulty_members(Quorum::Any) });

/// A service starts without a member that nobody needs, and the member gets what it has missed.
#[cfg(all(feature = "syslog", unix))]
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_not_there_at_the_start_is_opened_when_it_is() {
    let folder = tempfile::tempdir().expect("there is room for a temporary directory");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let open = async |required: bool| {
        let text = format!(
            "members:\n- name: database\n  url: 'sqlite:{}'\n- name: alarms\n  url: 'syslog:{}'\n  required: {required}\n",
            place("audit.db"),
            place("log")
        );
        std::fs::write(place("tee.yaml"), text).expect("the folder can be written to");
        store::open(&format!("tee:{}", place("tee.yaml")), OpenOptions::default()).await
    };
    let error = open(true).await.expect_err("a required member must be there").to_string();
    assert!(error.contains("tee.yaml, line 4: the member `alarms`"), "{error}");
    let tee = open(false).await.expect("the other one is there");
    let event = tower_audit::AuditEvent::new(tower_audit::EventType::AUTH);
    tee.append(std::slice::from_ref(&event)).await.expect("it is not needed");
    // Nobody knows yet whether it has copies.
    let admin = tee.parts().admin.expect("the database has it");
    let before = "2020-01-01T00:00:00Z".parse().expect("a time");
    let error = admin.purge(before, 10).await.expect_err("its copies would stay").to_string();
    assert!(error.contains("member `alarms`: it has not been reached since the start"), "{error}");
    let collector = std::os::unix::net::UnixDatagram::bind(place("log")).expect("the path is free");
    collector.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let message = tokio::task::spawn_blocking(move || {
        let mut bytes = [0; 4096];
        let length = collector.recv(&mut bytes).expect("the message arrives");
        (String::from_utf8_lossy(&bytes[..length]).into_owned(), collector)
    });
    let (message, _collector) = message.await.expect("no panic");
    assert!(message.contains(&event.event_id.to_string()), "{message}");
    admin.purge(before, 10).await.expect("a sink has no copies to purge");
    tee.close().await.expect("nothing is left");
}
