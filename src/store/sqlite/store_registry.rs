//! The stores of this process. Several may have the same file open.
//!
//! SQLite has one index for all connections of a process to a database. So a store goes over from removed files to others only
//! when no connection of the process has the removed ones open. An idle store would keep its own for ever:
//!
//! - t0: A and B have the log open, and B is idle. Somebody removes `-wal`.
//! - t1: A copies and empties the removed log, and closes its connection.
//! - t2: A closes that of B as its own. The next append of B opens the file again.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::config::Config;
use super::file_key::FileKey;
use super::parked_connections::ParkedConnections;
use super::read_pool::ReadPool;
use super::writer::Writer;
use crate::store::StoreError;

/// The connections of a store.
struct Neighbour {
    config: Config,
    writer: Weak<tokio::sync::Mutex<Writer>>,
    pools: [Weak<ReadPool>; 2],
    parking: Weak<ParkedConnections>,
}

/// Adds a store to those of this process.
pub(super) fn add(
    config: &Config,
    writer: &Arc<tokio::sync::Mutex<Writer>>,
    pools: [&Arc<ReadPool>; 2],
    parking: &Arc<ParkedConnections>,
) {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|one| one.writer.strong_count() > 0);
    all.push(Neighbour {
        config: config.clone(),
        writer: Arc::downgrade(writer),
        pools: pools.map(Arc::downgrade),
        parking: Arc::downgrade(parking),
    });
}

/// Closes the connections of the other stores that have removed files of this database open, as far as they are idle. A store that is
/// not idle notices them itself.
///
/// # Errors
/// If the log of one cannot be copied now.
pub(super) async fn close_idle(
    database: Option<FileKey>,
    own: &Arc<tokio::sync::Mutex<Writer>>,
) -> Result<(), StoreError> {
    let others: Vec<_> = {
        let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = all.iter().filter_map(|one| {
            let pools = one.pools.each_ref().map(Weak::upgrade);
            Some((one.config.clone(), one.writer.upgrade()?, pools, one.parking.upgrade()?))
        });
        alive.filter(|(_, writer, ..)| !Arc::ptr_eq(writer, own)).collect()
    };
    for (config, writer, pools, parking) in others {
        // Without waiting: it may be doing the same, and wait for this one.
        let Ok(mut writer) = writer.try_lock() else { continue };
        if !writer.last.as_ref().is_some_and(|last| last.database() == database && !last.is_in_place()) {
            continue;
        }
        writer.drop_connections();
        for pool in pools.into_iter().flatten() {
            pool.close_idle().await;
        }
        parking.hand_over(&config).await?;
    }
    Ok(())
}

static ALL: Mutex<Vec<Neighbour>> = Mutex::new(Vec::new());
