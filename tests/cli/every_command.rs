//! Rules of every command: the place of the URL, broken pipes, full disks, colours, progress.

use std::fs::OpenOptions;
use std::process::Stdio;

use crate::support::{Store, on_terminal, program, samples};

/// Every command that prints something of a store with three events, or of none.
fn printing(store: &Store) -> Vec<Vec<String>> {
    let id = store.query(&["--limit", "1"])[0].event_id.to_string();
    let words = |text: &str| text.split(' ').map(|word| word.replace("ID", &id)).collect();
    [
        "query",
        "tail",
        "tail -f",
        "stats",
        "export",
        "count",
        "get ID",
        "purge --older-than 100y --dry-run --quiet",
        "doctor",
        "completions bash",
        "man",
        "man tail",
    ]
    .map(words)
    .into()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn a_reader_that_is_gone_is_no_failure_of_any_command() {
    let store = Store::of(&samples());
    for words in printing(&store).iter().chain([&vec!["--help".to_owned()], &vec!["serve".to_owned()]]) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let done = store.command(&strs(words)).stdout(writer).stderr(Stdio::piped()).output().expect("it starts");
        assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""), "{words:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_of_every_command() {
    let store = Store::of(&samples());
    for words in printing(&store) {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("the device");
        let done = store.command(&strs(&words)).stdout(full).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.starts_with("tower-audit: the output cannot be written\n"), "{words:?}: {stderr}");
    }
}

#[test]
fn the_url_may_stand_behind_every_command() {
    let store = Store::of(&samples());
    let url = store.url();
    for words in printing(&store).iter().filter(|words| words[1..] != ["-f"]) {
        let behind = program(&[&strs(words)[..], &["--url", &url]].concat()).output();
        let before = program(&[&["--url", &url][..], &strs(words)].concat()).output();
        let (behind, before) = (behind.expect("it starts"), before.expect("it starts"));
        assert_eq!((behind.status.code(), before.status.code()), (Some(0), Some(0)), "{words:?}: {behind:?}");
        // The age of the newest event changes.
        assert!(words[0] == "doctor" || behind.stdout == before.stdout, "{words:?}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let store = Store::of(&samples());
    for command in ["query", "tail", "stats"] {
        assert!(on_terminal(store.command(&[command]), 120).contains("\u{1b}["), "{command}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let mut plain = store.command(&[command]);
            plain.env(name, value);
            assert!(!on_terminal(plain, 120).contains('\u{1b}'), "{command} {name}");
        }
        // By https://no-color.org, an empty one says nothing.
        let mut empty = store.command(&[command]);
        empty.env("NO_COLOR", "");
        assert!(on_terminal(empty, 120).contains("\u{1b}["), "{command}");
        let table = store.run(&[command, "--format", "table"]).ok();
        assert!(!table.contains('\u{1b}'), "{command}");
    }
}

/// Work that takes longer than a second says so, on a terminal, and wipes it away.
#[cfg(all(unix, feature = "postgres"))]
#[test]
fn long_work_shows_that_it_goes_on() {
    use crate::postgres::Cluster;
    use crate::support::{append, terminal};
    use std::io::{Read as _, Write as _};
    use std::process::Command;

    let database = Cluster::shared().database();
    append(&database.url(), &samples());
    let mut psql = Command::new("psql")
        .args(["-qXAt", "-h", "127.0.0.1", "-U", "postgres", "-d", database.name()])
        .args(["-p", &Cluster::shared().port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let mut session = psql.stdin.take().expect("a pipe");
    session.write_all(b"BEGIN; LOCK TABLE ONLY audit_events_before; SELECT 'held';\n").expect("it is sent");
    let mut held = [0; 4];
    psql.stdout.as_mut().expect("a pipe").read_exact(&mut held).expect("the lock is held");

    let mut count = program(&["count"]);
    count.env("AUDIT_URL", database.url());
    let mut shown = terminal(&count, 80).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut screen = shown.stdout.take().expect("a pipe");
    let mut text = Vec::new();
    // The lock is held until the progress was seen.
    while !String::from_utf8_lossy(&text).contains("counting…") {
        let mut more = [0; 256];
        let bytes = screen.read(&mut more).expect("the screen");
        assert!(bytes > 0, "it ended without a sign: {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&more[..bytes]);
    }
    drop(session);
    screen.read_to_end(&mut text).expect("the rest");
    let text = String::from_utf8_lossy(&text);
    assert!(text.ends_with("\r\u{1b}[K3\r\n"), "{text:?}");
    assert_eq!(shown.wait().expect("it ends").code(), Some(0));
    psql.wait().expect("it ends");
}
