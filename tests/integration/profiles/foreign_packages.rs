//! Packages of other languages, installed once for each target folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

static INSTALLING: Mutex<()> = Mutex::new(());

/// Returns a Python with these packages.
pub(super) fn python(packages: &[&str]) -> PathBuf {
    let folder = folder("python", packages);
    let python = folder.join("bin/python");
    install(&folder, || {
        run(Path::new("python3"), &["-m", "venv", "--clear", text(&folder)]);
        run(&python, &[&["-m", "pip", "install", "-q", "--disable-pip-version-check"], packages].concat());
    });
    python
}

/// Returns a folder whose `node_modules` has these packages.
pub(super) fn node_modules(packages: &[&str]) -> PathBuf {
    let folder = folder("npm", packages);
    install(&folder, || {
        let words = ["install", "--silent", "--no-fund", "--no-audit", "--prefix", text(&folder)];
        run(Path::new("npm"), &[&words, packages].concat());
    });
    folder
}

/// Runs a program over the input and returns its output.
pub(super) fn output(command: &mut Command, input: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that fails early says so itself.
            let _ = stdin.write_all(input);
        });
        let mut text = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().expect("a pipe"), &mut text).expect("UTF-8");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut said).expect("UTF-8");
        assert!(child.wait().expect("it ends").success(), "{command:?}: {said}\n{text}");
        text
    })
}

fn folder(kind: &str, packages: &[&str]) -> PathBuf {
    let name = packages.join("+").replace(['=', '@', '/'], "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{kind}-{name}"))
}

/// Installs once; a mark tells that it was done to the end.
fn install(folder: &Path, work: impl FnOnce()) {
    let _installing = INSTALLING.lock();
    let mark = folder.join("installed");
    if !mark.exists() {
        std::fs::create_dir_all(folder).expect("a folder");
        work();
        std::fs::write(mark, "").expect("a mark");
    }
}

fn run(program: &Path, words: &[&str]) {
    let done = Command::new(program).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("{} is missing: {error}", program.display()));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{} {words:?} failed, and needs the network once: {said}", program.display());
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
