//! Each system call of an append fails: no response claims what is not kept, the spool goes on, and everything in it can be read.
//!
//! The target is away all the while, so that segments stay.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store_fails::until_recovered;
use crate::support::strace::{Fault, Tracing};
use crate::support::{Folder, Kind, Record, SOON, Server, Settings, Shot, alone, fire, until, url};
use crate::syscall_order::parse;

/// A spool whose target is away, and its server.
struct Scene {
    folder: Folder,
    settings: Settings,
    server: Server,
    shots: Vec<Shot>,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let target = folder.path().join("target");
        fs::write(&target, "postgres://nobody@127.0.0.1:1/nowhere").expect("the file of the target's URL");
        let url = format!("spool:{}?to_file={}", folder.path().join("spool").display(), target.display());
        let settings = Settings::new(&url).env("EFFECTS", folder.effects_file()).deadline(Duration::from_millis(700));
        let server = settings.start();
        let shots = until_recovered(&server, "before");
        Self { folder, settings, server, shots }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The segments of every process, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in fs::read_dir(self.directory()).expect("the spool").map(|entry| entry.expect("an entry").path()) {
            found.extend(fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
        found.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
        found.sort();
        found
    }

    fn files(&self) -> Files {
        let newest = self.segments().pop().expect("the target is away");
        let home = newest.parent().expect("it is in a folder").to_owned();
        let number: u64 = newest.file_stem().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
        Files { next: home.join(format!("{:016}.segment", number + 1)), lock: home.join("lock"), newest, home }
    }

    /// Sends an upload. It is answered.
    fn fire(&mut self, name: String) -> Shot {
        let shot = fire(&mut self.server.client(), Kind::Upload, name);
        assert!(shot.answer.is_some(), "every request is answered: {}", self.server.said());
        shot
    }

    fn recovers(&mut self, name: &str) {
        self.shots.extend(until_recovered(&self.server, name));
    }

    /// Has the segment ended and no other begun. Returns the files of the next append.
    fn end_segment(&mut self, name: &str) -> Files {
        let files = self.files();
        let (pid, both) = (self.server.pid(), [&*files.newest, &*files.next]);
        let fault = Fault::on_files(pid, &both, "fdatasync,openat", "error=EIO");
        let shot = self.fire(name.to_owned());
        drop(fault);
        assert!(!shot.is_success());
        assert!(!files.next.exists());
        self.shots.push(shot);
        files
    }

    /// The target is there at last: it gets everything, once.
    fn assert_complete(self) {
        let Self { folder, settings, server, shots } = self;
        server.stop();
        let directory = folder.path().join("spool");
        assert!(!directory.join("dead-letters").exists(), "no part of it is damaged");
        let target = url(&folder.database());
        fs::write(folder.path().join("target"), &target).expect("the file of the target's URL");
        let server = settings.start();
        until("everything is shipped", SOON, || {
            (fs::read_dir(&directory).expect("the spool").count() == 1).then_some(())
        });
        server.stop();
        assert_eq!(fs::read_dir(&directory).expect("the spool").count(), 0);
        let record = Record::read_url(&target);
        record.assert_successes(&shots);
        record.assert_all_ended();
        record.assert_no_effect_without_record(&folder.effects(), &shots);
    }
}

/// The files that an append touches.
struct Files {
    newest: PathBuf,
    next: PathBuf,
    lock: PathBuf,
    home: PathBuf,
}

#[test]
fn each_call_of_one_append_fails_in_turn() {
    let _turn = alone();
    let mut scene = Scene::new();
    for begins_segment in [false, true] {
        let name = if begins_segment { "begin" } else { "extend" };
        let files_of = |scene: &mut Scene, name: &str| {
            let files = if begins_segment { scene.end_segment(name) } else { scene.files() };
            [if begins_segment { files.next } else { files.newest }, files.home, files.lock]
        };
        let traced = scene.folder.path().join(format!("trace-{name}"));
        let files = files_of(&mut scene, &format!("{name}-end"));
        let tracing = Tracing::of_files(scene.server.pid(), &files.each_ref().map(PathBuf::as_path), &traced);
        let shot = scene.fire(format!("{name}-traced"));
        tracing.end();
        assert!(shot.is_success());
        scene.shots.push(shot);
        let text = fs::read_to_string(&traced).expect("the trace");
        let calls: Vec<String> = parse(&text).into_iter().map(|call| call.name).collect();
        let expected =
            if begins_segment { ["openat", "pwrite64", "fsync"] } else { ["pwrite64", "fdatasync", "statx"] };
        assert!(expected.iter().all(|name| calls.iter().any(|call| call == name)), "{calls:?}");
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut told = Vec::new();
        for (number, call) in calls.iter().enumerate() {
            let nth = seen.entry(call).and_modify(|nth| *nth += 1).or_insert(1);
            let files = files_of(&mut scene, &format!("{name}-{number}-end"));
            let files = files.each_ref().map(PathBuf::as_path);
            let fault = Fault::on_files(scene.server.pid(), &files, call, &format!("error=EIO:when={nth}"));
            let shot = scene.fire(format!("{name}-{number}"));
            drop(fault);
            told.push(format!("{call} {nth}: {}", shot.status.unwrap_or_default()));
            scene.shots.push(shot);
            scene.recovers(&format!("{name}-{number}-after"));
        }
        println!("{name}: {}", told.join(", "));
    }
    scene.assert_complete();
}

/// Chooses the files on which a call fails.
type ChooseFn = fn(&Files) -> Vec<&Path>;

#[test]
fn a_call_that_keeps_failing_refuses_the_append() {
    let _turn = alone();
    let mut scene = Scene::new();
    let newest: ChooseFn = |files| vec![&files.newest];
    // A segment that could not be synced is written no more, so these fail where the next one is made.
    let further: ChooseFn = |files| vec![&files.newest, &files.next, &files.home];
    let cases = [
        (newest, "pwrite64", "error=ENOSPC", true),
        (newest, "pwrite64", "error=EIO", true),
        (newest, "pwrite64", "error=EINTR:when=1+2", false),
        // Neither written nor cut.
        (further, "pwrite64,ftruncate", "error=EIO", true),
        (further, "fdatasync,fsync", "error=EIO", true),
        (further, "fdatasync,openat", "error=EMFILE", true),
        // What could not be synced stays behind, under the name of the next segment.
        (further, "fdatasync,fsync,unlink", "error=EIO", true),
        // The next segment takes the events.
        (newest, "fdatasync", "error=EIO", false),
        (newest, "fdatasync,ftruncate", "error=EIO", false),
        (newest, "statx,fstat,newfstatat", "error=EIO", false),
    ];
    for (number, (choose, calls, how, is_refused)) in cases.into_iter().enumerate() {
        let files = scene.files();
        let fault = Fault::on_files(scene.server.pid(), &choose(&files), calls, how);
        let mut client = scene.server.client();
        let mut refused = 0;
        for kind in [Kind::Admin, Kind::Upload] {
            let shot = fire(&mut client, kind, format!("case-{number}-{kind:?}"));
            assert!(shot.answer.is_some(), "{calls} {how}: every request is answered");
            refused += usize::from(!shot.is_success());
            scene.shots.push(shot);
        }
        drop(fault);
        println!("{calls}: {how}: {refused} of 2 refused");
        assert_eq!(refused, if is_refused { 2 } else { 0 }, "{calls} {how}: {}", scene.server.said());
        scene.recovers(&format!("after-{number}"));
    }
    scene.assert_complete();
}
