//! The real `logrotate` beside the log, under load.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::scene::settings;
use crate::support::{Folder, Record, SOON, beside, beside_others, is_root, load_while, run, try_run, until};

const RUNS: usize = 6;

/// logrotate and its configuration for one log.
struct Logrotate {
    folder: Folder,
    log: std::path::PathBuf,
}

impl Logrotate {
    /// `None` where there is no logrotate, and none can be had.
    fn new() -> Option<Self> {
        if try_run("logrotate", &["--version"]).is_err() {
            let why = match is_root() {
                true => try_run("timeout", &["300", "apt-get", "install", "-y", "-q", "logrotate"]).err(),
                false => Some("these tests are not run by root".to_owned()),
            };
            if let Some(why) = why {
                println!("SKIPPED: logrotate is not installed, and cannot be: {why}");
                return None;
            }
        }
        let folder = Folder::new();
        let home = folder.path().join("home");
        fs::create_dir(&home).expect("a folder for the log");
        // It refuses a folder that others may write to.
        fs::set_permissions(&home, Permissions::from_mode(0o700)).expect("the folder is ours");
        Some(Self { log: home.join("audit.jsonl"), folder })
    }

    fn url(&self) -> String {
        format!("jsonl:{}?rotate=never", self.log.display())
    }

    /// Writes the configuration.
    fn configure(&self, lines: &[&str]) {
        let text = format!("{} {{\n    rotate 100\n    {}\n}}\n", self.log.display(), lines.join("\n    "));
        fs::write(self.configuration(), text).expect("it is written");
        fs::set_permissions(self.configuration(), Permissions::from_mode(0o600)).expect("the file is ours");
    }

    fn configuration(&self) -> std::path::PathBuf {
        self.folder.path().join("logrotate.conf")
    }

    fn rotate(&self) {
        let state = self.folder.path().join("logrotate.state");
        let name = |path: &Path| path.to_str().expect("a path of text").to_owned();
        run("logrotate", &["--force", "--state", &name(&state), &name(&self.configuration())]);
    }

    /// Every line of every file is JSON.
    fn assert_clean(&self) {
        for entry in fs::read_dir(self.log.parent().expect("a folder")).expect("it can be read") {
            let path = entry.expect("an entry").path();
            if !path.is_file() {
                continue;
            }
            let mut text = String::new();
            if path.extension().is_some_and(|end| end == "gz") {
                let mut plain = Command::new("zcat").arg(&path).stdout(Stdio::piped()).spawn().expect("`zcat` starts");
                plain.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
                assert!(plain.wait().expect("it ends").success());
            } else {
                fs::File::open(&path).expect("it is there").read_to_string(&mut text).expect("it is text");
            }
            for line in text.lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{}: {line}", path.display());
            }
        }
    }
}

/// The service is told by SIGHUP, as one that has to open its files again; this log needs no telling.
#[test]
fn create_loses_nothing_and_tells_nothing() {
    let _turn = beside_others();
    for more in [&["create"][..], &["create", "compress"], &["create", "compress", "delaycompress"]] {
        let Some(logrotate) = Logrotate::new() else { return };
        // SIGHUP is the app's own, and this one has nothing to do then.
        let server = settings(&logrotate.folder, &logrotate.url()).under(["nohup"]).start();
        let told = format!("postrotate\n        kill -HUP {}\n    endscript", server.pid());
        logrotate.configure(&[more, &[told.as_str()]].concat());
        let shots = load_while(server.address(), 4, "rotated", |progress| {
            for _ in 0..RUNS {
                let before = progress.successes();
                until("requests go well", SOON, || (progress.successes() >= before + 50).then_some(()));
                logrotate.rotate();
            }
            let before = progress.successes();
            until("requests go well", SOON, || (progress.successes() >= before + 50).then_some(()));
        });
        let last = beside(&logrotate.log, &format!(".{RUNS}"));
        assert!(last.exists() || beside(&last, ".gz").exists(), "{more:?}: it was rotated {RUNS} times");
        assert!(shots.iter().all(|shot| shot.is_success()), "{more:?}: {}", server.said());
        assert!(!server.said().contains("was removed, moved or cut"), "{more:?}: {}", server.said());
        assert_eq!(server.health(), 200);
        server.stop();
        let record = Record::read_url(&logrotate.url());
        record.assert_successes(&shots);
        record.assert_all_ended();
        logrotate.assert_clean();
    }
}

/// It loses what is written between its copy and its cut, by its design. Everything else stays, and the log says so.
#[test]
fn copytruncate_loses_no_more_than_it_must_and_is_told() {
    let _turn = beside_others();
    let Some(logrotate) = Logrotate::new() else { return };
    let server = settings(&logrotate.folder, &logrotate.url()).start();
    logrotate.configure(&["copytruncate"]);
    let mut spans = Vec::new();
    let shots = load_while(server.address(), 4, "cut", |progress| {
        for _ in 0..RUNS {
            let before = progress.successes();
            until("requests go well", SOON, || (progress.successes() >= before + 50).then_some(()));
            let begun = Instant::now();
            logrotate.rotate();
            spans.push((begun, Instant::now()));
        }
        let before = progress.successes();
        until("requests go well", SOON, || (progress.successes() >= before + 50).then_some(()));
    });
    assert!(shots.iter().all(|shot| shot.is_success()), "{}", server.said());
    assert!(server.said().contains("was cut while it was written"), "{}", server.said());
    server.stop();
    let record = Record::read_url(&logrotate.url());
    let is_beside =
        |sent: Instant, answered: Instant| spans.iter().all(|(begun, ended)| answered < *begun || sent > *ended);
    let kept: Vec<_> = shots.iter().filter(|shot| is_beside(shot.sent, shot.sent + shot.took)).collect();
    assert!(kept.len() > 50 * RUNS / 2, "{} of {} requests were beside it", kept.len(), shots.len());
    record.assert_successes(kept);
    logrotate.assert_clean();
    let text = fs::read_to_string(&logrotate.log).expect("the file is there");
    assert!(text.contains("\"audit.failed\"") || beside(&logrotate.log, ".1").exists());
}
