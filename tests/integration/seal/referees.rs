//! Programs that others wrote accept our notes, tiles and proofs, and refuse changed ones.

use std::path::Path;
use std::process::Command;

use tower_audit::seal::{Leaf, Salts, SignedNote, Tile, TileId, TileSet, consistency_proof};
use tower_audit::sealing::prove;

use super::support::SealedLog;

const EVENTS: u64 = 700;
const OLD: u64 = 300;
const PROVEN: [u64; 6] = [0, 1, 255, 256, 511, 699];

/// Writes a sealed log as files: keys, checkpoints, tiles, entries and proofs.
async fn export(folder: &Path) -> SealedLog {
    let log = SealedLog::of(EVENTS).await;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(path, bytes).expect("it is written");
    };
    let store = log.open().await;
    let sealing = store.parts().sealing.expect("it is sealed");
    let newest = sealing.newest_checkpoint().await.expect("a checkpoint").expect("it is sealed");
    let old = sealing.checkpoints(OLD - 1, 1).await.expect("a checkpoint").remove(0);
    assert_eq!((newest.size, old.size), (EVENTS, OLD));
    write("vkey", log.key.to_string().as_bytes());
    write("checkpoint", newest.note.as_bytes());
    write("old", old.note.as_bytes());

    let full = |level: u8, count: u64| (0..count / 256).map(move |index| TileId { level, index, width: 256 });
    let mut tiles = TileSet::new();
    for id in full(0, EVENTS).chain(full(1, EVENTS / 256)).chain(TileId::partial_tiles(EVENTS)) {
        let (first, width) = (id.index * 256, usize::from(id.width));
        let hashes: Vec<[u8; 32]> = match id.level {
            0 => sealing.leaves(first, width).await.expect("leaves").iter().map(|leaf| leaf.hash).collect(),
            level => sealing.nodes(level, first, width).await.expect("nodes").iter().map(|node| node.hash).collect(),
        };
        let tile = Tile::from_bytes(id, hashes.as_flattened()).expect("a tile");
        write(&id.path(), &tile.to_bytes());
        tiles.insert(tile);
    }
    let consistency = consistency_proof(OLD, EVENTS, &tiles).expect("a proof");
    let lines: Vec<String> = consistency.iter().map(ToString::to_string).collect();
    write("consistency", lines.join("\n").as_bytes());
    for index in PROVEN {
        let leaf = sealing.leaves(index, 1).await.expect("a leaf").remove(0);
        let proven = prove(&*store, leaf.event_id).await.expect("a proof").expect("it is sealed");
        let salts = Salts::from_bytes(proven.proof.extra.as_deref().expect("salts")).expect("salts");
        let entry = Leaf::with_salts(&proven.event, &salts).expect("a leaf").entry();
        write(&format!("{index}.entry"), &entry);
        write(&format!("{index}.tlog-proof"), proven.proof.to_string().as_bytes());
    }
    store.close().await.expect("the store closes");
    log
}

#[tokio::test]
async fn the_code_of_gos_checksum_database_accepts_them() {
    let folder = tempfile::tempdir().expect("a folder");
    export(folder.path()).await;
    let done = Command::new("go")
        .args(["run", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/seal/referee.go")])
        .arg(folder.path())
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOFLAGS", "")
        .env("GOPROXY", "off")
        .env("GOCACHE", folder.path().join("cache"))
        .output()
        .expect("this test needs Go: apt-get install golang-go golang-golang-x-mod-dev");
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let proofs = PROVEN.map(|index| format!("proof of {index}"));
    let expected = [&["checkpoint of 700", "consistency with 300", "tiles"].map(str::to_owned)[..], &proofs].concat();
    let mut lines: Vec<&str> = said.lines().collect();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

/// A verifier of tlog-proofs from PyPI.
#[tokio::test]
#[ignore = "needs proofbundle from PyPI: tests/run installs it, and runs this test"]
async fn proofbundle_accepts_our_proofs() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = export(folder.path()).await;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let verify = |entry: &str, proof: &str, key: &str| {
        let words = ["verify-proof", "--log-vkey", key, "--expected-origin", "example.com/audit", "--payload-file"];
        let done = Command::new("proofbundle").args(words).args([file(entry), file(proof)]).output();
        let done = done.expect("this test needs proofbundle: pip install proofbundle");
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.success(), said)
    };
    let key = log.key.to_string();
    for index in PROVEN {
        let (accepted, said) = verify(&format!("{index}.entry"), &format!("{index}.tlog-proof"), &key);
        assert!(accepted, "{said}");
    }
    assert!(!verify("0.entry", "1.tlog-proof", &key).0, "the proof of another entry");
    let other = tower_audit::seal::Signer::from_seed("example.com/audit", [9; 32]).expect("a key").verifier_key();
    assert!(!verify("0.entry", "0.tlog-proof", &other.to_string()).0, "another key");
    let proof = std::fs::read_to_string(file("0.tlog-proof")).expect("the proof");
    let (head, note) = proof.split_once("\n\n").expect("a proof");
    let note: SignedNote = note.parse().expect("a note");
    let changed = proof.replacen(note.text(), &note.text().replace("700", "701"), 1);
    std::fs::write(file("changed.tlog-proof"), changed).expect("it is written");
    assert!(!verify("0.entry", "changed.tlog-proof", &key).0, "another size");
    let last = head.rfind('\n').expect("lines");
    std::fs::write(file("short.tlog-proof"), format!("{}\n\n{note}", &head[..last])).expect("it is written");
    assert!(!verify("0.entry", "short.tlog-proof", &key).0, "a hash too few");
}
