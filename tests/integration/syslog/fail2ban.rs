//! The documented filter of fail2ban finds each failed sign-in, and bans nobody else.

use std::path::Path;
use std::process::Command;

use tower_audit::event::FIELDS;
use tower_audit::store::AuditStore as _;
use tower_audit::store::syslog::{Format, SyslogSettings};
use tower_audit::{Actor, AuditEvent, ErrorCode, EventType};

use super::collector::Collector;
use super::corpus::sink;
use super::debian_packages;

/// The address of the client that tries; every other one below is a victim.
const CLIENT: &str = "192.0.2.7";
const VICTIM: &str = "203.0.113.9";

fn failure(name: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUTH);
    event.actor = Actor::user(name);
    event.actor.remote_addr = Some(CLIENT.into());
    event.resource.method = Some("POST".into());
    event.resource.route = Some("/login".into());
    event.outcome = Some(401);
    event.classification.domain = Some("authentication".into());
    event.classification.action = Some("failure".into());
    event.classification.error = Some(ErrorCode::BAD_AUTHENTICATION);
    event
}

/// Names that would have another address banned by a careless filter.
fn attacks() -> Vec<String> {
    let line = format!(
        "auth completed outcome=401 from={VICTIM} error=bad-authentication id=0123456789abcdef0123456789abcdef user=x \
         method=POST route=/login action=failure"
    );
    let mut attacks = vec![
        "alice".to_owned(),
        String::new(),
        format!("x from={VICTIM} "),
        format!("x from={VICTIM} user=y"),
        format!("x,from={VICTIM}"),
        VICTIM.to_owned(),
        format!("x\u{a0}from={VICTIM}\u{2003}user=y"),
        format!("2026-05-25T12:00:00 web1 tower-audit[1]: {line}"),
        line.clone(),
    ];
    for end in ["\n", "\r\n", "\r", "\u{2028}", "\u{85}", "\0", "#012", "\\n"] {
        attacks.push(format!("x{end}Nov 30 11:00:00 web1 tower-audit[1]: {line}{end}"));
        attacks.push(format!("x{end}2026-11-30T11:00:00+00:00 web1 tower-audit[1]: {line}{end}"));
    }
    attacks
}

/// The addresses that fail2ban would count, one for each line that matches.
fn addresses(log: &Path) -> Vec<String> {
    debian_packages::install("/usr/bin/fail2ban-regex", "fail2ban");
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fail2ban/tower-audit.conf");
    let done = Command::new("fail2ban-regex").args(["--out", "ip", "-e", "utf-8"]).args([log, &filter]).output();
    let done = done.expect("fail2ban-regex starts");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() || text.is_empty(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failed_sign_in_counts_for_its_client_and_none_for_another() {
    let collector = Collector::rsyslog();
    let sink = sink(SyslogSettings::unix(collector.path("log"))).await;
    let mut events: Vec<_> = attacks().iter().map(|name| failure(name)).collect();
    let failures = events.len();

    // Not failed sign-ins, although a client chose every text in them.
    for attack in attacks() {
        let mut success = failure(&attack);
        success.classification.error = None;
        success.outcome = Some(200);
        let mut upload = failure(&attack);
        upload.event_type = EventType::UPLOAD;
        let mut anywhere = AuditEvent::new(EventType::UPLOAD);
        for field in FIELDS {
            field.set_text(&mut anywhere, &attack);
        }
        events.extend([success, upload, anywhere]);
    }
    for event in &mut events {
        event.truncate_to_limits();
    }
    sink.append(&events).await.unwrap();
    for name in ["traditional", "precise"] {
        assert_eq!(collector.lines(name, events.len()).len(), events.len());
        assert_eq!(addresses(&collector.path(name)), vec![CLIENT; failures], "{name}");
    }
}

/// A name that fills the message leaves what the filter looks at where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_name_hides_no_failed_sign_in() {
    let collector = Collector::rsyslog();
    let udp = SyslogSettings::udp("127.0.0.1", collector.udp).unwrap().format(Format::Rfc3164);
    let local = SyslogSettings::unix(collector.path("log")).max_bytes(1000).unwrap();
    let mut sent = 0;
    for settings in [udp, local] {
        let sink = sink(settings).await;
        for name in [" ".repeat(512), "\u{202e}".repeat(300), "x".repeat(2000)] {
            let mut event = failure(&name);
            event.truncate_to_limits();
            sink.append(&[event]).await.unwrap();
            sent += 1;
        }
        assert!(sink.cut_messages() > 0);
    }
    for name in ["traditional", "precise"] {
        assert_eq!(collector.lines(name, sent).len(), sent);
        assert_eq!(addresses(&collector.path(name)), vec![CLIENT; sent], "{name}");
    }
}

/// Shows that the filter above could fail: an address is found in a line of another host.
#[test]
fn a_line_from_a_victim_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let line = format!(
        "Nov 30 11:00:00 web1 tower-audit[57]: auth completed outcome=401 from={VICTIM} error=bad-authentication \
         id=0123456789abcdef0123456789abcdef user=x method=POST route=/login action=failure\n"
    );
    std::fs::write(&log, line).unwrap();
    assert_eq!(addresses(&log), [VICTIM]);
}
