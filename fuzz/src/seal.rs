//! Texts and bytes of the seal: notes, checkpoints, removals, proofs, keys, tiles and bundles.

use tower_audit::AuditEvent;
use tower_audit::seal::{
    Checkpoint, Hash, Leaf, LeafRanges, RemovalNote, Salts, Seed, SignedNote, Signer, Tile, TileId, TlogProof,
    VerifierKey, read_bundle, verify_consistency, verify_inclusion, write_bundle, write_canonical_json,
};

use super::choices::Choices;

/// A text that is read is written again byte for byte, and a verifier refuses anything that was not signed. Nothing panics.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(8) {
        0 => note(&choices.rest()),
        1 => {
            let text = choices.rest();
            if let Ok(checkpoint) = same_text::<Checkpoint>(&text) {
                assert!(!checkpoint.origin.is_empty());
            }
            let _ = same_text::<RemovalNote>(&text);
            if let Ok(leaves) = same_text::<LeafRanges>(&text) {
                assert!(!leaves.is_empty() && leaves.count() > 0);
            }
        }
        2 => proof(&choices.rest()),
        3 => {
            let text = choices.rest();
            let _ = same_text::<VerifierKey>(&text);
            if let Ok(signer) = text.parse::<Signer>() {
                assert_eq!(signer.to_secret_text(), text.strip_suffix('\n').unwrap_or(&text));
            }
        }
        4 => tile(&choices.text(), choices.0),
        5 => {
            if let Ok(entries) = read_bundle(choices.0) {
                assert_eq!(write_bundle(&entries).expect("entries that were read"), choices.0);
            }
        }
        6 => {
            if let Ok(leaf) = Leaf::from_entry(choices.0) {
                assert_eq!(leaf.entry(), choices.0);
            }
            if let Ok(salts) = Salts::from_bytes(choices.0) {
                assert_eq!(salts.to_bytes(), choices.0);
            }
        }
        _ => canonical(choices.0),
    }
}

fn same_text<T: std::str::FromStr + std::fmt::Display>(text: &str) -> Result<T, T::Err> {
    let read = text.parse::<T>()?;
    assert_eq!(read.to_string(), text);
    Ok(read)
}

/// The key of the seeds.
fn key() -> VerifierKey {
    Signer::from_seed("example.com/audit", [7; 32]).expect("a name").verifier_key()
}

fn note(text: &str) {
    let Ok(note) = same_text::<SignedNote>(text) else { return };
    let keys = [key()];
    if note.verify(&keys).is_ok() {
        // One bit of the text, and the signature is another's.
        let changed = text.replacen(note.text(), &format!("x{}", note.text()), 1);
        let changed: SignedNote = changed.parse().expect("a note with another text");
        assert!(changed.verify(&keys).is_err());
    }
    let _ = Checkpoint::open(&note, &keys);
}

fn proof(text: &str) {
    let Ok(proof) = same_text::<TlogProof>(text) else { return };
    let leaf = Hash::of_leaf(b"");
    let _ = proof.verify(&leaf, &[key()]);
    let checkpoint: Checkpoint = proof.checkpoint.text().parse().expect("a proof has a checkpoint");
    let (index, size, root) = (proof.index, checkpoint.size, checkpoint.root);
    let _ = verify_inclusion(&leaf, index, size, &proof.hashes, &root);
    let _ = verify_consistency(index, &leaf, size, &root, &proof.hashes);
    let _ = verify_consistency(size, &root, index, &leaf, &proof.hashes);
}

fn tile(path: &str, bytes: &[u8]) {
    let Ok(id) = path.parse::<TileId>() else { return };
    assert_eq!(id.path(), path);
    if let Ok(tile) = Tile::from_bytes(id, bytes) {
        assert_eq!(tile.to_bytes(), bytes);
    }
}

fn canonical(json: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(json) {
        let text = |value: &serde_json::Value| {
            let mut text = Vec::new();
            write_canonical_json(value, &mut text);
            text
        };
        let first = text(&value);
        let read = serde_json::from_slice(&first).expect("canonical JSON is JSON");
        assert_eq!(text(&read), first);
    }
    if let Ok(event) = serde_json::from_slice::<AuditEvent>(json) {
        let seed = Seed::from_bytes([1; 32]);
        // The event of a reader is that of the writer.
        let json = serde_json::to_vec(&event).expect("an event is JSON");
        if let Ok(read) = serde_json::from_slice(&json)
            && read == event
        {
            assert_eq!(Leaf::of(&read, &seed), Leaf::of(&event, &seed));
        }
    }
}
