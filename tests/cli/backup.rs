//! `backup`: a copy that is whole, or none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tower_audit::store::{self, OpenOptions};

use crate::support::{Run, Store, many, program, runtime, samples};

/// Runs the program on another file.
fn on(url: &str, words: &[&str]) -> Run {
    Run::of(program(&[words, &["--url", url]].concat()))
}

#[test]
fn a_copy_is_whole_while_the_log_is_written() {
    let place = Store::of(&samples());
    let copy = place.folder().join("copy.db");
    let words = ["backup", copy.to_str().expect("UTF-8")];
    let more = many(2000, "2026-01-01T00:00:00Z");
    // All of it is in the write-ahead log, and none in the database file.
    let copied = runtime().block_on(async {
        let log = store::open(&place.url(), OpenOptions::default()).await.expect("the store opens");
        for batch in more.chunks(100) {
            log.append(batch).await.expect("it is kept");
        }
        let copied = place.run(&words).ok();
        log.append(&many(10, "2026-02-01T00:00:00Z")).await.expect("it is kept");
        log.close().await.expect("it closes");
        copied
    });
    assert_eq!(copied, "2003\n");
    assert_eq!(fs::metadata(&copy).expect("the copy").permissions().mode() & 0o777, 0o600);
    let url = format!("sqlite:{}", copy.display());
    assert_eq!(on(&url, &["count"]).ok(), "2003\n");
    assert_eq!(place.count(), 2013);
    assert_eq!(
        on(&url, &["export", "--until", "2026-01-31"]).ok(),
        place.run(&["export", "--until", "2026-01-31"]).ok()
    );
    // It can take the place of the log.
    fs::rename(&copy, place.path()).expect("it takes the name");
    assert_eq!(on(&place.url(), &["doctor", "--format", "jsonl"]).code, Some(0));
    assert_eq!(place.count(), 2003);
}

#[test]
fn nothing_is_replaced_unless_told_to_and_the_log_never() {
    let place = Store::of(&samples());
    let other = place.file("other.db", "my tax return");
    let other_name = other.to_str().expect("UTF-8");
    assert!(place.run(&["backup", other_name]).failed(2).contains("give --force to replace it"));
    let own = place.path();
    for target in [own.to_str().expect("UTF-8"), place.folder().to_str().expect("UTF-8"), "/nowhere/copy.db"] {
        let error = place.run(&["backup", "--force", target]).failed(2);
        assert!(!error.contains("--url"), "{error}");
    }
    let linked = place.folder().join("linked.db");
    fs::hard_link(&own, &linked).expect("a link");
    let error = place.run(&["backup", "--force", linked.to_str().expect("UTF-8")]).failed(3);
    assert!(error.contains("hard link"), "{error}");
    fs::remove_file(&linked).expect("the link");
    assert_eq!(fs::read_to_string(&other).expect("the file"), "my tax return");
    // SQLite would apply the write-ahead log of another database to the copy.
    let fresh = place.folder().join("fresh.db");
    for suffix in ["-wal", "-journal"] {
        let log = place.file(&format!("fresh.db{suffix}"), "frames");
        assert!(place.run(&["backup", fresh.to_str().expect("UTF-8")]).failed(2).contains(suffix));
        fs::remove_file(log).expect("the file");
    }

    assert_eq!(place.run(&["backup", "--force", other_name]).ok(), "3\n");
    assert_eq!(on(&format!("sqlite:{other_name}"), &["count"]).ok(), "3\n");
    assert_eq!(place.count(), 3);
    let names = fs::read_dir(place.folder()).expect("the folder").map(|file| file.expect("a file").file_name());
    let parts: Vec<_> = names.filter(|name| name.to_str().is_some_and(|name| name.contains("part"))).collect();
    assert!(parts.is_empty(), "{parts:?}");
    let elsewhere = on("postgres://localhost/audit", &["backup", "copy.db"]).failed(2);
    assert!(elsewhere.contains("pg_dump"), "{elsewhere}");
}

#[test]
fn nothing_but_a_regular_file_is_replaced() {
    use std::os::unix::fs::FileTypeExt as _;

    let place = Store::of(&samples());
    let (pipe, socket, link) =
        (place.folder().join("pipe"), place.folder().join("socket"), place.folder().join("link"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo of coreutils is installed");
    assert!(made.success());
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    std::os::unix::fs::symlink(place.file("other.db", "my tax return"), &link).expect("a link");
    for target in [&pipe, &socket, &link] {
        let error = place.run(&["backup", "--force", target.to_str().expect("UTF-8")]).failed(2);
        assert!(error.contains("name a file") || error.contains("name the file"), "{error}");
    }
    let kind = |path| fs::symlink_metadata(path).expect("it is there").file_type();
    assert!(kind(&pipe).is_fifo() && kind(&socket).is_socket() && kind(&link).is_symlink());
}

#[test]
fn the_main_file_alone_does_not_look_like_a_log() {
    let place = Store::none();
    let copy = place.folder().join("copy.db");
    runtime().block_on(async {
        let log = store::open(&place.url(), OpenOptions::default()).await.expect("the store opens");
        log.append(&samples()).await.expect("it is kept");
        fs::copy(place.path(), &copy).expect("a copy without its log");
        log.close().await.expect("it closes");
    });
    let error = on(&format!("sqlite:{}", copy.display()), &["query"]).failed(3);
    assert!(error.contains("-wal") && error.contains("tower-audit backup"), "{error}");
    assert!(!error.contains("init") && !error.contains("destroy"), "{error}");
}
