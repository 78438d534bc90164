//! Parser of the output of `strace -f -yy`.

use std::collections::HashMap;

/// A system call; the moments are lines of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// All of them, as they are shown.
    pub(crate) arguments: String,
    pub(crate) entered: usize,
    /// None: it never returned.
    pub(crate) returned: Option<Returned>,
}

/// The end of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) at: usize,
    /// The return value; -1 is an error.
    pub(crate) value: i64,
}

impl Call {
    /// The target of its first argument, a descriptor: a path, or `TCP:[...]`.
    pub(crate) fn target(&self) -> &str {
        let Some((_, rest)) = self.arguments.split_once('<') else { return "" };
        // A socket has an arrow in its name.
        let end = rest.find(">,").or_else(|| rest.rfind('>'));
        end.map_or(rest, |end| &rest[..end])
    }

    /// The line of its successful return.
    pub(crate) fn succeeded(&self) -> Option<usize> {
        self.returned.filter(|returned| returned.value >= 0).map(|returned| returned.at)
    }
}

/// The calls in the order in which they were entered. A call that another thread interrupts in the trace is one call.
pub(crate) fn parse(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: HashMap<&str, usize> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = split(line) else { continue };
        if let Some(resumed) = rest.strip_prefix("<... ") {
            if let Some(call) = unfinished.remove(thread).and_then(|index| calls.get_mut(index)) {
                debug_assert!(resumed.starts_with(&call.name), "{line}");
                call.returned = value_of(rest).map(|value| Returned { at, value });
            }
            continue;
        }
        let Some((name, tail)) = rest.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            // A signal, or the end of a thread.
            continue;
        }
        let (arguments, returned) = match tail.strip_suffix("<unfinished ...>") {
            Some(arguments) => {
                unfinished.insert(thread, calls.len());
                (arguments, None)
            }
            None => (
                tail.rsplit_once(") ").map_or(tail, |(arguments, _)| arguments),
                value_of(rest).map(|value| Returned { at, value }),
            ),
        };
        calls.push(Call { name: name.to_owned(), arguments: arguments.trim_end().to_owned(), entered: at, returned });
    }
    calls
}

/// Splits a line into the padded thread id and the call.
pub(crate) fn split(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ').map(|(thread, rest)| (thread, rest.trim()))
}

/// Returns the number behind the last `) = `, with any number of spaces.
fn value_of(line: &str) -> Option<i64> {
    let (before, value) = line.rsplit_once("= ")?;
    if !before.trim_end().ends_with(')') {
        return None;
    }
    let value = value.split([' ', '<']).next()?;
    value.parse().ok()
}

#[test]
fn whole_and_interrupted_calls() {
    let text = "\
7     fsync(12</a b/x-wal>)       = 0
8     write(4<anon_inode:[eventfd]>, \"\\1\", 8 <unfinished ...>
7 pwrite64(12</a b/x-wal>, \"a) = 5\", 24, 0 <unfinished ...>
8 <... write resumed>)              = 8
7 <... pwrite64 resumed>)           = 24
8 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
7 fdatasync(12</a b/x-wal>) = -1 EIO (Input/output error) (INJECTED)
9 writev(15<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"HTTP/1.1 200 OK\\r\\n\", iov_len=17}], 1) = 17
9 fsync(12</a b/x-wal> <unfinished ...>
9 +++ exited with 0 +++
";
    let calls = parse(text);
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.name.as_str(), call.target(), call.entered, call.returned.map(|r| (r.at, r.value))))
        .collect();
    assert_eq!(
        seen,
        [
            ("fsync", "/a b/x-wal", 0, Some((0, 0))),
            ("write", "anon_inode:[eventfd]", 1, Some((3, 8))),
            ("pwrite64", "/a b/x-wal", 2, Some((4, 24))),
            ("fdatasync", "/a b/x-wal", 6, Some((6, -1))),
            ("writev", "TCP:[127.0.0.1:1->127.0.0.1:2]", 7, Some((7, 17))),
            ("fsync", "/a b/x-wal", 8, None),
        ]
    );
    assert_eq!(calls[2].arguments, "12</a b/x-wal>, \"a) = 5\", 24, 0");
    assert_eq!(calls[3].succeeded(), None);
}
