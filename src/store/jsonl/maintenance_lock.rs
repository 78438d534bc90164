//! The lock of those who rewrite or remove rotated files.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

use super::error::{DuringOperation as _, transient};
use super::file_layout::{Place, private};
use crate::store::StoreError;
use crate::store::files::LockedFile;

/// The lock of those who rewrite or remove rotated files.
#[derive(Debug)]
pub(super) struct MaintenanceLock {
    _file: LockedFile,
}

impl MaintenanceLock {
    fn open(place: &Place) -> io::Result<File> {
        place.make_state()?;
        let file = private().write(true).create(true).truncate(false).open(place.state.join("housekeeping"))?;
        place.give_to_owner(&file);
        Ok(file)
    }

    pub(super) fn try_take(place: &Place) -> io::Result<Option<Self>> {
        let file = Self::open(place)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: LockedFile::new(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn take(place: &Place, timeout: Duration, operation: &'static str) -> Result<Self, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(taken) = Self::try_take(place).during(operation)? {
                return Ok(taken);
            }
            if Instant::now() >= deadline {
                return Err(transient(operation).with_hint("another process removes or compresses events of the log"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
