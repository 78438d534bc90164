//! A log that cannot be opened is an error at the start, never a server without a log.

use std::fs;
use std::path::Path;

use crate::support::{Database, Folder, Settings, beside_others, in_own_namespace, run, url};

/// The server says this and does not start.
#[track_caller]
fn is_refused(url: &str, says: &str) {
    let exit = Settings::new(url).refused();
    assert!(exit.status.code().is_some_and(|code| code != 0), "{url}: {exit:?}");
    assert!(exit.stderr.contains(says), "{url}: {exit:?}");
    assert!(!exit.stderr.contains("hunter2"), "{url}: {exit:?}");
}

#[test]
fn a_malformed_url() {
    let _turn = beside_others();
    // A text that is no URL, or has an unknown scheme, may hold a password anywhere: no part of it is repeated.
    is_refused("audit.db", "the scheme of a store");
    is_refused("sqlit:hunter2.db", "the scheme of a store");
    is_refused("nosuchdb://alice:hunter2@db.example.org/audit?password=hunter2", "the scheme of a store");
    is_refused("sqlite:", "path is empty");
    is_refused("sqlite::memory:", "not durable");
    is_refused("memory:hunter2", "nothing after it");
    is_refused("sqlite:audit.db?mode=memory", "mode");
    is_refused("sqlite:audit.db?key=hunter2", "key");
}

#[test]
fn nothing_that_could_be_a_log() {
    let _turn = beside_others();
    let folder = Folder::new();
    let missing = folder.path().join("missing").join("audit.db");
    is_refused(&url(&missing), "does not exist");
    assert!(!missing.exists());
    is_refused(&url(folder.path()), "no regular file");
    is_refused("sqlite:/dev/null", "no regular file");

    let text = folder.path().join("text");
    fs::write(&text, "hunter2 is no database\n".repeat(500)).expect("a file");
    is_unchanged(&text, "not an SQLite database");
}

#[test]
fn a_database_of_somebody_else() {
    let _turn = beside_others();
    let folder = Folder::new();
    let foreign = folder.path().join("foreign.db");
    change(&foreign, "CREATE TABLE users(name TEXT); INSERT INTO users VALUES ('hunter2')");
    is_unchanged(&foreign, "another application");

    let newer = folder.database();
    folder.settings().start().stop();
    change(&newer, "UPDATE audit_version SET version = 999");
    is_unchanged(&newer, "999");
}

#[test]
fn a_file_with_another_name_or_a_mount_of_its_own() {
    let _turn = beside_others();
    in_own_namespace("store_fails::opening::a_file_with_another_name_or_a_mount_of_its_own", || {
        let folder = Folder::new();
        let twin = folder.path().join("twin.db");
        folder.settings().start().stop();
        fs::hard_link(folder.database(), &twin).expect("a link");
        is_unchanged(&twin, "hard link");
        is_unchanged(&folder.database(), "hard link");
        fs::remove_file(&twin).expect("the link");

        let home = folder.path().join("home");
        fs::create_dir(&home).expect("a folder");
        let mounted = home.join("audit.db");
        fs::write(&mounted, "").expect("a file to mount to");
        let name = |path: &Path| path.to_str().expect("a path of text").to_owned();
        run("mount", &["--bind", &name(&folder.database()), &name(&mounted)]);
        is_unchanged(&mounted, "mounted alone");
        assert_eq!(fs::read_dir(&home).expect("the folder").count(), 1, "a file was made beside it");
        run("umount", &[&name(&mounted)]);
        // Its folder may be a mount.
        run("mount", &["--bind", &name(folder.path()), &name(&home)]);
        folder.settings_for(&mounted).start().stop();
    });
}

/// The file is refused and left as it was.
#[track_caller]
fn is_unchanged(path: &Path, says: &str) {
    let before = fs::read(path).expect("the file is there");
    is_refused(&url(path), says);
    assert!(fs::read(path).expect("the file is there") == before, "{} was changed", path.display());
}

fn change(path: &Path, sql: &'static str) {
    let mut database = Database::open(path);
    database.execute(sql);
    database.close();
}
