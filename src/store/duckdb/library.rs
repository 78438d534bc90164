//! DuckDB's library, loaded once for each path and never unloaded.
//!
//! `adbc_driver_manager` loads it: Apache's crate for drivers of ADBC, an interface that `libduckdb` exports beside its own.
//! It is safe to call, and the library of any version of DuckDB that has the interface will do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use adbc_core::options::AdbcVersion;
use adbc_driver_manager::ManagedDriver;

use super::error::{NAME, OPENING};
use crate::store::{StoreError, StoreErrorKind};

/// Returns the driver of the library at this path; without one, of the library that the system's loader finds by its name.
pub(super) fn load(path: Option<&Path>) -> Result<ManagedDriver, StoreError> {
    static LOADED: Mutex<BTreeMap<Option<PathBuf>, ManagedDriver>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = path.map(Path::to_owned);
    if let Some(driver) = loaded.get(&key) {
        return Ok(driver.clone());
    }
    let driver = match path {
        Some(path) => ManagedDriver::load_dynamic_from_filename(path, Some(ENTRY), AdbcVersion::V110),
        None => ManagedDriver::load_dynamic_from_name("duckdb", Some(ENTRY), AdbcVersion::V110),
    };
    let driver = driver.map_err(|error| {
        let hint = match path {
            Some(path) => format!("`library={}` is no library of DuckDB's that can be loaded", path.display()),
            None => "the library of DuckDB is not found: install `libduckdb`, or name its file, \
                     `duckdb:PATH?library=/usr/local/lib/libduckdb.so`"
                .to_owned(),
        };
        StoreError::new(StoreErrorKind::Config, NAME, OPENING).with_hint(hint).with_source(error)
    })?;
    loaded.insert(key, driver.clone());
    Ok(driver)
}

/// The function of the library that lists the others.
const ENTRY: &[u8] = b"duckdb_adbc_init";
