//! JSON lines: files that are rotated, compressed, moved and purged under the seal, and somebody who can write to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tower_audit::query::Cursor;
use tower_audit::retention::Purge;
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::Damage::{Edited, Inserted, Missing, SealEdited, TailCut};
use tower_audit::sealing::{Damage, Report, RetentionKey, SealKey, Sealer, SealerError, Verifier, prove};
use tower_audit::store::{self, AuditStore, OpenOptions, StoredSeed};

use super::support::{event, kinds, seal};

struct Log {
    folder: tempfile::TempDir,
    parameters: &'static str,
    key: VerifierKey,
    retention: RetentionKey,
}

impl Log {
    fn new(parameters: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).expect("a folder");
        fs::create_dir(folder.path().join("log")).expect("a folder");
        let key = SealKey::create(keys.join("key"), "example.com/audit").expect("a key").verifier_key();
        let retention = RetentionKey::create(keys.join("retention"), "example.com/audit").expect("a key");
        Self { folder, parameters, key, retention }
    }

    async fn of(events: u64, parameters: &'static str) -> Self {
        let this = Self::new(parameters);
        let store = this.open().await;
        this.append(&store, 0, events).await;
        store.close().await.expect("the store closes");
        this
    }

    /// Appends and seals events by the fifty.
    async fn append(&self, store: &Arc<dyn AuditStore>, first: u64, end: u64) {
        let mut sealer = self.sealer(store);
        for first in (first..end).step_by(50) {
            let batch: Vec<_> = (first..(first + 50).min(end)).map(event).collect();
            store.append(&batch).await.expect("an append");
            seal(&mut sealer).await;
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log").join("audit.jsonl")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("log").join(name)
    }

    fn of_seal(&self, name: &str) -> PathBuf {
        self.file("audit.jsonl.seal").join(name)
    }

    async fn open(&self) -> Arc<dyn AuditStore> {
        let url = format!("jsonl:{}{}", self.path().display(), self.parameters);
        store::open(&url, OpenOptions::default()).await.expect("the store opens")
    }

    fn sealer(&self, store: &Arc<dyn AuditStore>) -> Sealer {
        let key = SealKey::load(self.folder.path().join("keys").join("key")).expect("the key");
        Sealer::new(Arc::clone(store), key)
    }

    async fn verify(&self) -> Report {
        let options = OpenOptions::new().create_if_missing(false);
        let url = format!("jsonl:{}{}", self.path().display(), self.parameters);
        let store = store::open(&url, options).await.expect("the store opens");
        let verifier = Verifier::new(&store, vec![self.key.clone()]).retention_key(self.retention.verifier_key());
        let verifier = verifier.sealer_wait(std::time::Duration::from_millis(50));
        let report = verifier.verify(|_| {}).await.expect("a report");
        store.close().await.expect("the store closes");
        report
    }

    /// The rotated files of the log.
    fn rotated(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.folder.path().join("log")).expect("the folder").flatten();
        let mut files: Vec<_> = names
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("audit.jsonl.2"))
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files
    }
}

/// Rotation and compression move lines; sealers of two handles take turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_and_compressed_files_stay_sealed() {
    let log = Log::new("?rotate_bytes=64K&gzip=true");
    let (store, other) = (log.open().await, log.open().await);
    for (number, first) in (0..1000).step_by(100).enumerate() {
        let writer = if number % 2 == 0 { &store } else { &other };
        log.append(writer, first, first + 100).await;
        while number % 3 == 0 && store.maintain().await.unwrap() {}
    }
    while store.maintain().await.unwrap() {}
    let files = log.rotated();
    assert!(files.len() > 2 && files.iter().all(|file| file.extension().is_some_and(|end| end == "gz")), "{files:?}");
    for store in [store, other] {
        store.close().await.unwrap();
    }
    let report = log.verify().await;
    assert!(report.is_intact() && (report.intact, report.unsealed) == (1000, 0), "{report:?}");
    // A process that begins knows none of that.
    let store = log.open().await;
    assert_eq!(seal(&mut log.sealer(&store)).await.size, 1000, "nothing is sealed twice");
    let proof = prove(&store, report_id(&store, 417).await).await.unwrap().expect("it is sealed");
    assert!(proof.verify(std::slice::from_ref(&log.key)).is_ok());
    store.close().await.unwrap();
}

async fn report_id(store: &Arc<dyn AuditStore>, index: u64) -> tower_audit::EventId {
    let leaves = store.parts().sealing.expect("it is sealed").leaves(index, 1).await.expect("leaves");
    leaves[0].event_id
}

/// logrotate renames the file, or copies it and cuts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_logrotate_stay_sealed() {
    let log = Log::of(100, "?rotate=never").await;
    let store = log.open().await;
    fs::rename(log.path(), log.file("audit.jsonl.1")).unwrap();
    log.append(&store, 100, 200).await;
    // An event that is durable and not sealed when the file is renamed.
    store.append(&[event(200)]).await.unwrap();
    fs::rename(log.file("audit.jsonl.1"), log.file("audit.jsonl.2")).unwrap();
    fs::rename(log.path(), log.file("audit.jsonl.1")).unwrap();
    log.append(&store, 201, 250).await;
    store.append(&[event(250)]).await.unwrap();
    // copytruncate: the copy has the lines that were sealed, and one that was not.
    fs::copy(log.path(), log.file("audit.jsonl-20260525")).unwrap();
    fs::File::options().write(true).open(log.path()).unwrap().set_len(0).unwrap();
    log.append(&store, 251, 300).await;
    store.close().await.unwrap();
    let report = log.verify().await;
    // One more than those: the log says that it was cut.
    assert!(report.is_intact() && (report.size, report.unsealed) == (301, 0), "{report:?}");
}

/// A sealer that dies leaves half of a batch behind, and half a line.
#[tokio::test]
async fn what_a_dead_sealer_has_left_is_overwritten() {
    let log = Log::of(150, "").await;
    for (name, bytes) in
        [("leaves", vec![7; 100]), ("seeds", vec![1; 50]), ("checkpoints", b"{\"size\":500,\"sea".to_vec())]
    {
        let mut file = fs::File::options().append(true).open(log.of_seal(name)).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
    }
    let report = log.verify().await;
    assert!(report.is_intact() && report.size == 150, "it was never acknowledged: {report:?}");
    let store = log.open().await;
    log.append(&store, 150, 200).await;
    store.close().await.unwrap();
    let report = log.verify().await;
    assert!(report.is_intact() && report.size == 200, "{report:?}");
}

/// A purge removes whole files and single lines; leaves stay, seeds go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_takes_the_seeds_and_leaves_the_leaves() {
    let log = Log::of(500, "?rotate_bytes=64K&gzip=true").await;
    let store = log.open().await;
    while store.maintain().await.unwrap() {}
    let (files, sealing) = (log.rotated().len(), store.parts().sealing.expect("it is sealed"));
    let without_key = Purge::before(event(10).created_at).run(&*store).await;
    assert!(without_key.is_err(), "a sealed log is not purged without its key");
    let done = Purge::before(event(333).created_at).key(log.retention.clone()).run(&*store).await.unwrap();
    assert_eq!((done.deleted, done.unsealed), (333, 0));
    seal(&mut log.sealer(&store)).await;
    assert!(log.rotated().len() < files, "a file without events is gone");
    let leaves = sealing.leaves(0, 1000).await.unwrap();
    assert_eq!(leaves.len(), 502);
    let gone = leaves.iter().filter(|leaf| leaf.seed == StoredSeed::Gone).count();
    assert_eq!(gone, 333);
    store.close().await.unwrap();
    let report = log.verify().await;
    assert!(report.is_intact() && report.purged == 333, "{report:?}");
}

/// t0: events are removed. t1: the process dies, before it has overwritten their seeds.
#[tokio::test]
async fn seeds_that_a_dead_process_has_left_go_with_the_next_batch() {
    let log = Log::of(50, "").await;
    let store = log.open().await;
    let sealing = store.parts().sealing.expect("it is sealed");
    let leaves = sealing.leaves(0, 50).await.unwrap();
    let seeds = fs::read(log.of_seal("seeds")).unwrap();
    let events = sealing.events(&leaves[10..20].iter().map(|leaf| leaf.event_id).collect::<Vec<_>>()).await.unwrap();
    let positions: Vec<Cursor> = events.iter().map(Cursor::of).collect();
    assert_eq!(store.parts().removal.expect("it removes").remove(&positions).await.unwrap(), 10);
    // As it was between the two. Of the list, the events 20 to 24 were not removed yet.
    fs::write(log.of_seal("seeds"), seeds).unwrap();
    let list: Vec<_> = leaves[10..25].iter().map(|leaf| (leaf.event_id, leaf.index)).collect();
    fs::write(log.of_seal("removing"), serde_json::to_vec(&list).unwrap()).unwrap();
    log.append(&store, 50, 60).await;
    let after = sealing.leaves(0, 50).await.unwrap();
    for (before, after) in leaves.iter().zip(&after) {
        let expected = if (10..20).contains(&before.index) { &StoredSeed::Gone } else { &before.seed };
        assert!(after.seed == *expected, "the seed of leaf {}", before.index);
    }
    store.close().await.unwrap();
}

/// `keep` would remove events that no signed purge accounts for.
#[tokio::test]
async fn a_sealed_log_keeps_its_files() {
    let log = Log::of(1000, "?rotate_bytes=64K&keep=1").await;
    assert!(log.rotated().len() > 2, "{:?}", log.rotated());
    let report = log.verify().await;
    assert!(report.is_intact() && report.intact == 1000, "{report:?}");
}

/// Somebody who can write to the files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manipulations_of_the_files_are_found_and_named() {
    let log = Log::of(1000, "?rotate_bytes=64K").await;
    let (active, rotated) = (log.path(), log.rotated());
    let oldest = rotated[0].clone();
    let edit = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    let checkpoints = log.of_seal("checkpoints");
    let line_of = |bytes: &[u8], number: usize| {
        let mut starts = vec![0];
        starts.extend(bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1));
        starts[number]..starts[number + 1]
    };
    type Change<'a> = (&'a str, Box<dyn Fn() + 'a>, &'a [Damage]);
    let changes: Vec<Change<'_>> = vec![
        (
            "an outcome is edited in its place",
            Box::new(|| {
                edit(&oldest, &|bytes| {
                    let place = bytes.windows(13).position(|text| text == b"\"outcome\":200").unwrap();
                    bytes[place + 12] = b'1';
                });
            }),
            &[Edited],
        ),
        (
            "a line is overwritten with blanks",
            Box::new(|| {
                edit(&oldest, &|bytes| {
                    let line = line_of(bytes, 7);
                    bytes[line.start..line.end - 1].fill(b' ');
                })
            }),
            &[Missing],
        ),
        ("a line is cut out", Box::new(|| edit(&oldest, &|bytes| drop(bytes.drain(line_of(bytes, 7))))), &[Missing]),
        ("a rotated file is removed", Box::new(|| fs::remove_file(&oldest).unwrap()), &[Missing]),
        (
            "the end of the file is cut off",
            Box::new(|| edit(&active, &|bytes| bytes.truncate(line_of(bytes, 3).start))),
            &[Missing],
        ),
        (
            "another event has the id of one",
            Box::new(|| {
                edit(&active, &|bytes| {
                    let line = String::from_utf8(bytes[line_of(bytes, 1)].to_vec()).unwrap();
                    bytes.extend(line.replace("\"outcome\":200", "\"outcome\":201").into_bytes());
                })
            }),
            &[Inserted],
        ),
        ("a line that is no event", Box::new(|| edit(&active, &|bytes| bytes.extend(b"nothing\n"))), &[Inserted]),
        ("a seed is edited", Box::new(|| edit(&log.of_seal("seeds"), &|bytes| bytes[33 * 7 + 5] ^= 1)), &[Edited]),
        (
            "a seed is blanked",
            Box::new(|| edit(&log.of_seal("seeds"), &|bytes| bytes[33 * 7..33 * 8].fill(0))),
            &[Edited],
        ),
        (
            "the hash of a leaf is edited",
            Box::new(|| edit(&log.of_seal("leaves"), &|bytes| bytes[48 * 7 + 20] ^= 1)),
            &[SealEdited],
        ),
        (
            "the leaves are cut",
            Box::new(|| edit(&log.of_seal("leaves"), &|bytes| bytes.truncate(48 * 900))),
            &[TailCut],
        ),
        ("a node is edited", Box::new(|| edit(&log.of_seal("nodes-1"), &|bytes| bytes[5] ^= 1)), &[SealEdited]),
        (
            "a checkpoint is edited",
            Box::new(|| {
                edit(&checkpoints, &|bytes| {
                    let place = bytes.windows(7).position(|text| text == b"example").unwrap();
                    bytes[place] = b'X';
                })
            }),
            &[SealEdited],
        ),
        (
            "a checkpoint is no line of JSON",
            Box::new(|| {
                edit(&checkpoints, &|bytes| {
                    let start = line_of(bytes, 3).start;
                    bytes[start] = b'x';
                });
            }),
            &[SealEdited],
        ),
        (
            "a removal is forged",
            Box::new(|| {
                fs::write(log.of_seal("removals"), "{\"number\":0,\"note\":\"forged\"}\n").unwrap();
            }),
            &[Damage::PurgeForged],
        ),
    ];
    for (what, change, expected) in changes {
        let whole = copy_of(&log.file(""), &log.folder.path().join("whole"));
        change();
        let report = log.verify().await;
        let found = kinds(&report);
        assert!(expected.iter().all(|damage| found.contains(damage)), "{what}: {report:?}");
        fs::remove_dir_all(log.file("")).unwrap();
        fs::rename(whole, log.file("")).unwrap();
        // The copies have other inodes, and the indexes of the state are those of the old ones. Who only reads makes none.
        let _ = fs::remove_dir_all(log.file("audit.jsonl.state"));
    }
    assert!(log.verify().await.is_intact(), "everything was put back");
    fs::remove_dir_all(log.file("audit.jsonl.seal")).unwrap();
    let store = log.open().await;
    let refused = log.sealer(&store).step().await.expect_err("its key remembers a tree");
    assert!(matches!(refused, SealerError::Refused(_)), "{refused}");
    store.close().await.unwrap();
}

fn copy_of(from: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy_of(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
    to.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_sealers_one_stores_its_batch() {
    let log = Log::new("");
    let (one, other) = (log.open().await, log.open().await);
    let (mut first, mut second) = (log.sealer(&one), log.sealer(&other));
    for number in 0..20 {
        one.append(&[event(2 * number), event(2 * number + 1)]).await.unwrap();
        let (a, b) = tokio::join!(first.step(), second.step());
        let sealed = [a, b].map(|step| step.expect("a step").sealed);
        assert!(sealed.iter().sum::<u64>() <= 2, "{sealed:?}");
    }
    drop(first);
    assert_eq!(seal(&mut second).await.size, 40);
    for store in [one, other] {
        store.close().await.unwrap();
    }
    assert!(log.verify().await.is_intact());
}

/// Files of the seal that are gone while others are there.
#[tokio::test]
async fn doctor_names_files_of_the_seal_that_are_gone() {
    let log = Log::of(50, "").await;
    let told = async || {
        let store = log.open().await;
        let found = store.diagnose().await.unwrap();
        store.close().await.unwrap();
        found.into_iter().find(|found| found.subject == "seal").map(|found| found.message)
    };
    assert_eq!(told().await, None);
    fs::remove_file(log.of_seal("seeds")).unwrap();
    assert!(told().await.expect("it is named").contains("seeds"));
}
