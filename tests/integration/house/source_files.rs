//! The project's own source files, and their text without comments, strings and test modules.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the Rust files below a folder of the project: path with `/`, relative to the project, and text.
pub(super) fn files(folder: &str) -> BTreeMap<String, String> {
    files_with(folder, &["rs"])
}

/// Returns the pages, scripts and examples that show commands.
pub(super) fn documents() -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    for folder in ["docs", "benches", "examples", "tests", "src"] {
        documents.append(&mut files_with(folder, &["md", "sh", "rs"]));
    }
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        documents.insert(page.to_owned(), fs::read_to_string(home().join(page)).expect("a page of the project"));
    }
    documents
}

/// Returns the folder of the project.
pub(super) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_with(folder: &str, extensions: &[&str]) -> BTreeMap<String, String> {
    let home = home();
    let mut files = BTreeMap::new();
    let mut folders = vec![home.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|is| extensions.iter().any(|extension| is == *extension)) {
                files.insert(relative(home, path.clone()), fs::read_to_string(path).expect("a file of text"));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no files");
    files
}

fn relative(home: &Path, path: PathBuf) -> String {
    let path = path.strip_prefix(home).expect("a file of the project");
    path.iter().map(|part| part.to_str().expect("UTF-8")).collect::<Vec<_>>().join("/")
}

/// Returns the code with blanks in place of comments, strings and characters, and without what stands behind `#[cfg(test)]`.
pub(super) fn without_text(code: &str) -> String {
    let bytes = code.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            [b'/', b'/', ..] => until(rest, b"\n"),
            [b'/', b'*', ..] => until(rest, b"*/"),
            [b'r', b'#', b'"', ..] => until(rest, b"\"#"),
            [b'r', b'"', ..] if !follows_a_name(&out) => 1 + quoted(&rest[1..], false),
            [b'"', ..] => quoted(rest, true),
            [b'\'', b'\\', ..] => 2 + until(&rest[2..], b"'"),
            [b'\'', _, b'\'', ..] => 3,
            _ => {
                out.push(rest[0]);
                at += 1;
                continue;
            }
        };
        out.extend(rest[..length].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        at += length;
    }
    let text = String::from_utf8(out).expect("what is left is ASCII or whole characters");
    match text.find("#[cfg(test)]\nmod tests") {
        Some(tests) => text[..tests].to_owned(),
        None => text,
    }
}

fn follows_a_name(out: &[u8]) -> bool {
    out.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The length up to and with the end, or all.
fn until(bytes: &[u8], end: &[u8]) -> usize {
    bytes.windows(end.len()).position(|window| window == end).map_or(bytes.len(), |position| position + end.len())
}

/// The length of a string that begins with its quote.
fn quoted(bytes: &[u8], has_escapes: bool) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if has_escapes => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}
