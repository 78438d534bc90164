//! C2SP signed notes, the checkpoints in them, and the keys that sign them.

mod checkpoint;
mod key_name;
mod key_rotation;
mod note_error;
mod signature_type;
mod signed_note;
mod signer;
mod trust_policy;
mod verifier_key;

#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use key_rotation::{KeyRotation, RestoredTree};
pub use note_error::NoteError;
pub use signature_type::SignatureType;
pub use signed_note::{MAX_NOTE_BYTES, MAX_SIGNATURES, NoteSignature, SignedNote, Verified};
pub use signer::Signer;
pub use trust_policy::TrustPolicy;
pub use verifier_key::VerifierKey;
