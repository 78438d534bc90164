//! Anchors of a sealed log: cosignatures of witnesses, and timestamps.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{Run, Store, many, program, samples};

/// A sealed store of 300 events, and its public key.
fn sealed() -> (Store, String) {
    let place = Store::of(&many(300, "2026-01-01T00:00:00Z"));
    let key = path(&place, "seal.key");
    let vkey = Run::of(program(&["keygen", &key, "--origin", "example.com/audit"])).ok().trim().to_owned();
    place.run(&["seal", "--once", "--key", &key]).ok();
    (place, vkey)
}

fn path(place: &Store, name: &str) -> String {
    place.folder().join(name).to_str().expect("UTF-8").to_owned()
}

/// Appends and seals more events.
fn grow(place: &Store) {
    place.append(&samples());
    place.run(&["seal", "--once", "--key", &path(place, "seal.key")]).ok();
}

/// A witness that gives these answers, one for each request, and the bodies of the requests.
fn scripted(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/w", listener.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().expect("a request");
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            assert!(
                reader.read_line(&mut line).is_ok() && line.starts_with("POST /w/add-checkpoint HTTP/1.1"),
                "{line}"
            );
            while {
                line.clear();
                reader.read_line(&mut line).expect("a header") > 2
            } {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            bodies.push(String::from_utf8(body).expect("UTF-8"));
            reader.into_inner().write_all(answer.as_bytes()).expect("an answer");
        }
        bodies
    });
    (url, served)
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The key of a witness that nobody runs.
const WITNESS: &str = "witness.example/w1+9af6bcd7+BCzSSg2J/IFTr19gfIOnjSvJ2lE2HGauZgOnoUS89pG4";

fn policy(place: &Store, vkey: &str, witness: &str, url: &str) -> String {
    let text = format!("log {vkey}\nwitness w1 {witness} {url}\nquorum w1\n");
    place.file("policy", &text).to_str().expect("UTF-8").to_owned()
}

/// An answer of a witness that is no cosignature is named, and what was kept stays.
#[test]
fn what_a_witness_refuses_is_said() {
    let (place, vkey) = sealed();
    let kept = path(&place, "kept");
    for (status, content_type, body, code, said) in [
        ("404 Not Found", "text/plain", "", 3, "does not know this log"),
        ("403 Forbidden", "text/plain", "", 3, "knows another key"),
        ("500 Oops", "text/plain", "broken", 3, "500 Internal Server Error: broken"),
        ("200 OK", "text/plain", "", 3, "signed by none"),
        ("200 OK", "text/plain", "— w.example AAAAAAAA\n", 3, "signed by none"),
        (
            "409 Conflict",
            "text/x.tlog.size",
            "4711\n",
            6,
            "has cosigned a tree of 4711 leaves, and the 300 leaves here",
        ),
        ("409 Conflict", "text/x.tlog.size", "many\n", 3, "and no size"),
        ("422 Unprocessable Entity", "text/plain", "", 6, "rolled back, or its key was used for another history"),
    ] {
        let (url, served) = scripted(vec![answer(status, content_type, body)]);
        let policy = policy(&place, &vkey, WITNESS, &url);
        let refused = place.run(&["witness", "--policy", &policy, "--keep", &kept]);
        assert_eq!(refused.code, Some(code), "{status}: {refused:?}");
        assert!(refused.stderr.contains(said), "{status}: {refused:?}");
        let bodies = served.join().expect("it served");
        assert!(bodies[0].starts_with("old 0\n\nexample.com/audit\n300\n"), "{bodies:?}");
        assert!(!place.folder().join("kept").exists(), "{status}");
    }
    // The size that a witness names is used for a second request, with a proof.
    let (url, served) =
        scripted(vec![answer("409 Conflict", "text/x.tlog.size", "256\n"), answer("500 Oops", "text/plain", "")]);
    let policy_file = policy(&place, &vkey, WITNESS, &url);
    place.run(&["witness", "--policy", &policy_file, "--keep", &kept]).failed(3);
    let bodies = served.join().expect("it served");
    assert!(
        bodies[1].starts_with("old 256\n")
            && bodies[1].split("\n\n").next().is_some_and(|head| head.lines().count() > 1),
        "{bodies:?}"
    );

    // The size is the same, and the tree is not.
    let same = answer("409 Conflict", "text/x.tlog.size", "300\n");
    let (url, served) = scripted(vec![same.clone(), same]);
    let policy_file = policy(&place, &vkey, WITNESS, &url);
    let refused = place.run(&["witness", "--policy", &policy_file, "--keep", &kept]).failed(6);
    assert!(refused.contains("has cosigned a tree of 300 leaves, and the 300 leaves here"), "{refused}");
    assert!(served.join().expect("it served")[1].starts_with("old 300\n\n"));
    assert!(!place.folder().join("kept").exists());

    let nowhere = policy(&place, &vkey, WITNESS, "");
    assert!(place.run(&["witness", "--policy", &nowhere, "--keep", &kept]).failed(2).contains("no witness has a URL"));
    let ftp = policy(&place, &vkey, WITNESS, "ftp://127.0.0.1/");
    assert!(place.run(&["witness", "--policy", &ftp, "--keep", &kept]).failed(3).contains("https://"));
}

/// The file that was kept is heard before any witness is.
#[test]
fn a_log_that_has_not_grown_from_what_was_kept_is_not_cosigned() {
    let (place, vkey) = sealed();
    let (other, _) = sealed();
    let (url, served) = scripted(Vec::new());
    served.join().expect("it serves nobody");
    let policy = policy(&place, &vkey, WITNESS, &url);
    let kept = path(&place, "kept");
    let words = ["witness", "--policy", &policy, "--keep", &kept];
    let own = place.run(&["checkpoint"]).ok();
    let smaller = other.run(&["checkpoint"]).ok();
    (0..3).for_each(|_| grow(&other));
    let larger = other.run(&["checkpoint"]).ok();
    (0..2).for_each(|_| grow(&place));
    for (note, size) in [(smaller, 300), (larger, 309)] {
        std::fs::write(&kept, &note).expect("it is written");
        let refused = place.run(&words).failed(6);
        assert!(refused.contains(&format!("a tree of {size} leaves, and the 306 leaves here")), "{refused}");
        assert_eq!(std::fs::read_to_string(&kept).expect("it is there"), note, "it is evidence");
    }
    // Of a tree that this one has grown from, the witnesses are asked.
    std::fs::write(&kept, own).expect("it is written");
    place.run(&words).failed(3);
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A witness from PyPI, which others wrote: it checks the proofs, and cosigns.
#[test]
#[ignore = "needs aics-witness from PyPI: tests/run installs it, and runs this test"]
fn a_real_witness_cosigns_what_has_grown() {
    let (place, vkey) = sealed();
    let folder = TempDir::new().expect("a folder");
    let config = folder.path().join("witness.json").display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let witness = |words: &[&str]| {
        let done = Command::new("aics-witness").args(words).output();
        let done = done.expect("this test needs aics-witness: pip install --ignore-requires-python aics-witness");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let listen = format!("127.0.0.1:{port}");
    let key = witness(&["init", "-c", &config, "--name", "witness.example/w1", "--listen", &listen]).trim().to_owned();
    witness(&["add-log", "-c", &config, "--origin", "example.com/audit", "--vkey", &vkey]);
    let server = Command::new("aics-witness").args(["serve", "-c", &config]).stderr(Stdio::null()).spawn();
    let _server = Running(server.expect("it starts"));
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(&listen).is_err() {
        assert!(begun.elapsed().as_secs() < 20, "the witness does not listen");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    let policy = policy(&place, &vkey, &key, &format!("http://{listen}"));
    let kept = path(&place, "kept");
    let words = ["witness", "--policy", &policy, "--keep", &kept];
    assert_eq!(place.run(&words).ok(), "300 leaves of example.com/audit, 1 cosignatures\n");
    grow(&place);
    std::fs::copy(place.path(), path(&place, "backup.db")).expect("a copy");
    assert_eq!(place.run(&words).ok(), "303 leaves of example.com/audit, 1 cosignatures\n");
    // Without the file, the witness says what it has seen.
    std::fs::remove_file(&kept).expect("it goes");
    grow(&place);
    assert_eq!(place.run(&words).ok(), "306 leaves of example.com/audit, 1 cosignatures\n");

    // The policy demands the cosignature of what was kept, and of proofs.
    assert!(place.run(&["verify", "--policy", &policy, "--against", &kept]).ok().contains("306 events are intact"));
    let bare = path(&place, "seal.key.checkpoint");
    assert!(place.run(&["verify", "--policy", &policy, "--against", &bare]).failed(2).contains("quorum"));
    let event = place.query(&["--limit", "1"]).remove(0);
    let id = event.event_id.to_string();
    let file = place.file("event.json", &place.run(&["get", &id]).ok());
    let proof = place.file("proof", &place.run(&["proof", &id, "--checkpoint", &kept]).ok());
    let files = [file.to_str().expect("UTF-8"), proof.to_str().expect("UTF-8")];
    let proven = Run::of(program(&["verify-proof", files[0], files[1], "--policy", &policy])).ok();
    assert!(proven.contains("is leaf"), "{proven}");
    place.file("proof", &place.run(&["proof", &id]).ok());
    Run::of(program(&["verify-proof", files[0], files[1], "--policy", &policy])).failed(6);

    // A log that was rolled back: the kept file says it, and without it the witness.
    std::fs::copy(path(&place, "backup.db"), place.path()).expect("a restore");
    let rolled_back = place.run(&words).failed(6);
    assert!(rolled_back.contains("has a tree of 306 leaves, and the 303 leaves here"), "{rolled_back}");
    std::fs::remove_file(&kept).expect("it goes");
    let rolled_back = place.run(&words).failed(6);
    assert!(rolled_back.contains("has cosigned a tree of 306 leaves, and the 303 leaves here"), "{rolled_back}");
}

/// OpenSSL as the authority, and as the one who checks: a timestamp says that a checkpoint was there at a time.
#[test]
fn a_checkpoint_has_a_timestamp() {
    let (place, _) = sealed();
    let file = |name: &str| path(&place, name);
    let openssl = |words: &[&str]| {
        let done = Command::new("openssl").args(words).current_dir(place.folder()).output();
        let done = done.expect("this test needs openssl: apt-get install openssl");
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr),
        )
    };
    place.file("tsa.cnf", TSA);
    let request = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.pem", "-days", "2",
        "-config", "tsa.cnf",
    ];
    let (done, said) = openssl(&request);
    assert!(done, "{said}");
    std::fs::write(file("serial"), "01\n").expect("it is written");
    std::fs::write(file("kept"), place.run(&["checkpoint"]).ok()).expect("it is written");
    let (done, said) = openssl(&["ts", "-query", "-data", "kept", "-sha256", "-cert", "-out", "kept.tsq"]);
    assert!(done, "{said}");
    let (done, said) = openssl(&[
        "ts",
        "-reply",
        "-queryfile",
        "kept.tsq",
        "-out",
        "kept.tsr",
        "-config",
        "tsa.cnf",
        "-section",
        "tsa",
    ]);
    assert!(done, "{said}");
    let verify = ["ts", "-verify", "-data", "kept", "-in", "kept.tsr", "-CAfile", "tsa.pem"];
    let (done, said) = openssl(&verify);
    assert!(done && said.contains("Verification: OK"), "{said}");
    grow(&place);
    std::fs::write(file("kept"), place.run(&["checkpoint"]).ok()).expect("it is written");
    assert!(!openssl(&verify).0, "another checkpoint");
}

const TSA: &str = "
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
CN = tsa
[ext]
extendedKeyUsage = critical,timeStamping
[tsa]
serial = serial
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
digests = sha256
default_policy = 1.2.3.4
accuracy = secs:1
";
