//! A folder of its own for each test: the log, and the effects of the requests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Settings;

/// A folder that is removed in the end.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of the log, unless a test puts it elsewhere.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("audit.db")
    }

    /// The file of the effects of handlers.
    pub(crate) fn effects_file(&self) -> PathBuf {
        self.path().join("effects")
    }

    /// A server that keeps its log in this folder.
    pub(crate) fn settings(&self) -> Settings {
        self.settings_for(&self.database())
    }

    /// A server that keeps its log elsewhere, and its effects here.
    pub(crate) fn settings_for(&self, database: &Path) -> Settings {
        Settings::new(&url(database)).env("EFFECTS", self.effects_file())
    }

    /// Counts the effects of each request, by its id.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        let text = fs::read_to_string(self.effects_file()).unwrap_or_default();
        for line in text.split_inclusive('\n') {
            let id = line.strip_suffix('\n').expect("an effect is a whole line");
            *effects.entry(id.to_owned()).or_default() += 1;
        }
        effects
    }
}

/// The URL of a log at this path.
pub(crate) fn url(database: &Path) -> String {
    format!("sqlite:{}", database.display())
}

/// The path with something after its name: another file of SQLite.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
