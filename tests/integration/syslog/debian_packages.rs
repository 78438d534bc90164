//! Debian packages of the tests: installed or unpacked if they are missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Installs a package unless its program is there.
pub(crate) fn install(program: &str, package: &str) {
    // Of tests that begin at the same time, one installs and the others wait.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !Path::new(program).exists() {
        apt_get(Path::new("/"), &["update", "-qq"]);
        apt_get(Path::new("/"), &["install", "-y", "-qq", "--no-install-recommends", package]);
    }
}

/// The folder in which syslog-ng is unpacked: as a package it would take the place of rsyslog.
pub(crate) fn syslog_ng() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("syslog-ng");
        if !folder.join("usr/sbin/syslog-ng").exists() {
            unpack(&folder);
        }
        folder
    })
}

/// The packages of syslog-ng with the libraries that are on no usual machine.
const SYSLOG_NG: [&str; 7] =
    ["syslog-ng-core", "libivykis0", "libnet1", "libpcre3", "libwrap0", "libnsl2", "libjson-c5"];

fn unpack(folder: &Path) {
    let packages = tempfile::tempdir().expect("a folder");
    apt_get(packages.path(), &[&["download", "-qq"], &SYSLOG_NG[..]].concat());
    // Renamed when it is whole: a test that was killed leaves no half of it.
    let parts = folder.with_extension("parts");
    let _ = std::fs::remove_dir_all(&parts);
    std::fs::create_dir_all(&parts).expect("the folder of the build can be written");
    for package in std::fs::read_dir(packages.path()).expect("a folder") {
        let package = package.expect("a file").path();
        let done = Command::new("dpkg-deb").arg("-x").args([&package, &parts]).status();
        assert!(done.is_ok_and(|status| status.success()), "{}", package.display());
    }
    std::fs::rename(&parts, folder).expect("the folder is new");
}

fn apt_get(folder: &Path, arguments: &[&str]) {
    let done = Command::new("apt-get")
        .args(arguments)
        .current_dir(folder)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .expect(
            "a package is missing, and so is apt-get: these tests need rsyslog, rsyslog-gnutls, syslog-ng and fail2ban",
        );
    assert!(done.status.success(), "apt-get {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
