//! The path of the reference server. It is built if it is missing or older than its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The built example `reference`.
pub(crate) fn reference() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(find)
}

fn find() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    // target/PROFILE/deps/fault-HASH
    let profile = test.parent().and_then(Path::parent).expect("the test lies in the folder of its profile");
    let path = profile.join("examples").join("reference");
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = newest(&home.join("src")).max(changed(&home.join("examples/reference.rs")));
    if changed(&path).is_none_or(|built| Some(built) < sources) {
        build(profile);
    }
    assert!(
        path.is_file(),
        "no reference server at {}: run `cargo build --features {} --example reference`",
        path.display(),
        features()
    );
    path
}

fn build(profile: &Path) {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--quiet", "--features", &features(), "--example", "reference"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => drop(command.args(["--profile", name])),
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the reference server was not built: {status}");
}

/// Features of the server for the tests of this build.
fn features() -> String {
    let stores = [
        ("postgres", cfg!(feature = "postgres")),
        ("mysql", cfg!(feature = "mysql")),
        ("mongodb", cfg!(feature = "mongodb")),
        ("nats", cfg!(feature = "nats")),
        ("duckdb", cfg!(feature = "duckdb")),
        ("jsonl", cfg!(feature = "jsonl")),
        ("policy-file", cfg!(feature = "policy-file")),
    ];
    let stores = stores.into_iter().filter(|(_, is_on)| *is_on).map(|(feature, _)| feature);
    std::iter::once("api").chain(stores).collect::<Vec<_>>().join(",")
}

/// Returns the time of the newest change below `folder`.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).expect("the sources can be listed");
    entries
        .map(|entry| entry.expect("the sources can be listed").path())
        .filter_map(|path| if path.is_dir() { newest(&path) } else { changed(&path) })
        .max()
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
