//! Files of a log of JSON lines: torn, hostile, rotated, compressed, expired.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tower_audit::store::{self, OpenOptions, StoreErrorKind};
use tower_audit::{AuditEvent, EventType, Phase};

use super::jsonl_fixture::{Place, count, events, listing, open};

#[tokio::test]
async fn a_torn_line_is_moved_away_and_glued_to_nothing() {
    let place = Place::new();
    let store = place.open("").await;
    store.append(&events(3)).await.unwrap();
    let before = fs::read(place.log()).unwrap();
    // While the log is open, and before it is opened again.
    for fragment in ["{\"event_id\":\"0199", "\u{0}\u{0}\u{0}"] {
        File::options().append(true).open(place.log()).unwrap().write_all(fragment.as_bytes()).unwrap();
        assert_eq!(count(&*store).await, 3, "a reader does not show it");
        let other = place.open("").await;
        other.close().await.unwrap();
        assert_eq!(fs::read(place.log()).unwrap(), before, "the lines before it are as they were");
        assert!(place.torn().contains(&fragment.as_bytes().to_vec()), "its bytes are kept");
    }
    File::options().append(true).open(place.log()).unwrap().write_all(b"torn").unwrap();
    let more = events(1);
    store.append(&more).await.unwrap();
    assert_eq!(count(&*store).await, 4);
    assert!(fs::read_to_string(place.log()).unwrap().lines().all(|line| line.starts_with('{') && line.ends_with('}')));
    let said = store.diagnose().await.unwrap();
    assert!(said.iter().any(|diagnostic| diagnostic.subject == "torn"), "{said:?}");
}

#[tokio::test]
async fn lines_of_others_are_shown_and_hide_nothing() {
    let place = Place::new();
    let store = place.open("").await;
    store.append(&events(5)).await.unwrap();
    let mut file = File::options().append(true).open(place.log()).unwrap();
    let huge = format!("{{\"event_id\":\"{}\"}}\n", "x".repeat(3 << 20));
    for line in
        ["not json\n", "\n", "[1,2]\n", "\u{0}\r\n", "{\"event_id\":\"0199a7b0000070008000000000000001\"}\n", &huge]
    {
        file.write_all(line.as_bytes()).unwrap();
    }
    file.write_all(b"\xff\xfe\n").unwrap();
    store.append(&events(5)).await.unwrap();
    for store in [&store, &place.open("").await] {
        let listed = listing(&**store).await;
        let unreadable = listed.iter().filter(|event| event.details.contains_key("unreadable_event")).count();
        assert_eq!((listed.len(), unreadable), (16, 6));
        assert_eq!(count(&**store).await, 16);
        for event in &listed {
            let found = store.parts().reader.unwrap().get(event.event_id).await.unwrap();
            assert_eq!(found.as_ref(), Some(event), "what is listed is found by its id");
        }
    }
}

#[tokio::test]
async fn what_keeps_nothing_is_refused() {
    let place = Place::new();
    let link = place.folder.path().join("link");
    symlink("/dev/null", &link).unwrap();
    let fifo = place.folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, named) in [
        (Path::new("/dev/null"), "device"),
        (&link, "device"),
        (&fifo, "FIFO"),
        (place.folder.path(), "folder"),
        (&place.folder.path().join("no/such/audit.jsonl"), "folder"),
    ] {
        let error = open(path, "").await.expect_err("it is refused");
        assert_eq!(error.kind(), StoreErrorKind::Config, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    let url = format!("jsonl:{}", place.log().display());
    assert!(store::open(&url, options).await.unwrap_err().to_string().contains("check the path"));
    assert!(place.rotated().is_empty() || !place.log().exists(), "nothing was made");
}

#[tokio::test]
async fn rotated_files_are_found_compressed_and_read_by_other_tools() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K&gzip=true").await;
    let all = events(1000);
    for batch in all.chunks(100) {
        store.append(batch).await.unwrap();
    }
    while store.maintain().await.unwrap() {}
    let rotated = place.rotated();
    assert!(rotated.len() > 3, "{rotated:?}");
    let mut lines = String::new();
    for file in &rotated {
        assert!(file.extension().is_some_and(|end| end == "gz"), "{file:?}");
        let plain = Command::new("zcat").arg(file).output().expect("`zcat` is there");
        assert!(plain.status.success());
        lines += std::str::from_utf8(&plain.stdout).unwrap();
    }
    File::open(place.log()).unwrap().read_to_string(&mut lines).unwrap();
    let read: Vec<AuditEvent> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, all, "in the order in which they came");
    // A reader without any index of the files.
    fs::remove_dir_all(place.folder.path().join("audit.jsonl.state")).unwrap();
    let other = place.open("").await;
    assert_eq!(listing(&*other).await, all.iter().rev().cloned().collect::<Vec<_>>());
    other.append(&all[..50]).await.unwrap();
    assert_eq!(count(&*other).await, 1000, "repeats are known");
}

/// logrotate renames PATH, an append makes it, and logrotate finds it where it is about to make one.
#[tokio::test]
async fn a_file_that_logrotate_moves_aside_is_read_and_not_replaced_by_the_next() {
    let place = Place::new();
    let store = place.open("?rotate=never").await;
    let beside = |suffix: &str| place.folder.path().join(format!("audit.jsonl{suffix}"));
    let mut all = events(3);
    store.append(&all).await.unwrap();
    for run in 1..=3 {
        for number in (1..run).rev() {
            fs::rename(beside(&format!(".{number}")), beside(&format!(".{}", number + 1))).unwrap();
        }
        fs::rename(place.log(), beside(".1")).unwrap();
        let made_by_the_log = events(3);
        store.append(&made_by_the_log).await.unwrap();
        fs::rename(place.log(), beside("-2026052512.backup")).unwrap();
        File::create_new(place.log()).unwrap();
        let after = events(3);
        store.append(&after).await.unwrap();
        all.extend(made_by_the_log.into_iter().chain(after));
        for store in [&store, &place.open("").await] {
            assert_eq!(listing(&**store).await, all.iter().rev().cloned().collect::<Vec<_>>(), "run {run}");
        }
    }
    let again = &all[3..6];
    store.append(again).await.unwrap();
    assert_eq!(count(&*store).await, all.len() as u64, "repeats are known");
}

#[tokio::test]
async fn a_damaged_archive_hides_only_what_is_in_it() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K&gzip=true").await;
    for batch in events(600).chunks(100) {
        store.append(batch).await.unwrap();
    }
    while store.maintain().await.unwrap() {}
    let first = place.rotated().remove(0);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..whole.len() / 2]).unwrap();
    let other = place.open("").await;
    let listed = listing(&*other).await;
    assert!(listed.iter().any(|event| event.details.contains_key("unreadable_event")), "the damage is shown");
    assert!(listed.len() > 300 && listed.len() < 600, "{}", listed.len());
    other.append(&events(1)).await.unwrap();
}

#[tokio::test]
async fn a_new_day_begins_a_new_file() {
    let place = Place::new();
    let store = place.open("?rotate=daily").await;
    store.append(&events(2)).await.unwrap();
    store.append(&events(2)).await.unwrap();
    assert_eq!(place.rotated().len(), 0, "the day is the same");
    let yesterday = fs::metadata(place.log()).unwrap().modified().unwrap() - Duration::from_secs(86_400);
    File::options().append(true).open(place.log()).unwrap().set_modified(yesterday).unwrap();
    store.append(&events(2)).await.unwrap();
    assert_eq!(place.rotated().len(), 1);
    assert_eq!(count(&*store).await, 6);
}

#[tokio::test]
async fn files_beyond_those_to_keep_go_and_the_log_says_so() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K&keep=2").await;
    for batch in events(2000).chunks(100) {
        store.append(batch).await.unwrap();
    }
    assert_eq!(place.rotated().len(), 2);
    let purges: Vec<_> =
        listing(&*store).await.into_iter().filter(|event| event.event_type == EventType::AUDIT_PURGE).collect();
    assert!(!purges.is_empty(), "each file that goes is recorded");
    assert!(purges.iter().all(|event| event.details["deleted"].as_u64().is_some_and(|deleted| deleted > 0)));
}

#[tokio::test]
async fn a_removed_end_does_not_open_its_request_again() {
    let place = Place::new();
    let store = place.open("").await;
    let mut started = AuditEvent::new(EventType::ADMIN_ACTION);
    started.phase = Phase::Started;
    let mut end = AuditEvent::new(EventType::ADMIN_ACTION);
    end.request.started_event_id = Some(started.event_id);
    store.append(&[started.clone(), end.clone()]).await.unwrap();
    let removal = store.parts().removal.expect("events can be removed");
    let removed = removal.remove(&[tower_audit::query::Cursor::of(&end)]).await.unwrap();
    assert_eq!(removed, 1);
    store.close().await.unwrap();
    let other = place.open("").await;
    let recovery = other.parts().recovery.expect("it recovers");
    assert_eq!(recovery.recover(&|_| panic!("its request has ended")).await.unwrap(), 0);
    assert_eq!(other.parts().removal.unwrap().still_open(&[started.event_id]).await.unwrap(), []);
    assert_eq!(listing(&*other).await, [started]);
}

#[tokio::test]
async fn a_purge_gives_room_back() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K").await;
    let all = events(1000);
    for batch in all.chunks(100) {
        store.append(batch).await.unwrap();
    }
    let size = || -> u64 { place.rotated().iter().map(|file| fs::metadata(file).expect("it is there").len()).sum() };
    let before = size();
    let middle = all[700].created_at;
    let admin = store.parts().admin.expect("it can be purged");
    let mut deleted = 0;
    loop {
        let outcome = admin.purge(middle, 100).await.unwrap();
        deleted += outcome.deleted;
        if !outcome.has_more {
            break;
        }
    }
    let left = count(&*store).await;
    assert_eq!(deleted + left, 1000);
    assert_eq!(left, all.iter().filter(|event| event.created_at >= middle).count() as u64);
    assert!(size() * 2 < before, "{} of {before} bytes are left", size());
}

#[tokio::test]
async fn a_file_removed_after_housekeeping_is_put_back_and_told() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K&gzip=true").await;
    for batch in events(300).chunks(100) {
        store.append(batch).await.unwrap();
    }
    assert!(!place.rotated().is_empty());
    // It changes files of the log, but not the one at PATH.
    while store.maintain().await.unwrap() {}
    fs::remove_file(place.log()).unwrap();
    store.append(&events(1)).await.unwrap();
    let listed = listing(&*store).await;
    let told = listed.iter().filter(|event| event.event_type == EventType::AUDIT_FAILED).count();
    assert_eq!((listed.len(), told), (302, 1), "300 events, one more, and the event that tells");
}

#[tokio::test]
async fn a_file_that_was_cut_and_has_grown_again_is_read_anew_by_each_process() {
    let place = Place::new();
    let (first, second) = (place.open("").await, place.open("").await);
    first.append(&events(5)).await.unwrap();
    assert_eq!(count(&*first).await, 5);
    File::options().write(true).open(place.log()).unwrap().set_len(0).unwrap();
    // It knows of the five lines by what the first one has published, and makes the file longer than it was.
    second.append(&events(20)).await.unwrap();
    first.append(&events(1)).await.unwrap();
    let lines = fs::read_to_string(place.log()).unwrap().lines().count();
    assert_eq!(lines, 22, "20 events, one more, and the event that tells of the cut");
    for store in [&first, &second] {
        assert_eq!(listing(&**store).await.len(), lines);
    }
}

#[tokio::test]
async fn a_purge_removes_no_file_that_is_another_one_than_was_listed() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K").await;
    for batch in events(400).chunks(100) {
        store.append(batch).await.unwrap();
    }
    assert_eq!(count(&*store).await, 400);
    // The folder does not change by it, so a look at the folder shows nothing.
    let newer = events(3);
    let lines: String = newer.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    fs::write(&place.rotated()[0], lines).unwrap();
    let admin = store.parts().admin.expect("it can be purged");
    let mut steps = 0;
    while admin.purge(newer[0].created_at, 1000).await.unwrap().has_more {
        steps += 1;
        assert!(steps < 20, "the purge comes to an end");
    }
    let mut left = listing(&*store).await;
    left.reverse();
    assert_eq!(left, newer);
}

#[tokio::test]
async fn a_rotated_file_that_another_program_touches_is_compressed_all_the_same() {
    let place = Place::new();
    let store = place.open("?rotate_bytes=64K&gzip=true").await;
    for batch in events(400).chunks(100) {
        store.append(batch).await.unwrap();
    }
    assert_eq!(count(&*store).await, 400);
    for file in place.rotated() {
        let file = File::options().append(true).open(file).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() + Duration::from_secs(1)).unwrap();
    }
    let mut steps = 0;
    while store.maintain().await.unwrap() {
        steps += 1;
        assert!(steps < 200, "the compression comes to an end");
    }
    assert!(place.rotated().iter().all(|file| file.extension().is_some_and(|end| end == "gz")));
    assert_eq!(count(&*store).await, 400);
}

#[tokio::test]
async fn a_health_check_does_not_put_off_the_rotation_of_a_day() {
    let place = Place::new();
    let store = place.open("?rotate=daily").await;
    store.append(&events(2)).await.unwrap();
    // The day of the last append, in the file of the lock.
    let lock = File::options().read(true).write(true).open(place.folder.path().join("audit.jsonl.state/lock")).unwrap();
    let mut day = [0; 8];
    lock.read_exact_at(&mut day, 64).unwrap();
    lock.write_all_at(&(u64::from_le_bytes(day) - 1).to_le_bytes(), 64).unwrap();
    store.health().await.unwrap();
    store.append(&events(2)).await.unwrap();
    assert_eq!(place.rotated().len(), 1);
    store.append(&events(2)).await.unwrap();
    assert_eq!(place.rotated().len(), 1, "the day is the same");
    assert_eq!(count(&*store).await, 6);
}

#[tokio::test]
async fn what_root_makes_belongs_to_the_owner_of_the_folder() {
    let place = Place::new();
    let owner = match fs::metadata(place.folder.path()).unwrap().uid() {
        0 => 12_345,
        own => own,
    };
    chown(place.folder.path(), Some(owner), None).unwrap();
    let store = place.open("?rotate_bytes=64K").await;
    store.health().await.unwrap();
    let state = place.folder.path().join("audit.jsonl.state");
    fs::remove_file(state.join("lock")).unwrap();
    for batch in events(300).chunks(100) {
        store.append(batch).await.unwrap();
    }
    fs::remove_file(place.log()).unwrap();
    store.append(&events(1)).await.unwrap();
    let names = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    let all: Vec<_> = names(place.folder.path()).into_iter().chain(names(&state)).collect();
    assert!(all.len() >= 6, "{all:?}");
    for path in all {
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner, "{path:?}");
    }
}
