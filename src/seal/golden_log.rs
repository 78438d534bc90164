//! A log that another implementation has made, byte for byte.

use sha2::{Digest, Sha256};

use super::*;
use crate::event::hex;

/// Key and leaves of github.com/transparency-dev/tessera, `testdata/build_log.sh` at 1811ae1a.
const KEY: &str = "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg";
const LEAVES: [&str; 15] = [
    "one", "two", "three", "four", "five", "six", "seven", "eit", "nain", "ten", "ileven", "twelf", "threeten",
    "fourten", "fivten",
];

/// The digests are over what `testdata/log` has: the checkpoints 0 to 15, and of 1 to 15 the tile and the bundle.
#[test]
fn the_log_of_tessera_is_made_again() {
    let signer: Signer = KEY.parse().unwrap();
    assert_eq!(
        signer.verifier_key().to_string(),
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    );
    assert_eq!(signer.to_secret_text(), KEY);
    let checkpoint = |edge: &TreeEdge| {
        let checkpoint = Checkpoint::new(signer.name(), edge.size(), edge.root()).unwrap();
        SignedNote::sign(checkpoint.to_string(), &[&signer]).unwrap()
    };

    let mut edge = TreeEdge::new();
    let (mut checkpoints, mut tiles) = (Sha256::new(), Sha256::new());
    checkpoints.update(checkpoint(&edge).to_string());
    for (number, leaf) in LEAVES.iter().enumerate() {
        edge.push(Hash::of_leaf(leaf.as_bytes()));
        checkpoints.update(checkpoint(&edge).to_string());
        for tile in edge.take_tiles() {
            assert_eq!(tile.id().path(), format!("tile/0/000.p/{}", number + 1));
            tiles.update(tile.to_bytes());
        }
        tiles.update(write_bundle(&LEAVES[..=number]).unwrap());
    }
    assert_eq!(
        checkpoint(&edge).to_string(),
        "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n\
         — example.com/log/testdata \
         M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n"
    );
    let digest = |hasher: Sha256| hex::encode(&hasher.finalize(), &mut [0; 64]).to_owned();
    assert_eq!(digest(checkpoints), "c366c82fdd7c77311b8141fbd3769670884dba48445f343867c348455de269fd");
    assert_eq!(digest(tiles), "be2cd027666196a52fdd479ea9b8da3226dff48ac57c60b76565985a951a4584");
}
