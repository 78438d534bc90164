//! The file of a store that is one: who can get at it, and whether there is room.

#[cfg(unix)]
mod unix {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use tower_audit::store::Diagnostic;

    /// Looks at the file, its folder and its disk. The names of the files beside it end in these.
    pub(super) fn look(path: &Path, beside: &[&str]) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if let Ok(metadata) = std::fs::metadata(path) {
            if !metadata.is_file() {
                // The mode of a device is its system's; opening the store reports the rest.
                return found;
            }
            found.push(file(path, beside, &metadata));
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        if let Ok(metadata) = std::fs::metadata(folder) {
            found.push(self::folder(folder, &metadata));
        }
        if let Ok(disk) = rustix::fs::statvfs(folder) {
            found.push(room(disk.f_bavail.saturating_mul(disk.f_frsize)));
        }
        found
    }

    fn file(path: &Path, beside: &[&str], metadata: &Metadata) -> Diagnostic {
        let (shown, mode) = (path.display(), metadata.mode() & 0o7777);
        let text = format!("{shown}, mode {mode:04o}, of user {}", metadata.uid());
        let others: String = beside.iter().map(|end| format!(" {shown}{end}")).collect();
        let remedy = format!("chmod o= {shown}{others}, and give the app the umask 027");
        if mode & 0o002 != 0 {
            Diagnostic::error("file", format!("{text}: every user of this machine can change events"), remedy)
        } else if mode & 0o004 != 0 {
            Diagnostic::warning("file", format!("{text}: every user of this machine can read events"), remedy)
        } else {
            Diagnostic::ok("file", text)
        }
    }

    /// Checks the folder: an account that can write to it can replace the log.
    fn folder(path: &Path, metadata: &Metadata) -> Diagnostic {
        const STICKY: u32 = 0o1000;
        let (shown, mode) = (path.display(), metadata.mode() & 0o7777);
        let text = format!("{shown}, mode {mode:04o}, of user {}", metadata.uid());
        if mode & 0o002 != 0 && mode & STICKY == 0 {
            Diagnostic::error("folder", format!("{text}: every user can replace the log"), format!("chmod o-w {shown}"))
        } else if mode & 0o002 != 0 {
            Diagnostic::warning(
                "folder",
                format!("{text}: every user can create files beside the log"),
                "keep the log in a folder of the app's own",
            )
        } else {
            Diagnostic::ok("folder", text)
        }
    }

    fn room(bytes: u64) -> Diagnostic {
        const MB: u64 = 1_000_000;
        let text = format!("{} MB are free", bytes / MB);
        let remedy =
            "make room: a full disk makes the app answer 503 and 500; `tower-audit purge` makes room within the file";
        match bytes {
            ..FULL => Diagnostic::error("disk", text, remedy),
            FULL..LITTLE => Diagnostic::warning("disk", text, remedy),
            _ => Diagnostic::ok("disk", text),
        }
    }

    /// A write-ahead log alone takes as much.
    const FULL: u64 = 64_000_000;
    const LITTLE: u64 = 1_000_000_000;

    #[cfg(test)]
    mod tests {
        use super::*;
        use tower_audit::store::Severity;

        #[test]
        fn little_room_is_told() {
            for (bytes, level) in
                [(0, Severity::Error), (FULL, Severity::Warning), (LITTLE, Severity::Ok), (u64::MAX, Severity::Ok)]
            {
                assert_eq!(room(bytes).severity, level, "{bytes}");
            }
        }
    }
}

use tower_audit::store::Diagnostic;

/// Nothing for stores that are no file.
#[cfg(unix)]
pub(super) fn files(url: &str) -> Vec<Diagnostic> {
    use tower_audit::store::{duckdb, jsonl, spool, sqlite};
    if let Some(path) = sqlite::path_of(url) {
        return unix::look(&path, &["-wal", "-shm"]);
    }
    if let Some(path) = duckdb::path_of(url) {
        return unix::look(&path, &[".wal"]);
    }
    if let Some(directory) = spool::directory_of(url) {
        // The directory and its disk; its files are the service's own.
        return unix::look(&directory.join("any"), &[]);
    }
    jsonl::path_of(url).map(|path| unix::look(&path, &[".*"])).unwrap_or_default()
}

#[cfg(not(unix))]
pub(super) fn files(_url: &str) -> Vec<Diagnostic> {
    Vec::new()
}
