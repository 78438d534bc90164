//! Diagnostics of the files, for `doctor`.

use super::error::DuringOperation as _;
use super::file_layout::Kind;
use super::sealing::SealFiles;
use super::shared::Shared;
use crate::store::mount::{Mount, VOLATILE_HINT, volatile_message};
use crate::store::{Diagnostic, StoreError};

pub(super) fn inspect(shared: &Shared) -> Result<Vec<Diagnostic>, StoreError> {
    shared.snapshot()?;
    let catalogue = shared.lock_catalogue();
    let bytes: u64 = catalogue.files().map(|file| file.stamp.size).sum();
    let events: u64 = catalogue.files().map(|file| file.index.events()).sum();
    let mut found = vec![Diagnostic::ok(
        "files",
        format!("{events} events in {} files of {} MB", catalogue.files().count(), bytes / 1_000_000),
    )];
    let unreadable: u64 = catalogue.files().map(|file| file.index.unreadable).sum();
    if unreadable > 0 {
        found.push(Diagnostic::warning(
            "lines",
            format!("{unreadable} lines are no events"),
            "`tower-audit query --event-type audit.unreadable` shows them: another program has written to the file, or a disk has \
             failed",
        ));
    }
    for name in &catalogue.unread {
        found.push(Diagnostic::warning(
            "archive",
            format!("{} is compressed in a way that is not read: its events are not shown", name.display()),
            "decompress it, or compress it with gzip",
        ));
    }
    for (name, why) in &catalogue.failed {
        found.push(Diagnostic::warning(
            "archive",
            format!("{} cannot be read, and stands for one event: {why}", name.display()),
            "keep what can be copied of it, and see to the disk",
        ));
    }
    for name in &catalogue.neighbours {
        found.push(Diagnostic::ok(
            "neighbour",
            format!("{0} is a log of its own, for there is {0}.state: its events are not read here", name.display()),
        ));
    }
    let foreign = catalogue.rotated.iter().filter(|file| matches!(file.kind, Kind::Foreign(_))).count();
    if foreign > 0 {
        found.push(Diagnostic::warning(
            "rotation",
            format!("{foreign} files were rotated by another program"),
            "with logrotate, use `create` and not `copytruncate`, which loses lines by its design; or take the file out of \
             its configuration: the log rotates itself",
        ));
    }
    if let (Some(active), Some(bytes)) = (&catalogue.active, shared.config.rotation.bytes)
        && active.stamp.size > bytes.saturating_mul(2)
    {
        found.push(Diagnostic::warning(
            "rotation",
            "the file is more than twice as large as `rotate_bytes`: it cannot be rotated",
            "let the service's user rename files of the folder, and take `chattr +a` away; or say `rotate=never`",
        ));
    }
    if let Some(file_system) = Mount::of(&catalogue.place.file).as_ref().and_then(Mount::volatile_file_system) {
        let text = format!("not durable: {}", volatile_message(file_system));
        found.push(Diagnostic::warning("mount", text, VOLATILE_HINT));
    }
    let missing = SealFiles::of(&catalogue.place).missing().during("diagnosis")?;
    found.extend(Diagnostic::of_missing_seal(&missing));
    let torn = torn_lines(&catalogue.place.state).during("diagnosis")?;
    if torn > 0 {
        found.push(Diagnostic::warning(
            "torn",
            format!("{torn} times, a process died or a disk was full while a line was written"),
            format!(
                "what there was of the lines is in {}/torn-*; no response left for them",
                catalogue.place.state.display()
            ),
        ));
    }
    Ok(found)
}

fn torn_lines(state: &std::path::Path) -> std::io::Result<usize> {
    let entries = match std::fs::read_dir(state) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    Ok(entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("torn-")).count())
}
