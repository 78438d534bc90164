//! Errors: their texts and exit codes.

use crate::support::{Run, Store, program, samples};

#[test]
fn help_tells_the_exit_codes() {
    let text = Run::of(program(&["--help"])).ok();
    for part in ["Exit codes:", "  4  get", "query", "migrate", "AUDIT_URL", "DATABASE_URL"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    for part in ["Examples:", "Environment:", "PGPASSWORD", "tail -f"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    let version = Run::of(program(&["--version"])).ok();
    assert!(
        version.starts_with("tower-audit ")
            && version.ends_with(
                "stores: memory, sqlite, postgres, mysql, jsonl, nats, tls, mongodb, duckdb, spool, tracing, syslog, tee\n"
            ),
        "{version}"
    );
}

#[test]
fn without_a_url_the_three_ways_to_give_one_are_named() {
    let stderr = Run::of(program(&["query"])).failed(2);
    assert!(["--url", "AUDIT_URL", "DATABASE_URL"].iter().all(|way| stderr.contains(way)), "{stderr}");
}

#[test]
fn a_url_that_names_no_store_is_told_so() {
    let stderr = Run::of(program(&["count", "--url", "audit.db"])).failed(3);
    assert!(stderr.contains("does not begin with the scheme of a store"), "{stderr}");
}

#[test]
fn help_does_not_show_what_the_environment_holds() {
    for words in [&["--help"][..], &["query", "--help"]] {
        let mut command = program(words);
        command.env("AUDIT_URL", "sqlite:hunter2").env("DATABASE_URL", "sqlite:hunter2");
        assert!(!Run::of(command).ok().contains("hunter2"));
    }
}

#[test]
fn passwords_are_never_shown() {
    const URL: &str = "nosuch://audit:hunter2@db/audit";
    for words in [
        &["query", "--url", URL][..],
        &["query", URL],
        &["--urll", URL, "count"],
        &["--urll=nosuch://audit:hunter2@db/audit", "count"],
        &["get", URL, "--url", "memory:"],
        &["count", "--since", URL, "--url", "memory:"],
        &["query", "--limit", URL, "--url", "memory:"],
    ] {
        let run = Run::of(program(words));
        assert!(matches!(run.code, Some(2 | 3)), "{run:?}");
        assert!(run.stderr.starts_with("tower-audit: ") && !run.stderr.contains("hunter2"), "{words:?}: {run:?}");
    }
}

#[test]
fn bad_values_name_the_option_and_what_would_be_right() {
    let store = Store::of(&samples());
    for (option, value, right) in [
        ("--since", "7D", "expected a time before now such as 30d"),
        ("--since", "-5d", "expected a time before now such as 30d"),
        ("--until", "2026-13-01", "ISO 8601"),
        ("--until", "1716595200000", "not milliseconds"),
        ("--since", "3000y", "beyond the year 0001"),
        ("--event-type", "Upload", "`upload`, `admin_action`"),
        ("--remote-addr", "127.0.0.01", "is no address: expected one such as 192.0.2.7"),
        ("--outcome", "99", "a number from 100 to 999"),
        ("--outcome", "-1", "a number from 100 to 999"),
        ("--phase", "done", "`completed`, `started`, `unknown`"),
    ] {
        for command in ["query", "count"] {
            let stderr = store.run(&[command, option, value]).failed(2);
            assert!(stderr.contains(option) && stderr.contains(value) && stderr.contains(right), "{stderr}");
        }
    }
    for (words, right) in [
        (&["query", "--limit", "-1"][..], "whole number"),
        (&["query", "--skip", "many"], "whole number"),
        (&["query", "--format", "xml"], "jsonl"),
        (&["get", "42"], "a UUID"),
        (&["get"], "<ID>"),
        (&["count", "--limit", "3"], "--limit"),
        (&["destroy"], "destroy"),
    ] {
        let stderr = store.run(words).failed(2);
        assert!(stderr.contains(right), "{words:?}: {stderr}");
    }
}

#[test]
fn an_argument_cannot_drive_the_terminal() {
    let stderr = Store::none().run(&["query", "--since", "\u{1b}[2J\u{202e}", "--format", "x\u{1b}[2J"]).failed(2);
    assert!(!stderr.contains(['\u{1b}', '\u{202e}']), "{stderr}");
    let stderr = Store::none().run(&["count", "--since", "\u{1b}[2J\u{202e}"]).failed(2);
    assert!(!stderr.contains(['\u{1b}', '\u{202e}']), "{stderr}");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let store = Store::none();
    let id = "0199a700000070008000000000000001";
    for words in [&["query"][..], &["count"], &["get", id], &["purge", "--older-than", "1d"]] {
        let stderr = store.run(words).failed(3);
        assert!(stderr.contains("to do: check --url"), "{stderr}");
        assert!(!store.path().exists());
    }
}

#[test]
fn a_file_that_is_no_store_is_left_as_it_is() {
    let store = Store::none();
    let text = "my tax return ".repeat(1000);
    std::fs::write(store.path(), &text).expect("the file is written");
    for words in [&["query"][..], &["migrate"], &["purge", "--older-than", "1d"]] {
        let run = store.run(words);
        assert_eq!(run.code, Some(3), "{run:?}");
    }
    assert_eq!(std::fs::read_to_string(store.path()).expect("still a text"), text);
}
