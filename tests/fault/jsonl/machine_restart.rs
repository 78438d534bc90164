//! The machine starts again: the folder of the state is as the disk had it, which nobody has synced.

use std::fs::{self, File};
use std::io::Write as _;

use tower_audit::store::{OpenOptions, open};
use tower_audit::{AuditEvent, EventType};

use crate::support::{Folder, beside, beside_others, in_own_namespace, run, strace};

const NAME: &str = "jsonl::machine_restart::every_durable_event_is_shown";

/// The lock's file says up to where the log is durable. Its bytes of some seconds ago must hide nothing.
#[test]
fn every_durable_event_is_shown() {
    let _turn = beside_others();
    in_own_namespace(NAME, || {
        let folder = Folder::new();
        let log = folder.path().join("audit.jsonl");
        let url = format!("jsonl:{}", log.display());
        let lock = beside(&log, ".state").join("lock");
        let append = async |count: usize| {
            let store = open(&url, OpenOptions::default()).await.expect("it opens");
            let events: Vec<AuditEvent> = (0..count).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
            store.append(&events).await.expect("it is kept");
            store.close().await.expect("it closes");
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(append(3));
        let before = fs::read(&lock).expect("the lock");
        runtime.block_on(append(3));
        fs::write(&lock, before).expect("the lock is as it was");
        let boot = folder.path().join("boot_id");
        File::create(&boot).expect("a file").write_all(b"00000000-1111-2222-3333-444444444444\n").expect("its text");
        let boot = boot.to_str().expect("a path of text");
        run("mount", &["--bind", boot, "/proc/sys/kernel/random/boot_id"]);
        let counted = run(env!("CARGO_BIN_EXE_tower-audit"), &["count", "--url", &url]);
        assert_eq!(counted.trim(), "6");
    });
}

/// The process that made the file may have died before it synced the folder.
#[test]
fn the_folder_of_a_file_that_is_there_is_synced_before_the_first_append() {
    let _turn = beside_others();
    let folder = Folder::new();
    let home = folder.path().join("home");
    fs::create_dir_all(home.join("audit.jsonl.state")).expect("a folder for the log");
    let log = home.join("audit.jsonl");
    File::create(&log).expect("a log without events");
    let traced = folder.path().join("trace");
    let mut words = strace::tracing("fsync,fdatasync", &traced);
    let url = format!("jsonl:{}", log.display());
    words.extend([env!("CARGO_BIN_EXE_tower-audit"), "migrate", "--url", &url].map(Into::into));
    let words: Vec<&str> = words.iter().map(|word| word.to_str().expect("text")).collect();
    run(words[0], &words[1..]);
    let trace = fs::read_to_string(&traced).expect("the trace");
    assert!(trace.contains(&format!("<{}>", home.display())), "{trace}");
}
