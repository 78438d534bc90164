//! The client's address is the one that a second reader of the proxies' headers finds, which was written from the
//! standards in another language (`client_addr.py`).

use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use http::{HeaderValue, StatusCode};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::ProxyHeader;
use tower_audit::{AuditLayer, AuditPolicy, PeerAddr};

use crate::layer::support::{answering, memory_log, post};

/// The number of generated cases.
const CASES: usize = 6000;

struct Case {
    peer: &'static str,
    header: ProxyHeader,
    lines: Vec<Vec<u8>>,
}

const ADDRESSES: [&str; 22] = [
    "10.0.0.2",
    "10.255.0.3",
    "fd00::7",
    "203.0.113.9",
    "192.0.2.1",
    "2001:db8::1",
    "2001:DB8:0:0:8:800:200C:417A",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "1:2:3:4:5:6:1.2.3.4",
    "::1.2.3.4",
    "::ffff:10.0.0.4",
    "::ffff:203.0.113.8",
    "::ffff:cb00:7107",
    "::",
    "fe80::1%eth0",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "192.0.2.256",
    "192.0.2.01",
    "unknown",
    "_hidden",
];

/// Fragments that have a meaning in one of the headers, or only look like it.
const PIECES: [&[u8]; 30] = [
    b",",
    b",",
    b", ",
    b";",
    b"; ",
    b"\"",
    b"\"",
    b"\\",
    b"\\\"",
    b"=",
    b"for=",
    b"For=",
    b"for=\"",
    b";for=",
    b"host=\"",
    b"by=",
    b" ",
    b"\t",
    b"[",
    b"]",
    b":",
    b":80",
    b":_x",
    b"%eth0",
    b"::",
    b"6.6.6.6",
    b"a",
    b"\x80",
    b"\xff\xfe",
    b"{",
];

fn case(random: &mut fastrand::Rng) -> Case {
    let header = if random.bool() { ProxyHeader::Forwarded } else { ProxyHeader::XForwardedFor };
    let mut lines = Vec::new();
    for _ in 0..random.usize(1..4) {
        let mut line = Vec::new();
        for _ in 0..random.usize(0..5) {
            let member = match header {
                ProxyHeader::Forwarded => element(random),
                _ => member(random),
            };
            line.extend(member);
            line.extend(*random.choice(&[&b","[..], b", ", b" ,", b",,"]).expect("some"));
        }
        // Three of four lines have something in them that no proxy writes.
        for _ in 0..random.usize(0..4) {
            let at = random.usize(..=line.len());
            let end = if random.bool() { at } else { random.usize(at..=line.len().min(at + 4)) };
            line.splice(at..end, random.choice(&PIECES).expect("some").iter().copied());
        }
        lines.push(line);
    }
    Case {
        peer: random.choice(&["10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "198.51.100.7"]).expect("some"),
        header,
        lines,
    }
}

fn member(random: &mut fastrand::Rng) -> Vec<u8> {
    let address = random.choice(&ADDRESSES).expect("some");
    let form = random.choice(&["A", "A", "A:80", "[A]", "[A]:80", "A:99999", "\"A\""]).expect("some");
    form.replace('A', address).into_bytes()
}

fn element(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut element = String::new();
    for n in 0..random.usize(1..4) {
        if n > 0 {
            element.push_str(random.choice(&[";", ";", "; ", ";;"]).expect("some"));
        }
        let address = random.choice(&ADDRESSES).expect("some");
        let pair = random.choice(&[
            "for=A",
            "for=A",
            "FOR=\"A\"",
            "for=\"[A]\"",
            "for=\"[A]:80\"",
            "for=\"A:_port\"",
            "for=\"\\A\"",
            "proto=https",
            "by=A",
            "host=\"a,for=A;b\"",
            "host=\"a\\\",for=A;b=\\\\\"",
        ]);
        element.push_str(&pair.expect("some").replace('A', address));
    }
    element.into_bytes()
}

/// Returns the client addresses that the Python script finds.
fn second_reading(cases: &[Case]) -> Vec<IpAddr> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/layer/client_addr.py");
    let mut reader = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts: the tests need it");
    let mut input = Vec::new();
    for Case { peer, header, lines } in cases {
        let header = if *header == ProxyHeader::Forwarded { "forwarded" } else { "x-forwarded-for" };
        let lines: Vec<String> = lines.iter().map(|line| line.iter().map(|byte| char::from(*byte)).collect()).collect();
        writeln!(input, "{}", json!({ "peer": peer, "header": header, "lines": lines }))
            .expect("a Vec takes everything");
    }
    let mut stdin = reader.stdin.take().expect("it is piped");
    // Beside the reading, so that neither waits for the other.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = reader.wait_with_output().expect("the script ends");
    writer.join().expect("no panic").expect("the script reads everything");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| line.parse().expect("an address")).collect()
}

#[tokio::test(start_paused = true)]
async fn two_readers_of_the_proxies_headers_find_the_same_client() {
    let mut random = fastrand::Rng::with_seed(7239);
    let mut cases: Vec<Case> = Vec::new();
    while cases.len() < CASES {
        let case = case(&mut random);
        if case.lines.iter().all(|line| HeaderValue::from_bytes(line).is_ok()) {
            cases.push(case);
        }
    }
    let (log, store) = memory_log().await;
    let services = [ProxyHeader::Forwarded, ProxyHeader::XForwardedFor].map(|header| {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let policy = AuditPolicy::builder().preset_ivre().trusted_proxies(trusted, header).build().expect("valid");
        AuditLayer::new(&log, policy).layer(answering(StatusCode::OK))
    });
    for (number, Case { peer, header, lines }) in cases.iter().enumerate() {
        let mut request = post("/scans");
        let peer: IpAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(PeerAddr((peer, 4711).into()));
        request.headers_mut().insert("x-request-id", number.into());
        let name = if *header == ProxyHeader::Forwarded { "forwarded" } else { "x-forwarded-for" };
        for line in lines {
            request.headers_mut().append(name, HeaderValue::from_bytes(line).expect("it was tried"));
        }
        let service = &services[usize::from(*header == ProxyHeader::XForwardedFor)];
        service.clone().oneshot(request).await.expect("infallible");
    }
    let expected = second_reading(&cases);
    assert_eq!(expected.len(), cases.len());
    let mut ends = std::collections::BTreeSet::new();
    for event in store.events() {
        let number: usize = event.request.request_id.as_deref().and_then(|id| id.parse().ok()).expect("its number");
        let addr: IpAddr = event.actor.remote_addr.as_deref().and_then(|addr| addr.parse().ok()).expect("an address");
        let Case { peer, header, lines } = &cases[number];
        let shown: Vec<_> = lines.iter().map(|line| line.escape_ascii().to_string()).collect();
        assert_eq!(addr, expected[number], "{header:?} from {peer}: {shown:#?}");
        ends.insert(addr);
    }
    assert!(ends.len() > 20, "the headers are not all unreadable: {ends:?}");
}
