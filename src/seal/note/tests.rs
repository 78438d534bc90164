use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::seal::Hash;

/// The example of C2SP signed-note.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n— example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn signer(name: &str) -> Signer {
    Signer::from_seed(name, [name.len() as u8; 32]).unwrap()
}

fn checkpoint(origin: &str) -> Checkpoint {
    Checkpoint::new(origin, 42, Hash::of_leaf(b"")).unwrap()
}

#[test]
fn the_example_of_the_specification_holds() {
    let key: VerifierKey = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note: SignedNote = EXAMPLE.parse().unwrap();
    assert_eq!(note.to_string(), EXAMPLE);
    let keys = [key];
    assert_eq!(note.verify(&keys).unwrap()[0], Verified { key: &keys[0], time: None });
    let other: SignedNote = EXAMPLE.replace("example message", "exemplary message").parse().unwrap();
    let error = other.verify(&keys).unwrap_err();
    assert_eq!(error, NoteError::BadSignature { name: "example.com/foo".to_owned(), key_id: 0x530d_903a });
}

#[test]
fn signatures_of_unknown_keys_are_ignored_and_one_wrong_one_of_a_known_key_rejects_the_note() {
    let (a, b) = (signer("a"), signer("bb"));
    let note = SignedNote::sign("text\n\nmore\n", &[&a, &b]).unwrap();
    let read: SignedNote = note.to_string().parse().unwrap();
    assert_eq!(read, note);
    assert_eq!(note.verify(&[a.verifier_key()]).unwrap().len(), 1);
    assert_eq!(note.verify(&[a.verifier_key(), b.verifier_key()]).unwrap().len(), 2);
    let error = note.verify(&[signer("ccc").verifier_key()]).unwrap_err().to_string();
    assert!(error.starts_with("signed by none of the given keys, but by a+"), "{error}");

    let forged =
        note.to_string().replacen(&note.to_string()[note.to_string().rfind(' ').unwrap() + 10..][..4], "AAAA", 1);
    let forged: SignedNote = forged.parse().unwrap();
    assert!(forged.verify(&[a.verifier_key()]).is_ok());
    let error = forged.verify(&[a.verifier_key(), b.verifier_key()]).unwrap_err();
    assert!(matches!(error, NoteError::BadSignature { ref name, .. } if name == "bb"), "{error}");

    // One key that signs twice is one signer.
    let twice = SignedNote::sign("text\n", &[&a, &a]).unwrap();
    assert_eq!(twice.verify(&[a.verifier_key()]).unwrap().len(), 1);
}

#[test]
fn a_malformed_note_names_its_line() {
    let good = SignedNote::sign("text\nmore\n", &[&signer("a")]).unwrap().to_string();
    for (given, replaced, expected) in [
        ("\n\n", "\n", "expected an empty line"),
        ("— a ", "- a ", "line 4"),
        ("— a ", "— a+b ", "line 4"),
        ("— a ", "—  a ", "line 4"),
        ("— a ", "— a  ", "line 4"),
        ("text", "te\txt", "line 1: a control character"),
        ("text\n", "text\r\n", "carriage return"),
        ("=\n", "=", "does not end in a line feed"),
        ("=\n", "\n", "line 4"),
    ] {
        assert!(good.contains(given));
        let error = good.replacen(given, replaced, 1).parse::<SignedNote>().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let many = good.clone() + &good.lines().last().map(|line| format!("{line}\n")).unwrap().repeat(MAX_SIGNATURES);
    assert!(many.parse::<SignedNote>().unwrap_err().to_string().contains("101 signatures"));
    let large = "a".repeat(MAX_NOTE_BYTES) + &good;
    assert!(large.parse::<SignedNote>().unwrap_err().to_string().contains("1048576 at the most"));
    assert!(SignedNote::sign("text", &[&signer("a")]).is_err());
    assert!(SignedNote::sign("text\n", &[]).is_err());
}

#[test]
fn a_checkpoint_is_read_strictly_and_only_from_a_key_of_its_origin() {
    let log = signer("example.com/audit");
    let text = checkpoint(log.name()).to_string();
    assert_eq!(text, "example.com/audit\n42\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n");
    let open = |text: &str, keys: &[VerifierKey]| Checkpoint::open(&SignedNote::sign(text, &[&log]).unwrap(), keys);
    assert_eq!(open(&text, &[log.verifier_key()]).unwrap(), checkpoint(log.name()));
    let extended = open(&(text.clone() + "extension\n"), &[log.verifier_key()]).unwrap();
    assert_eq!(extended.extension_lines, ["extension"]);
    for (given, replaced, expected) in [
        ("42", "042", "line 2"),
        ("42", "+42", "line 2"),
        ("42", "", "line 2"),
        ("42", "18446744073709551616", "line 2"),
        ("example.com/audit\n", "\n", "line 1"),
        ("B0=\n", "B0\n", "line 3"),
        ("B0=\n", "B0=\n\nmore\n", "line 4"),
        ("42\n", "", "of 2 lines"),
        ("example.com/audit", "example.com/other", "origin"),
    ] {
        assert!(text.contains(given));
        let error = open(&text.replacen(given, replaced, 1), &[log.verifier_key()]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_cosignature_of_a_witness_is_checked_with_its_time() {
    let (log, witness) = (signer("example.com/audit"), SigningKey::from_bytes(&[9; 32]));
    let key = VerifierKey::new("witness.example".to_owned(), SignatureType::CosignatureV1, witness.verifying_key());
    assert_eq!(key.to_string().parse::<VerifierKey>().unwrap(), key);
    let note = SignedNote::sign(checkpoint(log.name()).to_string(), &[&log]).unwrap();
    let cosigned = |time: u64, said: u64| {
        let message = format!("cosignature/v1\ntime {said}\n{}", note.text());
        let signature = witness.sign(message.as_bytes()).to_bytes();
        let bytes = [&key.id().to_be_bytes()[..], &time.to_be_bytes(), &signature].concat();
        let line = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        format!("{note}— witness.example {line}\n").parse::<SignedNote>().unwrap()
    };
    let keys = [log.verifier_key(), key.clone()];
    let times: Vec<_> = cosigned(1_679_315_147, 1_679_315_147).verify(&keys).unwrap().iter().map(|v| v.time).collect();
    assert_eq!(times, [None, Some(1_679_315_147)]);
    assert!(Checkpoint::open(&cosigned(7, 7), &keys).is_ok());
    for wrong in [cosigned(8, 7), cosigned(1 << 63, 1 << 63)] {
        assert!(matches!(wrong.verify(&keys), Err(NoteError::BadSignature { name, .. }) if name == "witness.example"));
    }
    // A witness alone does not make a checkpoint of the log.
    let error = Checkpoint::open(&cosigned(7, 7), &keys[1..]).unwrap_err().to_string();
    assert!(error.contains("has signed the checkpoint of this origin"), "{error}");
}

#[test]
fn a_key_that_was_changed_or_is_weak_is_refused() {
    let good = signer("example.com/audit").verifier_key().to_string();
    let secret = signer("example.com/audit").to_secret_text();
    assert_eq!(format!("{secret}\n").parse::<Signer>().unwrap().verifier_key().to_string(), good);
    for (given, replaced) in [("audit", "audio"), ("+A", "+B"), ("example", "exa mple"), ("=", ""), ("+", "")] {
        for (text, is_secret) in [(&good, false), (&secret, true)] {
            let changed = text.replacen(given, replaced, 1);
            if changed == *text {
                continue;
            }
            let error = match is_secret {
                true => changed.parse::<Signer>().unwrap_err().to_string(),
                false => changed.parse::<VerifierKey>().unwrap_err().to_string(),
            };
            assert!(error.contains("expected"), "{error}");
            let key = &secret[secret.len() - 44..];
            assert!(!is_secret || !error.contains(key), "{error}");
        }
    }
    // The neutral point: every signature of it would hold for some text of the forger's.
    let mut weak = [0; 32];
    weak[0] = 1;
    let id = key_name::key_id("weak", SignatureType::Ed25519, &weak);
    let bytes = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [&[1], &weak[..]].concat());
    let error = format!("weak+{id:08x}+{bytes}").parse::<VerifierKey>().unwrap_err().to_string();
    assert!(error.contains("not weak"), "{error}");
    let error = good.replacen("+A", "+B", 1).parse::<VerifierKey>().unwrap_err().to_string();
    assert!(error.contains("not supported"), "{error}");
    assert!(!format!("{:?}", signer("a")).contains("PRIVATE"));
}
