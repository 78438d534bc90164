//! The mount that a file lies on, from Linux's `/proc/self/mountinfo` (format: proc_pid_mountinfo(5)).

use std::path::{Path, PathBuf};

/// The mount of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    point: PathBuf,
    file_system: String,
}

impl Mount {
    /// Returns the mount that a path without symbolic links lies on; `None` where the system does not say.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::from_table(&std::fs::read("/proc/self/mountinfo").ok()?, path)
    }

    /// Of mounts at one place, the last covers the others.
    fn from_table(table: &[u8], path: &Path) -> Option<Self> {
        let mounts = table.split(|byte| *byte == b'\n').filter_map(Self::from_line);
        mounts.filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.components().count())
    }

    /// Reads `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw`.
    fn from_line(line: &[u8]) -> Option<Self> {
        let point = line.split(|byte| *byte == b' ').nth(4)?;
        let separator = line.windows(3).position(|window| window == b" - ")?;
        let file_system = line.get(separator + 3..)?.split(|byte| *byte == b' ').next()?;
        Some(Self {
            point: path_from_bytes(unescape(point)),
            file_system: String::from_utf8_lossy(file_system).into_owned(),
        })
    }

    /// Returns the file system's name if it is kept in memory only.
    pub(crate) fn volatile_file_system(&self) -> Option<&str> {
        Some(self.file_system.as_str()).filter(|name| ["tmpfs", "ramfs"].contains(name))
    }

    /// Returns the place of the mount.
    #[cfg(feature = "sqlite")]
    pub(crate) fn point(&self) -> &Path {
        &self.point
    }
}

/// Replaces the octal escapes of space, tab, line feed and backslash: `\040` is a space.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut left = text;
    while let [byte, tail @ ..] = left {
        let code = tail.get(..3).filter(|_| *byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                left = &tail[3..];
            }
            None => {
                plain.push(*byte);
                left = tail;
            }
        }
    }
    plain
}

#[cfg(unix)]
fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The warning about a file that lives in memory.
pub(crate) fn volatile_message(file_system: &str) -> String {
    format!("the file lies on {file_system}, in memory: a restart of the machine loses it")
}

pub(crate) const VOLATILE_HINT: &str = "keep the log on a disk";

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        22 21 0:5 / /data rw - tmpfs tmpfs rw,size=64k\n\
        23 22 8:1 /srv/audit.db /data/audit.db rw,relatime master:3 propagate_from:2 - ext4 /dev/sda1 rw\n\
        24 21 8:1 /x /with\\040a\\134\\011blank rw - xfs /dev/sdb1 rw\n\
        25 21 0:6 / /data/covered rw - tmpfs tmpfs rw\n\
        26 21 8:2 / /data/covered rw - ext4 /dev/sdc rw\n\
        torn 21 8:2\n";

    #[test]
    fn a_path_lies_on_the_innermost_and_last_mount() {
        for (path, point, file_system) in [
            ("/var/audit.db", "/", "ext4"),
            ("/data/audit.db", "/data/audit.db", "ext4"),
            ("/data/audit.db-wal", "/data", "tmpfs"),
            ("/database", "/", "ext4"),
            ("/with a\\\tblank/audit.db", "/with a\\\tblank", "xfs"),
            ("/data/covered/audit.db", "/data/covered", "ext4"),
        ] {
            let expected = Mount { point: point.into(), file_system: file_system.into() };
            assert_eq!(Mount::from_table(TABLE, Path::new(path)), Some(expected), "{path}");
        }
        assert_eq!(Mount::from_table(b"", Path::new("/audit.db")), None);
    }

    #[test]
    fn file_systems_in_memory_are_told_apart() {
        let volatile = |path: &str| {
            let mount = Mount::from_table(TABLE, Path::new(path)).unwrap();
            mount.volatile_file_system().map(str::to_owned)
        };
        assert_eq!(volatile("/data/x"), Some("tmpfs".to_owned()));
        assert_eq!(volatile("/data/audit.db"), None);
    }

    #[test]
    fn an_escape_that_is_none_stays() {
        assert_eq!(unescape(b"\\"), b"\\");
        assert_eq!(unescape(b"\\9\\0401"), b"\\9 1");
        assert_eq!(unescape(b"\\777"), b"\\777");
    }
}
