//! Events that are about to be purged, compared with what was sealed.

use std::collections::HashMap;

use super::leaf_hash::leaf_hash;
use super::stored_tree::tiles_of;
use crate::event::{AuditEvent, EventId};
use crate::seal::{Checkpoint, SignedNote, VerifierKey, inclusion_nodes, inclusion_proof, verify_inclusion};
use crate::store::{Sealing, StoreError};

/// Compares each of these events with its leaf, and the leaves with the newest checkpoint. The inner error names the first that does not fit.
///
/// A purge is signed by what the database says of an event. Somebody who can write to it could date an event back for a minute, or
/// exchange the leaves of two.
pub(crate) async fn check_sealed(
    sealing: &dyn Sealing,
    keys: &[VerifierKey],
    ids: &[EventId],
) -> Result<Result<(), String>, StoreError> {
    let events = sealing.events(ids).await?;
    let events: HashMap<EventId, AuditEvent> = events.into_iter().map(|event| (event.event_id, event)).collect();
    let mut leaves = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(leaf) = sealing.leaf_of(*id).await? else {
            return Ok(Err(format!("the event {id} has no leaf any more")));
        };
        let Some(event) = events.get(id) else {
            return Ok(Err(format!("the event {id} is gone: another purge runs, or somebody has deleted it")));
        };
        match leaf_hash(event, &leaf.seed) {
            Some(hash) if *hash.as_bytes() == leaf.hash => leaves.push((*id, leaf.index, hash)),
            _ => {
                return Ok(Err(format!(
                    "the event {id} is not the one that was sealed, so it is not purged: `tower-audit verify` tells more"
                )));
            }
        }
    }
    // After the leaves, so that it is of a tree that has them.
    let Some(newest) = sealing.newest_checkpoint().await? else {
        return Ok(Err("the checkpoints are gone".to_owned()));
    };
    let note = newest.note.parse::<SignedNote>().map_err(|error| error.to_string());
    let checkpoint = match note.and_then(|note| Checkpoint::open(&note, keys).map_err(|error| error.to_string())) {
        Ok(checkpoint) => checkpoint,
        Err(reason) => return Ok(Err(format!("the newest checkpoint cannot be trusted: {reason}"))),
    };
    let mut nodes = Vec::new();
    for (_, index, _) in &leaves {
        nodes.extend(inclusion_nodes(*index, checkpoint.size).unwrap_or_default());
    }
    nodes.sort_unstable_by_key(|node| (node.level, node.index));
    nodes.dedup();
    let tiles = tiles_of(sealing, &nodes, checkpoint.size).await?;
    for (id, index, hash) in &leaves {
        let proven = inclusion_proof(*index, checkpoint.size, &tiles)
            .and_then(|proof| verify_inclusion(hash, *index, checkpoint.size, &proof, &checkpoint.root));
        if let Err(error) = proven {
            return Ok(Err(format!("the leaf {index} of the event {id} is not in the tree that was signed: {error}")));
        }
    }
    Ok(Ok(()))
}
