//! System calls of a server: traced, made to fail, or made to take long.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use rustix::process::{Pid, Signal, kill_process};

use super::{is_root, try_run};

/// System calls that make a file durable.
const SYNCS: &str = "fsync,fdatasync";

/// The command that starts a program under trace, as a direct child of its caller.
pub(crate) fn tracing(calls: &str, into: &Path) -> Vec<OsString> {
    install();
    let mut words: Vec<OsString> = ["strace", "-D", "-f", "-yy", "-s", "5000"].map(Into::into).into();
    words.extend(["-e".into(), format!("trace={calls}").into(), "-o".into(), into.into(), "--".into()]);
    words
}

/// The command that starts a program of which each of these calls on this file fails, or takes long.
#[cfg(feature = "jsonl")]
pub(crate) fn failing(calls: &str, how: &str, file: &Path) -> Vec<OsString> {
    install();
    let mut words: Vec<OsString> = ["strace", "-f", "-o", "/dev/null", "-P"].map(Into::into).into();
    words.extend([file.into(), "-e".into(), format!("trace={calls}").into()]);
    words.extend(["-e".into(), format!("inject={calls}:{how}").into(), "--".into()]);
    words
}

/// A fault in the syncing of a running process, until it is dropped.
pub(crate) struct Fault(Child);

impl Fault {
    /// Every sync of the process fails with this error, or takes this long: see the manual of `strace`.
    pub(crate) fn in_syncs_of(pid: u32, how: &str) -> Self {
        Self::in_calls_of(pid, SYNCS, how, Path::new("/dev/null"), &[])
    }

    /// Each of these calls of the process on this file fails with this error, or takes this long.
    #[cfg(feature = "jsonl")]
    pub(crate) fn on_file(pid: u32, file: &Path, calls: &str, how: &str) -> Self {
        Self::on_files(pid, &[file], calls, how)
    }

    /// Each of these calls of the process on one of these files fails with this error, or takes this long.
    #[cfg(feature = "jsonl")]
    pub(crate) fn on_files(pid: u32, files: &[&Path], calls: &str, how: &str) -> Self {
        Self::in_calls_of(pid, calls, how, Path::new("/dev/null"), &paths(files))
    }

    /// As [`on_file`](Self::on_file). Each call is written to `into` when it begins.
    #[cfg(feature = "jsonl")]
    pub(crate) fn traced_on_file(pid: u32, file: &Path, calls: &str, how: &str, into: &Path) -> Self {
        Self::in_calls_of(pid, calls, how, into, &paths(&[file]))
    }

    fn in_calls_of(pid: u32, calls: &str, how: &str, into: &Path, more: &[&str]) -> Self {
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{how}"));
        let words = ["-f", "-o", into.to_str().expect("a path of text"), "-e", &trace, "-e", &inject];
        Self(attach(pid, &[&words, more].concat()))
    }
}

/// A trace of a running process, until it is dropped.
#[cfg(feature = "jsonl")]
pub(crate) struct Tracing(Fault);

#[cfg(feature = "jsonl")]
impl Tracing {
    /// Of its calls on these files.
    pub(crate) fn of_files(pid: u32, files: &[&Path], into: &Path) -> Self {
        let words = ["-f", "-yy", "-s", "5000", "-o", into.to_str().expect("a path of text")];
        Self(Fault(attach(pid, &[&words, paths(files).as_slice()].concat())))
    }

    /// Ends the trace: the file is whole.
    pub(crate) fn end(self) {
        drop(self.0);
    }
}

#[cfg(feature = "jsonl")]
fn paths<'a>(files: &[&'a Path]) -> Vec<&'a str> {
    files.iter().flat_map(|file| ["-P", file.to_str().expect("a path of text")]).collect()
}

fn attach(pid: u32, words: &[&str]) -> Child {
    install();
    let mut child = Command::new("strace")
        .args(words)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`strace` starts");
    let mut said = BufReader::new(child.stderr.take().expect("it was piped"));
    let mut line = String::new();
    // With a file, it says first what that is.
    while !line.contains("attach") && said.read_line(&mut line).expect("`strace` speaks UTF-8") > 0 {}
    assert!(line.contains("attached"), "`strace` cannot attach, see /proc/sys/kernel/yama/ptrace_scope: {line}");
    // It prints a line for each new thread, too.
    std::thread::spawn(move || said.lines().map_while(Result::ok).count());
    child
}

impl Drop for Fault {
    fn drop(&mut self) {
        // Then it detaches from the process, which has not been waited for.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Makes sure of `strace`.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if try_run("strace", &["-V"]).is_ok() {
            return;
        }
        assert!(is_root(), "these tests need `strace`: install it, for example with `apt-get install strace`");
        if let Err(why) = try_run("timeout", &["300", "apt-get", "install", "-y", "-q", "strace"]) {
            panic!("these tests need `strace`: {why}");
        }
    });
}
