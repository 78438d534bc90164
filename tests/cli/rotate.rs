//! `rotate` deletes by a number, an age or rules, as its dry run says, and records itself.

#[cfg(unix)]
use crate::support::answered;
use crate::support::{Run, Store, at, many, samples};
use serde_json::{Value, json};
use tower_audit::{Actor, AuditEvent, EventType, Phase};

const RULES: &str = "# Nobody keeps these
- rotate: 10
  user: nils$
- [\"POST /token/init\", 3650]
- rotate: 180
  action: .*
";

/// Events of 2020 and of now.
fn ruled() -> Vec<AuditEvent> {
    let mut events = Vec::new();
    for (number, user) in ["nils", "nils2", "friedrich"].into_iter().enumerate() {
        let mut event = at(EventType::AUTH, &format!("2024-01-0{}T00:00:00Z", number + 1));
        event.actor = Actor::user(user);
        events.push(event);
    }
    let mut init = at(EventType::AUTH, "2024-01-04T00:00:00Z");
    init.resource.method = Some("POST".into());
    init.resource.route = Some("/token/init".into());
    events.push(init);
    events.push(AuditEvent::new(EventType::AUTH));
    events
}

#[test]
fn exactly_the_low_watermark_remains() {
    let store = Store::of(&many(2600, "2020-01-01T00:00:00Z"));
    let words = ["rotate", "--high-watermark", "2000", "--low-watermark", "1234"];
    let meaning = "tower-audit: more than 2000, down to 1234: 1366 of 2600 events, from 2020-01-01T00:00:00Z to \
                   2020-01-01T00:22:45Z\n";
    assert_eq!(store.run(&[&words[..], &["--dry-run"]].concat()).ok_saying(), ("1366\n".into(), meaning.into()));
    assert_eq!(store.count(), 2600);
    // As in a crontab: without a terminal, without a question.
    assert_eq!(store.run(&words).ok_saying(), ("1366\n".into(), meaning.into()));
    assert_eq!(store.run(&["count", "--event-type", "upload"]).ok(), "1234\n");
    assert_eq!(store.run(&words).ok_saying().0, "0\n", "below the high watermark nothing goes");
    // privacyIDEA's names of the options.
    let theirs = ["rotate", "--highwatermark", "1000", "--lowwatermark", "1000", "--quiet", "--yes"];
    assert_eq!(store.run(&theirs).ok(), "");
    assert_eq!(store.count(), 1002);
}

#[test]
fn rules_are_counted_in_a_dry_run_and_then_deleted() {
    let store = Store::of(&ruled());
    let rules = store.file("rules.yaml", RULES);
    let words = ["rotate", "--config", rules.to_str().expect("UTF-8")];
    let said = "tower-audit: rule 1, line 2 (10 days, user: nils$): 1 events\n\
                tower-audit: rule 2, line 4 (3650 days, action: POST /token/init): 0 events\n\
                tower-audit: rule 3, line 5 (180 days, action: .*): 2 events\n\
                tower-audit: 3 rules: 3 of 5 events, from 2024-01-01T00:00:00Z to 2024-01-03T00:00:00Z\n";
    assert_eq!(store.run(&[&words[..], &["--dry-run"]].concat()).ok_saying(), ("3\n".into(), said.into()));
    assert_eq!(store.count(), 5);

    let mut command = store.command(&[&words[..], &["--format", "json"]].concat());
    command.env("USER", "operator");
    let (printed, said_then) = Run::of(command).ok_saying();
    assert_eq!(said_then, said);
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let expected = json!({
        "dry_run": false, "events": 3, "deleted": 3, "first": "2024-01-01T00:00:00.000000Z",
        "last": "2024-01-03T00:00:00.000000Z", "kept_by_floor": 0, "open": 0, "rules": [
            {"rule": 1, "line": 2, "text": "10 days, user: nils$", "events": 1, "deleted": 1},
            {"rule": 2, "line": 4, "text": "3650 days, action: POST /token/init", "events": 0, "deleted": 0},
            {"rule": 3, "line": 5, "text": "180 days, action: .*", "events": 2, "deleted": 2},
        ],
    });
    assert_eq!(printed, expected);
    let records = store.query(&["--event-type", "audit.purge"]);
    let [completed, started] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((started.phase, completed.phase), (Phase::Started, Phase::Completed));
    for event in [started, completed] {
        assert_eq!(event.actor.user_email.as_deref(), Some("operator"));
        let counts = json!([
            {"rotate": 10, "user": "nils$", "events": 1},
            {"rotate": 3650, "action": "POST /token/init", "events": 0},
            {"rotate": 180, "action": ".*", "events": 2},
        ]);
        assert_eq!((&event.details["plan"], &event.details["rules"]), (&json!("rules"), &counts));
    }
    assert_eq!(store.count(), 4);
}

#[test]
fn a_fault_in_the_rules_is_named_with_file_and_line() {
    let store = Store::of(&samples());
    for (text, why) in [
        ("- rotate: 10\n  usr: nils\n", "line 2: unknown key `usr`"),
        ("- rotate: 10\n  user: nils\n  action: '['\n", "line 3: key `action`: bad pattern \"[\": unterminated"),
        ("- [\".*\", 1]\n- [\"(?=x)\", 1]\n", "line 2: key `action`: bad pattern \"(?=x)\": lookahead"),
        ("- rotate: ten\n  user: nils\n", "line 1: key `rotate`: \"ten\": expected a whole number of days"),
        ("- rotate: [\n", "not YAML"),
        ("", "expected a list of rules"),
    ] {
        let file = store.file("rules.yaml", text);
        let stderr = store.run(&["rotate", "--yes", "--config", file.to_str().expect("UTF-8")]).failed(2);
        assert!(stderr.contains("rules.yaml: ") && stderr.contains(why), "{text:?}: {stderr}");
    }
    let stderr = store.run(&["rotate", "--config", "/no/such/file"]).failed(2);
    assert!(stderr.contains("/no/such/file: the file cannot be read"), "{stderr}");
    assert_eq!(store.count(), 3);
}

#[test]
fn options_that_make_no_sense_delete_nothing() {
    let store = Store::of(&samples());
    for (words, why) in [
        (&["rotate"][..], "expected --high-watermark N --low-watermark M"),
        (&["rotate", "--high-watermark", "5"], "--low-watermark"),
        (&["rotate", "--low-watermark", "5"], "--high-watermark"),
        (&["rotate", "--high-watermark", "5", "--low-watermark", "6"], "expected 5 at most"),
        (&["rotate", "--high-watermark", "-5", "--low-watermark", "6"], "expected a whole number"),
        (&["rotate", "--age", "0"], "is zero"),
        (&["rotate", "--age", "1.5"], "is no duration"),
        (&["rotate", "--age", ""], "is no duration"),
        (&["rotate", "--age", "10", "--floor", "never"], "--floor: \"never\" is no duration"),
        (&["rotate", "--age", "10", "--floor", "11d"], "younger than the retention floor of 11 days"),
        (&["purge", "--older-than", "10d", "--before", "2024-01-01"], "cannot be used with"),
        (&["purge", "--before", "2999-01-01"], "not in the past"),
        (&["purge", "--before", "noon"], "--before: \"noon\" is no time"),
    ] {
        let stderr = store.run(words).failed(2);
        assert!(stderr.contains(why), "{words:?}: {stderr}");
    }
    assert_eq!(store.count(), 3);
}

#[test]
fn an_age_takes_precedence_and_a_bare_number_is_days() {
    let store = Store::of(&ruled());
    let words = ["rotate", "--age", "365", "--high-watermark", "2", "--low-watermark", "1"];
    let (count, said) = store.run(&words).ok_saying();
    assert!(said.contains("--age takes precedence") && said.contains("365 days: 4 of 5 events"), "{said}");
    assert_eq!(count, "4\n");
    let rules = store.file("rules.yaml", RULES);
    let words = ["rotate", "--age", "1w", "--config", rules.to_str().expect("UTF-8"), "--dry-run"];
    assert!(store.run(&words).ok_saying().1.contains("--config takes precedence"));
}

/// A young event needs `--yes` without a terminal, by whichever plan it was selected.
#[test]
fn young_events_need_to_be_confirmed() {
    let young: Vec<_> = (0..5).map(|_| AuditEvent::new(EventType::AUTH)).collect();
    let store = Store::of(&young);
    let rules = store.file("rules.yaml", "- ['.*', 0]\n");
    let rules = rules.to_str().expect("UTF-8");
    for words in [&["rotate", "--config", rules][..], &["rotate", "--high-watermark", "3", "--low-watermark", "2"]] {
        let stderr = store.run(words).failed(2);
        assert!(stderr.contains("less than a day ago") && stderr.contains("--yes"), "{stderr}");
        store.run(&[words, &["--dry-run"]].concat()).ok_saying();
    }
    assert_eq!(store.count(), 5);
    assert_eq!(store.run(&["rotate", "--config", rules, "--yes"]).ok_saying().0, "5\n");
    assert_eq!(store.count(), 2);
}

#[test]
fn the_floor_holds_for_every_form() {
    let store = Store::of(&ruled());
    let rules = store.file("rules.yaml", "- ['.*', 0]\n");
    let rules = rules.to_str().expect("UTF-8");
    let floored = |words: &[&str]| {
        let mut command = store.command(words);
        command.env("AUDIT_RETENTION_FLOOR", "30d");
        Run::of(command)
    };
    assert!(floored(&["purge", "--older-than", "29d"]).failed(2).contains("the retention floor of 30 days"));
    assert!(floored(&["destroy-and-recreate", "--yes"]).failed(2).contains("retention floor"));
    let (count, said) = floored(&["rotate", "--config", rules, "--yes"]).ok_saying();
    assert!(said.contains("1 events stay: they are younger than the floor"), "{said}");
    assert_eq!(count, "4\n");
    let (count, said) = floored(&["rotate", "--high-watermark", "1", "--low-watermark", "0", "--yes"]).ok_saying();
    assert!(said.contains("3 events stay") && count == "0\n", "{said}{count}");
    assert_eq!(store.run(&["rotate", "--config", rules, "--yes", "--floor", "30d", "--quiet"]).ok(), "");
    assert_eq!(store.run(&["count", "--event-type", "auth"]).ok(), "1\n");
}

#[test]
fn a_moment_is_a_cutoff() {
    let store = Store::of(&ruled());
    let (count, said) = store.run(&["purge", "--before", "2024-01-03", "--dry-run"]).ok_saying();
    assert!(said.contains("before 2024-01-03T00:00:00.000000Z: 2 of 5 events"), "{said}");
    assert_eq!(count, "2\n");
    assert_eq!(store.run(&["purge", "--before", "2024-01-03"]).ok_saying().0, "2\n");
    let record = &store.query(&["--event-type", "audit.purge"])[0];
    assert_eq!(
        (&record.details["plan"], &record.details["cutoff"]),
        (&json!("before"), &json!("2024-01-03T00:00:00.000000Z"))
    );
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_asks() {
    let store = Store::of(&samples());
    let words = ["rotate", "--high-watermark", "2", "--low-watermark", "1"];
    let (screen, code) = answered(&store.command(&words), "n");
    let meaning = "more than 2, down to 1: 2 of 3 events, from 2026-05-01T10:00:00Z to 2026-05-02T10:00:00Z";
    assert!(screen.contains(meaning) && screen.contains("declined; nothing was changed"), "{screen}");
    assert_eq!((code, store.count()), (Some(1), 3));
    let (screen, code) = answered(&store.command(&words), "y");
    assert!(code == Some(0) && screen.ends_with("2\r\n"), "{screen}");
    assert_eq!(store.count(), 3);
}
