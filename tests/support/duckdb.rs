//! DuckDB's library for tests: installed by npm if it is missing, into the target folder.

#![allow(dead_code)] // Each test binary uses another part.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The library, and the readers of the tests: the only place that names them. The package is one of Linux on x86-64.
const LIBRARY: &str = "@duckdb/node-bindings-linux-x64@1.5.6-r.1";
const READERS: [&str; 3] = ["duckdb==1.5.6", "duckdb-engine==0.17.0", "sqlalchemy==2.1.9"];

/// The address of the log in a file.
pub(crate) fn url(file: &Path) -> String {
    format!("duckdb:{}?library={}", file.display(), library().display())
}

/// The file of the library.
pub(crate) fn library() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(install).clone()
}

fn install() -> PathBuf {
    let (target, _lock) = target();
    let folder = target.join(format!("duckdb-{}", LIBRARY.rsplit('@').next().unwrap_or_default()));
    let library = folder.join("package/libduckdb.so");
    if !library.is_file() {
        let unpacking = target.join("duckdb-unpacking");
        let _ = fs::remove_dir_all(&unpacking);
        fs::create_dir_all(&unpacking).expect("the target folder can be written");
        run("npm", &["pack", "--silent", LIBRARY], &unpacking);
        let packed = fs::read_dir(&unpacking).expect("a folder").flatten().next().expect("npm has packed it").path();
        run("tar", &["xzf", packed.to_str().expect("a path in UTF-8")], &unpacking);
        fs::remove_file(packed).expect("the target folder can be written");
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&unpacking, &folder).expect("the target folder can be written");
    }
    assert!(library.is_file(), "the package has no libduckdb.so");
    library
}

/// Runs lines of Python with SQLAlchemy and duckdb-engine; `sys.argv[1]` is the path of the file.
pub(crate) fn python(file: &Path, script: &str) -> String {
    let done = Command::new(readers()).args(["-W", "ignore", "-c", script]).arg(file).output().expect("Python starts");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("Python prints UTF-8").trim_end().to_owned()
}

/// Python with these packages.
pub(crate) fn readers() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(install_readers).clone()
}

fn install_readers() -> PathBuf {
    let (target, _lock) = target();
    let folder = target.join("duckdb-readers");
    let python = folder.join("bin/python");
    let has_them = || {
        let asked =
            Command::new(&python).args(["-c", "import duckdb_engine, sqlalchemy"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if !has_them() {
        run("python3", &["-m", "venv", "--clear", folder.to_str().expect("a path in UTF-8")], &target);
        let words = [&["-m", "pip", "install", "-q", "--disable-pip-version-check"], &READERS[..]].concat();
        run(python.to_str().expect("a path in UTF-8"), &words, &target);
        assert!(has_them(), "duckdb-engine was installed and is not there");
    }
    python
}

/// The target folder, and a lock of it: test binaries run beside each other.
fn target() -> (PathBuf, fs::File) {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&target).expect("the target folder can be written");
    let lock = fs::File::create(target.join("duckdb.lock")).expect("the target folder can be written");
    lock.lock().expect("the file can be locked");
    (target, lock)
}

fn run(program: &str, words: &[&str], folder: &Path) {
    let done = Command::new(program).args(words).current_dir(folder).stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|error| panic!("DuckDB cannot be tested: {program}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "DuckDB cannot be tested: {program} {words:?}: {said}");
}
