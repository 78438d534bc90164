//! A log that cannot be written is refused at the start.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::assertions::until_recovered;
use crate::support::{Exit, Folder, Settings, beside, beside_others, in_own_namespace, is_root, reference, run, url};

const IN_READ_ONLY_PLACE: &str = "store_fails::read_only::a_log_in_a_read_only_place_can_be_read";
const ON_READ_ONLY_DISK: &str = "store_fails::read_only::a_read_only_disk_is_refused";

#[test]
fn a_read_only_disk_is_refused() {
    let _turn = beside_others();
    in_own_namespace(ON_READ_ONLY_DISK, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        let disk_name = disk.to_str().expect("a path of text");
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk_name]);
        let settings = folder.settings_for(&disk.join("audit.db"));
        settings.start().stop();
        run("mount", &["-o", "remount,ro", disk_name]);
        assert_says(&settings.refused(), "writable");
        let missing = folder.settings_for(&disk.join("other.db"));
        assert_says(&missing.refused(), "writable");
        run("mount", &["-o", "remount,rw", disk_name]);
        settings.start().stop();
    });
}

#[test]
fn a_log_in_a_read_only_place_can_be_read() {
    let _turn = beside_others();
    in_own_namespace(IN_READ_ONLY_PLACE, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        let disk_name = disk.to_str().expect("a path of text");
        run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk_name]);
        let database = disk.join("audit.db");
        let server = folder.settings_for(&database).start();
        until_recovered(&server, "read-only");
        let count = || {
            let output = Command::new(env!("CARGO_BIN_EXE_tower-audit"))
                .args(["count", "--url", &url(&database)])
                .output()
                .expect("the program runs");
            (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        let copy = disk.join("copy");
        fs::create_dir(&copy).expect("a folder for the copy");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&database, suffix), beside(&copy.join("audit.db"), suffix)).expect("a copy");
        }
        let doctor = Command::new(env!("CARGO_BIN_EXE_tower-audit"))
            .args(["doctor", "--url", &url(&database)])
            .output()
            .expect("the program runs");
        let report = String::from_utf8_lossy(&doctor.stdout);
        assert!(report.contains("lies on tmpfs"), "{report}");
        let before = count();
        assert_eq!(before.0, Some(0), "{before:?}");
        server.stop();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&database, suffix));
        }
        run("mount", &["-o", "remount,ro", disk_name]);
        assert_eq!(count(), before, "a log that was closed");
        // Events are in the log beside it: they are not left out.
        run("mount", &["-o", "remount,rw", disk_name]);
        fs::rename(&database, disk.join("away.db")).expect("the file is there");
        for suffix in ["", "-wal"] {
            fs::rename(beside(&copy.join("audit.db"), suffix), beside(&database, suffix)).expect("the copy is there");
        }
        run("mount", &["-o", "remount,ro", disk_name]);
        let (code, said) = count();
        assert!(code == Some(3) && said.contains("copy the file and its -wal"), "{code:?} {said}");
        // The remedy.
        for suffix in ["", "-wal"] {
            fs::copy(beside(&database, suffix), beside(&folder.database(), suffix)).expect("a copy");
        }
        let output = run(env!("CARGO_BIN_EXE_tower-audit"), &["count", "--url", &url(&folder.database())]);
        assert_eq!(output, before.1);
    });
}

#[test]
fn a_read_only_file_is_refused() {
    let _turn = beside_others();
    let folder = Folder::new();
    folder.settings().start().stop();
    let settings = without_rights(&folder, folder.settings());
    mode(folder.path(), 0o777);
    mode(&folder.database(), 0o444);
    assert_says(&settings.refused(), "read-only");
    mode(&folder.database(), 0o666);
    // SQLite makes its other files with the mode of the database.
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(&folder.database(), suffix));
    }
    settings.start().stop();
}

#[test]
fn a_read_only_directory_is_refused() {
    let _turn = beside_others();
    let folder = Folder::new();
    folder.settings().start().stop();
    let settings = without_rights(&folder, folder.settings());
    mode(&folder.database(), 0o666);
    mode(folder.path(), 0o555);
    let exit = settings.refused();
    mode(folder.path(), 0o777);
    assert_says(&exit, "directory");
    settings.start().stop();
}

/// Runs the server without root, so that the modes of files apply.
fn without_rights(folder: &Folder, settings: Settings) -> Settings {
    mode(&folder.effects_file(), 0o666);
    if !is_root() {
        return settings;
    }
    let copy = folder.path().join("reference");
    fs::copy(reference(), &copy).expect("a copy that everyone may run");
    mode(&copy, 0o755);
    settings.binary(copy).under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"])
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
}

#[track_caller]
fn assert_says(exit: &Exit, what: &str) {
    assert!(exit.status.code().is_some_and(|code| code != 0), "{exit:?}");
    assert!(exit.stderr.contains(what), "{exit:?}");
}
