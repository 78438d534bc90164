//! The path of a file without symbolic links, whether or not the file exists.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Resolves symbolic links. A file that does not exist yet is named within its resolved folder, also behind a link that leads to it:
/// `/app/audit.db -> /data/audit.db` is `/data/audit.db` before and after the file is made. A write-ahead log or a lock beside
/// `/app/audit.db` would not be found again by the next process.
///
/// # Errors
/// `NotFound` if the folder does not exist.
pub(in crate::store) fn resolved_path(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let missing = match path.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            resolved => return resolved,
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(missing) };
        let folder = folder.canonicalize()?;
        path = folder.join(name);
        match fs::read_link(&path) {
            // A relative target begins at the folder of the link.
            Ok(target) => path = folder.join(target),
            // No link, or nothing at all.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many symbolic links one behind the other"))
}

/// As many as Linux follows: see path_resolution(7).
const MAX_LINKS: usize = 40;

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_the_file_that_it_leads_to_before_that_file_exists() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["app", "data"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let (link, target) = (folder.join("app/audit.db"), folder.join("data/audit.db"));
        symlink("../data/second", &link).unwrap();
        symlink(&target, folder.join("data/second")).unwrap();
        for path in [&link, &target, &folder.join("app/../data/audit.db")] {
            assert_eq!(resolved_path(path).unwrap(), target, "{}", path.display());
        }
        fs::write(&target, "").unwrap();
        assert_eq!(resolved_path(&link).unwrap(), target);
    }

    #[test]
    fn a_missing_folder_and_a_circle_of_links_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let [missing, first, second] = ["missing", "first", "second"].map(|name| folder.path().join(name));
        symlink("no/such/audit.db", &missing).unwrap();
        assert_eq!(resolved_path(&missing).unwrap_err().kind(), ErrorKind::NotFound);
        symlink(&second, &first).unwrap();
        symlink(&first, &second).unwrap();
        assert!(resolved_path(&first).is_err());
    }
}
