//! The Merkle tree of RFC 9162 over hashes that are stored elsewhere.

mod error;
mod hash_source;
mod node;
mod proof;
mod verify;

#[cfg(test)]
mod tests;

pub use error::TreeError;
pub use hash_source::{HashSource, root, root_nodes};
pub use node::Node;
pub use proof::{consistency_nodes, consistency_proof, inclusion_nodes, inclusion_proof};
pub use verify::{verify_consistency, verify_inclusion};
