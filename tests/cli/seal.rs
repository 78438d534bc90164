//! `keygen`, `seal`, `checkpoint`, `verify`, `proof` and `verify-proof`.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Run, Store, json, many, program, samples};

/// A sealed store, and its public key.
fn sealed(events: u32) -> (Store, String) {
    let place = Store::of(&many(events, "2026-01-01T00:00:00Z"));
    let key = place.folder().join("seal.key");
    let words = ["keygen", key.to_str().expect("UTF-8"), "--origin", "example.com/audit"];
    let vkey = Run::of(program(&words)).ok().trim().to_owned();
    assert_eq!(place.run(&["seal", "--once", "--key", key.to_str().expect("UTF-8")]).ok(), format!("{events}\n"));
    (place, vkey)
}

#[test]
fn a_sealed_log_verifies_and_a_damaged_one_does_not() {
    let (place, vkey) = sealed(700);
    let kept = place.folder().join("seal.key.checkpoint");
    let kept = kept.to_str().expect("UTF-8");
    let words = ["verify", "--vkey", &vkey, "--against", kept];
    assert_eq!(
        place.run(&words).ok(),
        "example.com/audit: 700 leaves, 1 checkpoints; 700 events are intact, 0 purged, 0 not sealed yet\n"
    );
    let report = json(&place.run(&[&words[..], &["--format", "json"]].concat()).ok());
    assert_eq!((&report["size"], &report["damaged"], &report["findings"]), (&700.into(), &0.into(), &json("[]")));
    let checkpoint = place.run(&["checkpoint"]).ok();
    assert!(checkpoint.starts_with("example.com/audit\n700\n"), "{checkpoint}");
    assert_eq!(checkpoint, std::fs::read_to_string(kept).expect("the file beside the key"));

    // Every event of one address, as somebody at a shell would do it.
    crate::support::runtime().block_on(async {
        use sqlx::{ConnectOptions as _, Connection as _};
        let mut db =
            sqlx::sqlite::SqliteConnectOptions::new().filename(place.path()).connect().await.expect("it opens");
        sqlx::query("DELETE FROM audit_leaves WHERE n = 20; UPDATE audit_leaves SET seed = zeroblob(32) WHERE n = 10")
            .execute(&mut db)
            .await
            .expect("it is changed");
        db.close().await.expect("it closes");
    });
    let done = place.run(&words);
    assert_eq!(done.code, Some(6), "{done:?}");
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(lines[1].starts_with("edited: the event of leaf 10 is not the one that was sealed"), "{done:?}");
    assert!(lines[2].starts_with("missing: the leaves 20 to 20 are gone"), "{done:?}");
    assert!(done.stderr.contains("the log is damaged in") && done.stderr.contains("evidence"), "{done:?}");
    let done = place.run(&[&words[..], &["--format", "json"]].concat());
    assert_eq!((done.code, &json(&done.stdout)["findings"][0]["damage"]), (Some(6), &"edited".into()));
}

#[test]
fn an_event_is_proven_without_the_store() {
    let (place, vkey) = sealed(300);
    let event = place.query(&["--limit", "1", "--skip", "7"]).remove(0);
    let id = event.event_id.to_string();
    let proof = place.file("event.tlog-proof", &place.run(&["proof", &id]).ok());
    let event = place.file("event.json", &place.run(&["get", &id]).ok());
    let files = [event.to_str().expect("UTF-8"), proof.to_str().expect("UTF-8")];
    let verify = |key: &str| Run::of(program(&["verify-proof", files[0], files[1], "--vkey", key]));
    assert_eq!(verify(&vkey).ok(), format!("event {id} is leaf 292 of 300 in example.com/audit\n"));
    let other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert!(verify(other).failed(6).contains("signed by none of the given keys"), "another key");
    let text = std::fs::read_to_string(&event).expect("the event");
    place.file("event.json", &text.replace("upload", "auth"));
    assert!(verify(&vkey).failed(6).contains("does not hold"), "another event");
    place.file("event.json", "x");
    assert!(verify(&vkey).failed(2).contains("event.json"), "no event");
    assert!(place.run(&["proof", "0199a700000070008000000000000001"]).failed(4).contains("there is no event"));
    assert!(place.run(&["proof", "x"]).failed(2).contains("is no event_id"));
}

#[test]
fn errors_say_what_is_missing() {
    let place = Store::of(&samples());
    assert!(place.run(&["checkpoint"]).failed(1).contains("seal --key FILE"));
    assert!(place.run(&["verify"]).failed(2).contains("--vkey"));
    assert!(place.run(&["verify", "--vkey", "x"]).failed(2).contains("expected NAME+ID+BASE64"));
    let key = place.folder().join("key");
    let key = key.to_str().expect("UTF-8");
    assert!(place.run(&["seal", "--key", key]).failed(2).contains("keygen FILE"));
    assert!(Run::of(program(&["keygen", key, "--origin", "a b"])).failed(2).contains("without spaces"));
    Run::of(program(&["keygen", key, "--origin", "example.com/audit"])).ok();
    assert!(
        Run::of(program(&["keygen", key, "--origin", "example.com/audit"])).failed(2).contains("cannot be written")
    );
    let secret = std::fs::read_to_string(key).expect("the key");
    place.file("key", &secret.replace("PRIVATE", "PUBLIC"));
    let error = place.run(&["seal", "--key", key]).failed(2);
    assert!(error.contains("PRIVATE+KEY+NAME+ID+BASE64") && !error.contains(secret.trim()), "{error}");
}

/// The process seals what comes, and ends at a signal.
#[cfg(unix)]
#[test]
fn a_process_of_its_own_seals_what_comes() {
    let (place, vkey) = sealed(10);
    let key = place.folder().join("seal.key");
    let mut sealer = place
        .command(&["seal", "--key", key.to_str().expect("UTF-8")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    place.append(&samples());
    let since = Instant::now();
    while !place.run(&["checkpoint"]).ok().starts_with("example.com/audit\n13\n") {
        assert!(since.elapsed() < Duration::from_secs(20), "not sealed");
        std::thread::sleep(Duration::from_millis(50));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&sealer), rustix::process::Signal::TERM)
        .expect("it gets a signal");
    assert!(sealer.wait().expect("it ends").success());
    let mut said = String::new();
    sealer.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    assert!(said.contains("sealing with example.com/audit+") && !said.contains("PRIVATE"), "{said}");
    assert!(place.run(&["verify", "--vkey", &vkey]).ok().contains("13 events are intact"));
}

/// A purge of a sealed log needs the key that the writers lack.
#[test]
fn a_purge_of_a_sealed_log_is_signed() {
    let (place, vkey) = sealed(500);
    let key = place.folder().join("retention.key");
    let key = key.to_str().expect("UTF-8");
    let made = ["keygen", key, "--retention", "--origin", "example.com/audit"];
    let retention = Run::of(program(&made)).ok().trim().to_owned();
    assert!(retention.starts_with("example.com/audit/retention+"), "{retention}");
    assert!(!place.folder().join("retention.key.checkpoint").exists(), "a retention key has no memory");
    let before = "2026-01-01T00:01:40Z";
    let refused = place.run(&["purge", "--before", before, "--yes"]).failed(2);
    assert!(refused.contains("nothing was deleted") && refused.contains("--retention-key FILE"), "{refused}");
    let seal_key = place.folder().join("seal.key");
    let seal_key = seal_key.to_str().expect("UTF-8");
    let words = ["purge", "--before", before, "--yes", "--retention-key"];
    assert!(place.run(&[&words[..], &[seal_key]].concat()).failed(2).contains("keygen --retention"));
    assert_eq!(place.count(), 500, "nothing was deleted");
    assert_eq!(place.run(&[&words[..], &[key, "--quiet"]].concat()).ok(), "");
    assert_eq!(place.count(), 402, "100 are gone, and the purge has two of its own");
    place.run(&["seal", "--once", "--key", seal_key]).ok();
    let verified = place.run(&["verify", "--vkey", &vkey, "--retention-vkey", &retention]).ok();
    assert!(verified.contains("402 events are intact, 100 purged"), "{verified}");
    let unknown = place.run(&["verify", "--vkey", &vkey]);
    assert_eq!(unknown.code, Some(6));
    assert!(
        unknown.stdout.contains("purge_unaccounted: the event of leaf 0 was purged, and no retention key was given"),
        "{unknown:?}"
    );
    let error = place.run(&["verify", "--vkey", &vkey, "--retention-vkey", "x"]).failed(2);
    assert!(error.contains("--retention-vkey") && error.contains("NAME+ID+BASE64"), "{error}");
}

#[test]
fn a_part_of_the_log_is_verified_and_a_policy_names_the_keys() {
    let (place, vkey) = sealed(300);
    let id = place.query(&["--limit", "1", "--skip", "7"])[0].event_id.to_string();
    let kept = place.file("kept", &place.run(&["checkpoint"]).ok());
    let kept = kept.to_str().expect("UTF-8");
    place.append(&samples());
    let key = place.folder().join("seal.key");
    place.run(&["seal", "--once", "--key", key.to_str().expect("UTF-8")]).ok();
    let since = place.run(&["verify", "--vkey", &vkey, "--since", kept]).ok();
    assert_eq!(
        since,
        "example.com/audit: 303 leaves since 300, 1 checkpoints; 3 events are intact, 0 purged, 0 not sealed yet\n"
    );
    let report = json(&place.run(&["verify", "--vkey", &vkey, "--event", &id, "--format", "json"]).ok());
    assert_eq!((&report["intact"], &report["size"], &report["damaged"]), (&1.into(), &303.into(), &0.into()));
    let unknown = ["verify", "--vkey", &vkey, "--event", "0199a700000070008000000000000001"];
    assert!(place.run(&unknown).failed(4).contains("there is no event"));

    let witness = "example.com/w+";
    let policy = |quorum: &str| place.file("policy", &format!("# trust\nlog {vkey}\n{quorum}\n"));
    let policy = |quorum: &str| policy(quorum).to_str().expect("UTF-8").to_owned();
    let trusted = policy("quorum none");
    assert!(place.run(&["verify", "--policy", &trusted, "--against", kept]).ok().contains("303 events are intact"));
    let proof = place.file("event.tlog-proof", &place.run(&["proof", &id]).ok());
    let event = place.file("event.json", &place.run(&["get", &id]).ok());
    let files = [event.to_str().expect("UTF-8"), proof.to_str().expect("UTF-8")];
    let verify = |policy: &str| Run::of(program(&["verify-proof", files[0], files[1], "--policy", policy]));
    assert!(verify(&trusted).ok().contains("of 303 in example.com/audit"));
    // The cosigner of the specification's example.
    let key = cosigner();
    let quorum = policy(&format!("witness w {key}\nquorum w"));
    assert!(verify(&quorum).failed(6).contains("the quorum \"w\" of the policy is not met: cosigned by no witness"));
    let error = place.run(&["verify", "--policy", &quorum, "--against", kept]).failed(2);
    assert!(error.contains("--against") && error.contains("is not met"), "{error}");
    let error = place.run(&["verify", "--policy", &policy(&format!("witness w {witness}"))]).failed(2);
    assert!(error.contains("--policy") && error.contains("line 3"), "{error}");
    assert!(place.run(&["verify"]).failed(2).contains("--vkey"));
}

/// A key of a witness: type 0x04, and so another id than the same key of a log.
fn cosigner() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};

    let log = tower_audit::seal::Signer::from_seed("w.example", [5; 32]).expect("a name").verifier_key();
    let bytes = [&[4][..], log.public_key()].concat();
    let digest = Sha256::digest([b"w.example\n", &bytes[..]].concat());
    let id: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("w.example+{id}+{}", STANDARD.encode(bytes))
}

#[test]
fn doctor_tells_how_far_the_seal_is() {
    let (place, _) = sealed(20);
    let line = |done: &Run| {
        let report = json(&done.stdout);
        let found = report["diagnostics"]
            .as_array()
            .expect("diagnostics")
            .iter()
            .find(|found| found["subject"] == "seal")
            .cloned();
        found.expect("a line about the seal")
    };
    let found = line(&place.run(&["doctor", "--format", "json"]));
    assert_eq!(found["severity"], "ok", "{found}");
    assert!(
        found["message"].as_str().expect("text").starts_with("20 leaves; the newest checkpoint is of 2"),
        "{found}"
    );
    place.append(&samples());
    let found = line(&place.run(&["doctor", "--format", "json"]));
    assert_eq!(found["severity"], "warning", "{found}");
    assert!(found["message"].as_str().expect("text").contains("without a leaf for"), "{found}");
}

/// An erasure is counted, signed, recorded, and leaves what `verify` proves.
#[test]
fn a_person_is_erased_from_a_sealed_log() {
    let (place, vkey) = sealed(500);
    let key = place.folder().join("retention.key");
    let key = key.to_str().expect("UTF-8");
    let made = ["keygen", key, "--retention", "--origin", "example.com/audit"];
    let retention = Run::of(program(&made)).ok().trim().to_owned();
    let seal_key = place.folder().join("seal.key");
    let seal_key = seal_key.to_str().expect("UTF-8");
    place.append(&samples());
    place.append(&samples());
    place.run(&["seal", "--once", "--key", seal_key]).ok();
    let (user, events) = ("alice@example.org", 2);
    let words = ["erase", "--user", user, "--pseudonym", "former-1"];
    let counted = place.run(&[&words[..], &["--dry-run"]].concat());
    assert_eq!((counted.code, counted.stdout.as_str()), (Some(0), "2\n"), "{counted:?}");
    assert!(counted.stderr.contains("values of 2 events") && counted.stderr.contains("origin 2"), "{counted:?}");
    assert!(place.run(&words).failed(2).contains("--yes"), "there is no terminal to ask at");
    let refused = place.run(&[&words[..], &["--yes"]].concat()).failed(2);
    assert!(refused.contains("nothing was erased") && refused.contains("--retention-key FILE"), "{refused}");
    let done = place.run(&[&words[..], &["--yes", "--retention-key", key, "--format", "json"]].concat());
    let report = json(&done.stdout);
    assert_eq!((&report["erased"], &report["unsealed"]), (&events.into(), &0.into()), "{report}");
    assert_eq!(place.run(&["count", "--user-email", user]).ok(), "0\n");
    assert_eq!(place.run(&["count", "--user-email", "former-1"]).ok(), format!("{events}\n"));
    place.run(&["seal", "--once", "--key", seal_key]).ok();
    let verified = place.run(&["verify", "--vkey", &vkey, "--retention-vkey", &retention]).ok();
    assert!(verified.contains(&format!("508 events are intact ({events} with erased values)")), "{verified}");
    assert_eq!(place.run(&["verify", "--vkey", &vkey]).code, Some(6), "without the key, nothing accounts for it");

    let event = place.query(&["--user-email", "former-1", "--limit", "1"]).remove(0);
    let id = event.event_id.to_string();
    let proof = place.file("event.tlog-proof", &place.run(&["proof", &id]).ok());
    let event = place.file("event.json", &place.run(&["get", &id]).ok());
    let files = [event.to_str().expect("UTF-8"), proof.to_str().expect("UTF-8")];
    let words = ["verify-proof", files[0], files[1], "--vkey", &vkey];
    let refused = Run::of(program(&words)).failed(6);
    assert!(refused.contains("nothing of what stands in: actor.user_email, origin") && refused.contains("--partial"));
    let proven = Run::of(program(&[&words[..], &["--partial"]].concat())).ok();
    assert!(
        proven.contains("; erased or left out, so nothing proves what stands there: actor.user_email, origin"),
        "{proven}"
    );

    let name = place.file("name", "\n");
    let name = name.to_str().expect("UTF-8");
    assert!(place.run(&["erase", "--user-file", name, "--dry-run"]).failed(2).contains("first line is empty"));
    place.file("name", "nobody@example.org\n");
    assert_eq!(place.run(&["erase", "--user-file", name, "--dry-run", "--quiet"]).ok(), "0\n");
}

/// The successor of a key is vouched for in the log, and a restored log goes on under another origin.
#[test]
fn a_key_has_a_successor() {
    let (place, vkey) = sealed(100);
    let path = |name: &str| place.folder().join(name).to_str().expect("UTF-8").to_owned();
    let (old, new) = (path("seal.key"), path("seal-2.key"));
    let refused = place.run(&["keygen", &new, "--continues", &old, "--origin", "example.com/b"]).failed(2);
    assert!(refused.contains("keeps the origin"), "{refused}");
    let nothing_lost = ["keygen", &new, "--continues", &old, "--restored", "--origin", "example.com/b"];
    assert!(place.run(&nothing_lost).failed(6).contains("nothing was lost"));
    let second = place.run(&["keygen", &new, "--continues", &old]).ok().trim().to_owned();
    assert!(second.starts_with("example.com/audit+") && second != vkey, "{second}");
    assert_eq!(place.run(&["seal", "--once", "--key", &new]).ok(), "101\n");
    assert!(place.run(&["seal", "--once", "--key", &old]).failed(6).contains("not of this key"));
    let kept = path("seal-2.key.checkpoint");
    let verified = place.run(&["verify", "--vkey", &vkey, "--against", &kept]).ok();
    assert!(verified.contains("101 events are intact"), "{verified}");

    std::fs::copy(place.path(), path("backup.db")).expect("a copy");
    place.append(&samples());
    place.run(&["seal", "--once", "--key", &new]).ok();
    std::fs::copy(path("backup.db"), place.path()).expect("a restore");
    let refused = place.run(&["seal", "--once", "--key", &new]).failed(6);
    assert!(refused.contains("a tree of 104 leaves, and the store has 101"), "{refused}");
    let third = path("seal-3.key");
    place.run(&["keygen", &third, "--continues", &new, "--restored", "--origin", "example.com/audit-2"]).ok();
    assert_eq!(place.run(&["seal", "--once", "--key", &third]).ok(), "102\n");
    let verified = place.run(&["verify", "--vkey", &vkey]).ok();
    assert!(verified.starts_with("example.com/audit-2: 102 leaves"), "{verified}");
    let lost = place.run(&["verify", "--vkey", &vkey, "--against", &kept]);
    assert_eq!(lost.code, Some(6), "{lost:?}");
    assert!(lost.stdout.contains("restored from a copy of 101 leaves"), "{lost:?}");
}

/// Tables that somebody has dropped are no log that was never sealed.
#[test]
fn doctor_names_missing_tables_of_the_seal() {
    let (place, vkey) = sealed(50);
    crate::support::runtime().block_on(async {
        use sqlx::{ConnectOptions as _, Connection as _};
        let mut db =
            sqlx::sqlite::SqliteConnectOptions::new().filename(place.path()).connect().await.expect("it opens");
        sqlx::query("DROP TABLE audit_nodes").execute(&mut db).await.expect("it is dropped");
        db.close().await.expect("it closes");
    });
    let done = place.run(&["doctor"]);
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(done.stdout.contains("tables of the seal are gone: audit_nodes"), "{done:?}");
    assert_ne!(place.run(&["verify", "--vkey", &vkey]).code, Some(0));
}
