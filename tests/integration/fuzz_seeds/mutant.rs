//! Mutants of seeds.

/// Tokens that parsers act on: separators, escapes, borders of ranges.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b"%",
    b"%2f",
    b"%2e",
    b"%00",
    b"/",
    b"..",
    b"*",
    b"!",
    b"\\",
    b"\"",
    b"=",
    b";",
    b",",
    b"&",
    b"{",
    b"[",
    b"\xff",
    "é".as_bytes(),
    "\u{202e}".as_bytes(),
    b"99999999999999999999",
];

/// Longer ones take more time and find no more.
const MAX_BYTES: usize = 2048;

/// One of the seeds, changed in a few places.
pub(crate) fn of(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        let end = random.usize(at..=input.len().min(at + 12));
        match random.u8(..7) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.u8(..)),
            2 => drop(input.splice(at..at, random.choice(TOKENS).unwrap_or_default().iter().copied())),
            3 => {
                let piece = input[at..end].to_vec();
                let times = 1 << random.usize(..8);
                input.splice(at..at, piece.repeat(times));
            }
            4 => {
                let other = random.choice(seeds).map(Vec::as_slice).unwrap_or_default();
                let from = random.usize(..=other.len());
                let to = random.usize(from..=other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
        }
        input.truncate(MAX_BYTES);
    }
    input
}
