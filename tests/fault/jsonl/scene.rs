//! A log of JSON lines and its server.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{Folder, Record, SOON, Server, Settings, Shot, load_while, until};

/// A server that writes JSON lines in a folder of its own.
pub(super) struct Scene {
    pub(super) folder: Folder,
    pub(super) log: PathBuf,
    pub(super) server: Server,
}

impl Scene {
    pub(super) fn new(parameters: &str) -> Self {
        let folder = Folder::new();
        let home = folder.path().join("home");
        fs::create_dir(&home).expect("a folder for the log");
        let log = home.join("audit.jsonl");
        let url = format!("jsonl:{}{parameters}", log.display());
        let server = settings(&folder, &url).start();
        Self { folder, log, server }
    }

    pub(super) fn url(&self) -> String {
        format!("jsonl:{}", self.log.display())
    }

    pub(super) fn record(&self) -> Record {
        Record::read_url(&self.url())
    }

    /// Does something to the log under load, and goes on until requests succeed again. Returns all of them, and the moment.
    pub(super) fn disturb(&self, name: &str, what: impl FnOnce()) -> (Vec<Shot>, Instant) {
        let mut disturbed = None;
        let shots = load_while(self.server.address(), 4, name, |progress| {
            until("requests go well", SOON, || (progress.successes() >= 20).then_some(()));
            what();
            disturbed = Some(Instant::now());
            let before = progress.successes();
            until("requests go well again", SOON, || (progress.successes() >= before + 20).then_some(()));
        });
        (shots, disturbed.expect("it was disturbed"))
    }
}

pub(super) fn settings(folder: &Folder, url: &str) -> Settings {
    Settings::new(url).env("EFFECTS", folder.effects_file()).deadline(Duration::from_millis(700))
}
