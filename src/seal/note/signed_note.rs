//! Text with signatures.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{NoteError, Signer, VerifierKey, key_name};
use crate::event::excerpt;
use crate::seal::SealError;

/// The largest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 1 << 20;
/// The largest number of signatures of a note.
pub const MAX_SIGNATURES: usize = 100;

/// A text that ends in a line feed, and signatures of it (C2SP signed-note v1.0.0). Do not trust the text before
/// [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line of a [`SignedNote`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The id of the key.
    pub key_id: u32,
    /// The signature, as its type has it.
    pub bytes: Vec<u8>,
}

/// A signature that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified<'k> {
    /// The key that signed.
    pub key: &'k VerifierKey,
    /// The time of a cosignature, in seconds since 1970. It says when a witness signed.
    pub time: Option<u64>,
}

impl SignedNote {
    /// Signs a text.
    ///
    /// # Errors
    /// The text does not end in a line feed, has other control characters, or is larger than [`MAX_NOTE_BYTES`]; or no key
    /// is given, or more than [`MAX_SIGNATURES`].
    pub fn sign(text: impl Into<String>, signers: &[&Signer]) -> Result<Self, SealError> {
        let text = text.into();
        if !text.ends_with('\n') {
            return Err(SealError::new("the text of a note ends in a line feed"));
        }
        check_characters(&text)?;
        check_count(signers.len())?;
        let signatures = signers.iter().map(|signer| NoteSignature {
            name: signer.name().to_owned(),
            key_id: signer.verifier_key().id(),
            bytes: signer.sign(&text),
        });
        Ok(Self { signatures: signatures.collect(), text })
    }

    /// Returns the text. It is what the signer said only after [`verify`](Self::verify).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the signatures.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks the signatures of the known keys, and ignores those of others.
    ///
    /// # Errors
    /// A signature of a known key does not fit the text, or there is none of a known key.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, NoteError> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.id() == signature.key_id && key.name() == signature.name) else {
                continue;
            };
            let Some(time) = key.verify(&self.text, &signature.bytes) else {
                return Err(NoteError::BadSignature { name: signature.name.clone(), key_id: signature.key_id });
            };
            // A second signature of a key is no second witness.
            if !verified.iter().any(|known| known.key == key) {
                verified.push(Verified { key, time });
            }
        }
        if verified.is_empty() {
            let signed_by = self.signatures.iter().map(|signature| (signature.name.clone(), signature.key_id));
            return Err(NoteError::NoKnownSignature { signed_by: signed_by.collect() });
        }
        Ok(verified)
    }
}

/// Control characters would forge lines on a terminal.
fn check_characters(text: &str) -> Result<(), SealError> {
    if text.len() > MAX_NOTE_BYTES {
        return Err(SealError::new(format!("a note of {} bytes: expected {MAX_NOTE_BYTES} at the most", text.len())));
    }
    match text.lines().position(|line| line.contains(|c: char| c < ' ')) {
        Some(line) => Err(SealError::at_line(line + 1, "a control character")),
        // `lines` takes a carriage return before a line feed away.
        None if text.contains('\r') => Err(SealError::new("a carriage return: expected lines that end in a line feed")),
        None => Ok(()),
    }
}

fn check_count(signatures: usize) -> Result<(), SealError> {
    if (1..=MAX_SIGNATURES).contains(&signatures) {
        Ok(())
    } else {
        Err(SealError::new(format!("a note with {signatures} signatures: expected 1 to {MAX_SIGNATURES}")))
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let bytes = [&signature.key_id.to_be_bytes()[..], &signature.bytes].concat();
            writeln!(f, "— {} {}", signature.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

impl FromStr for SignedNote {
    type Err = SealError;

    fn from_str(note: &str) -> Result<Self, SealError> {
        check_characters(note)?;
        let Some(at) = note.rfind("\n\n") else {
            return Err(SealError::new("no signatures: expected an empty line before them"));
        };
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let first_line = text.lines().count() + 2;
        let Some(lines) = lines.strip_suffix('\n') else {
            return Err(SealError::new("the note does not end in a line feed"));
        };
        let lines: Vec<&str> = lines.split('\n').collect();
        check_count(lines.len())?;
        let signatures = lines.iter().enumerate().map(|(number, line)| {
            parse_signature(line).map_err(|error| SealError::at_line(first_line + number, error))
        });
        Ok(Self { signatures: signatures.collect::<Result<_, _>>()?, text: text.to_owned() })
    }
}

fn parse_signature(line: &str) -> Result<NoteSignature, SealError> {
    let wrong = || SealError::text("signature", &excerpt(line), "an em dash, a space, NAME, a space, BASE64");
    let (name, bytes) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or_else(wrong)?;
    key_name::check(name)?;
    let bytes = STANDARD.decode(bytes).map_err(|_| wrong())?;
    match bytes.split_first_chunk::<4>() {
        Some((id, rest)) if !rest.is_empty() => {
            Ok(NoteSignature { name: name.to_owned(), key_id: u32::from_be_bytes(*id), bytes: rest.to_vec() })
        }
        _ => Err(SealError::new(format!("a signature of {} bytes: expected 4 of the key's id, and more", bytes.len()))),
    }
}
