//! Appending: each event once.

use super::*;

#[tokio::test]
async fn what_was_given_is_returned() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&[]).await.unwrap();
    store.append(&events(0..10)).await.unwrap();
    assert_eq!(all(&store).await, newest_first(events(0..10)));
    settle(&store).await;
    assert_eq!(place.number("SELECT sum(events_n) FROM audit_journal").await, 0);
    assert_eq!(all(&store).await, newest_first(events(0..10)));
    assert_eq!(store.get(event(3).event_id).await.unwrap(), Some(event(3)));
    assert_eq!(store.get(event(99).event_id).await.unwrap(), None);
}

#[tokio::test]
async fn a_repeated_event_is_kept_once() {
    let place = Place::new();
    let store = place.open().await;
    let twice = [event(1), event(2), AuditEvent { outcome: Some(500), ..event(1) }];
    store.append(&twice).await.unwrap();
    store.append(&twice).await.unwrap();
    assert_eq!(all(&store).await, [event(2), event(1)], "within a batch, and from the journal");

    settle(&store).await;
    store.append(&events(0..4)).await.unwrap();
    assert_eq!(all(&store).await, newest_first(events(0..4)), "from a segment");
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 4);

    store.close().await.unwrap();
    assert!(store.append(&events(0..1)).await.is_err(), "closed");
    let store = place.open().await;
    store.append(&events(0..5)).await.unwrap();
    assert_eq!(all(&store).await, newest_first(events(0..5)), "after a restart");
    place.assert_whole().await;
}

#[tokio::test]
async fn two_writers_of_a_file_agree() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    for n in (0..40).step_by(2) {
        one.append(&events(n..n + 2)).await.unwrap();
        two.append(&events(n..n + 3)).await.unwrap();
        if n == 20 {
            settle(&two).await;
        }
    }
    one.append(&events(0..41)).await.unwrap();
    assert_eq!(all(&one).await, newest_first(events(0..41)));
    assert_eq!(all(&two).await, all(&one).await);
    assert_eq!(one.count(&Filter::default()).await.unwrap(), 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_lose_and_double_nothing() {
    let place = Place::new();
    let stores = [std::sync::Arc::new(place.open().await), std::sync::Arc::new(place.open().await)];
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let store = stores[task % 2].clone();
            tokio::spawn(async move {
                for step in 0..40 {
                    // Every event is appended by two tasks.
                    let n = (task as u64 / 2 * 40 + step) * 20;
                    let mut batch = events(n..n + 20);
                    batch[3].phase = Phase::Started;
                    store.append(&batch).await.unwrap();
                    store.maintain().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(stores[0].count(&Filter::default()).await.unwrap(), 2400);
    assert_eq!(all(&stores[1]).await.len(), 2400);
    place.assert_whole().await;
}

/// A process that commits without a pause frees the lock for a moment only, and no other is refused for it.
#[tokio::test]
async fn a_busy_writer_starves_no_other() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..1)).await.unwrap();
    let mut busy = place.raw().await;
    sqlx::raw_sql("CREATE TABLE work(a); PRAGMA busy_timeout = 0").execute(&mut busy).await.unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let runtime = tokio::runtime::Handle::current();
    let busy = std::thread::spawn(move || {
        let pause = |time| std::thread::sleep(std::time::Duration::from_micros(time));
        while matches!(stopped.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
            while runtime.block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut busy)).is_err() {}
            // As if its disk were slow.
            runtime.block_on(sqlx::query("INSERT INTO work VALUES (1)").execute(&mut busy)).unwrap();
            pause(20_000);
            runtime.block_on(sqlx::query("COMMIT").execute(&mut busy)).unwrap();
            pause(200);
        }
    });
    for n in 1..12 {
        store.append(&[event(2 * n), started(2 * n + 1)]).await.unwrap();
        store.append(&[event(100 + n)]).await.unwrap();
    }
    stop.send(()).unwrap();
    busy.join().unwrap();
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 34);
}

/// A process that starts beside busy ones waits for the lock, as its appends do later.
#[tokio::test]
async fn an_opening_waits_for_the_lock() {
    let place = Place::new();
    place.open().await.close().await.unwrap();
    let mut holder = place.raw().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let mut opening = std::pin::pin!(place.try_open(true));
    // SQLite's own timeout is a second.
    let early = tokio::time::timeout(std::time::Duration::from_millis(1500), &mut opening).await;
    assert!(early.is_err(), "{early:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    opening.await.unwrap();
}

#[tokio::test]
async fn a_dropped_append_can_be_repeated() {
    use futures_util::FutureExt as _;
    let place = Place::new();
    let store = place.open().await;
    for polls in 0..12 {
        let n = polls * 10;
        let batch = [events(n..n + 3), vec![started(n + 3)]].concat();
        let mut future = store.append(&batch);
        for _ in 0..polls {
            if (&mut future).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(future);
        store.append(&batch).await.unwrap();
        store.append(&batch).await.unwrap();
    }
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 48);
    assert_eq!(place.number("SELECT count(*) FROM audit_started").await, 12);
    place.assert_whole().await;
}

#[tokio::test]
async fn maintenance_leaves_an_idle_log_alone() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..500)).await.unwrap();
    assert!(!store.maintain().await.unwrap());
    assert_eq!(place.number("SELECT count(*) FROM audit_segments").await, 0);
    for n in 1..18 {
        store.append(&events(n * 500..n * 500 + 500)).await.unwrap();
    }
    assert!(store.maintain().await.unwrap());
    maintain_all(&store).await;
    let journal = place.number("SELECT sum(events_n) FROM audit_journal").await;
    assert!((1..512).contains(&journal), "{journal}");
    assert_eq!(place.number("SELECT sum(events_n) FROM audit_segments").await, 9000 - journal);
    assert_eq!(all(&store).await, newest_first(events(0..9000)));
}

#[tokio::test]
async fn the_journal_is_bounded_without_maintenance() {
    let place = Place::new();
    let store = place.open().await;
    for n in 0..35 {
        let small: Vec<_> = (0..2000)
            .map(|i| {
                let mut event = AuditEvent::new(EventType::UPLOAD);
                event.event_id = EventId::from_u128(n * 10_000 + i);
                event
            })
            .collect();
        store.append(&small).await.unwrap();
    }
    assert!(place.number("SELECT sum(events_n) FROM audit_journal").await <= 64 * 1024 + 2000);
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 70_000);
}

#[tokio::test]
async fn a_few_large_events_are_moved_as_many_small_ones_are() {
    let place = Place::new();
    let store = place.open().await;
    for n in 0..60 {
        let mut event = event(n);
        event.details.insert("text".into(), "x".repeat(120_000).into());
        store.append(&[event]).await.unwrap();
    }
    assert!(store.maintain().await.unwrap());
    let moved = place.number("SELECT events_n FROM audit_segments").await;
    assert!((15..20).contains(&moved), "{moved} events of 120 KB in one transaction");
    maintain_all(&store).await;
    let bytes = place.number("SELECT sum(length(events)) FROM audit_journal").await;
    assert!(bytes < 4 * 1024 * 1024, "{bytes} bytes in the journal");
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 60);
}
