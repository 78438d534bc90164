//! Statistics of events: counts by value and by time.

use serde_json::{Value, json};

use crate::api::support::{ALICE, BOB, ROOT, app, app_over, ask, event, events, spy, stores};

const DAY: &str = "since=2026-05-25&until=2026-05-26";

#[tokio::test]
async fn they_are_counted_by_what_they_are() {
    for (store, _folder) in stores().await {
        let mut all = events(30);
        all[0].outcome = Some(403);
        all[1].outcome = None;
        store.append(&all).await.unwrap();
        let app = app_over(store);
        let stats = ask(&app, ROOT, &format!("/audit/stats?{DAY}")).await.json();
        let by = json!({
            "event_type": [{ "value": "upload", "count": 30 }],
            "user_email": [
                { "value": ALICE, "count": 10 }, { "value": BOB, "count": 10 }, { "value": null, "count": 10 },
            ],
            "route": [{ "value": "/scans", "count": 30 }],
            "outcome": [
                { "value": "200", "count": 28 }, { "value": "403", "count": 1 }, { "value": null, "count": 1 },
            ],
        });
        assert_eq!((&stats["by"], &stats["total"]), (&by, &json!(30)));
        let own = ask(&app, ALICE, &format!("/audit/stats?by=user_email&by=outcome&top=1&{DAY}")).await.json();
        let by = json!({
            "user_email": [{ "value": ALICE, "count": 10 }],
            "outcome": [{ "value": "200", "count": 9 }],
        });
        assert_eq!((&own["by"], &own["total"]), (&by, &json!(10)));
    }
}

#[tokio::test]
async fn each_bucket_is_a_filter_that_finds_its_events() {
    for (store, _folder) in stores().await {
        // A second each, from 12:00:01 to 12:05:00.
        store.append(&events(300)).await.unwrap();
        let app = app_over(store);
        for (caller, total) in [(ROOT, 300), (ALICE, 100)] {
            let span = "since=2026-05-25T12:00:30Z&until=2026-05-25T12:04:20Z";
            let stats = ask(&app, caller, &format!("/audit/stats?{span}&buckets=5")).await.json();
            let buckets = stats["histogram"]["buckets"].as_array().unwrap();
            assert_eq!((buckets.len(), &stats["histogram"]["interval_seconds"]), (5, &json!(60)));
            assert_eq!(buckets[0]["since"], "2026-05-25T12:00:30.000000Z");
            assert_eq!(buckets[0]["until"], "2026-05-25T12:01:00.000000Z");
            assert_eq!(buckets[4]["until"], "2026-05-25T12:04:20.000000Z");
            let mut sum = 0;
            for bucket in buckets {
                let (since, until) = (bucket["since"].as_str().unwrap(), bucket["until"].as_str().unwrap());
                let found = ask(&app, caller, &format!("/audit/count?since={since}&until={until}")).await.json();
                assert_eq!(found, bucket["count"], "{caller} {bucket}");
                sum += found.as_u64().unwrap();
            }
            assert_eq!(stats["total"], sum);
            assert!(sum < total && sum > total / 2);
        }
    }
}

#[tokio::test]
async fn the_usual_span_is_thirty_days() {
    let app = app(spy(&events(3)).await);
    let span = |stats: Value| (stats["since"].clone(), stats["until"].clone());
    let stats = ask(&app, ROOT, "/audit/stats?until=2026-06-01").await.json();
    assert_eq!(stats["total"], 3);
    assert_eq!(span(stats), (json!("2026-05-02T00:00:00.000000Z"), json!("2026-06-01T00:00:00.000000Z")));
    let stats = ask(&app, ROOT, "/audit/stats").await.json();
    let time = |name: &str| stats[name].as_str().unwrap().parse::<tower_audit::Timestamp>().unwrap().as_micros();
    assert_eq!(time("until") - time("since"), 30 * 86_400 * 1_000_000);
    let buckets = stats["histogram"]["buckets"].as_array().unwrap().len();
    assert!((30..=60).contains(&buckets), "{buckets}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    for (query, why) in [
        ("by=details", "is not a field to group by"),
        ("by=route&by=route", "by: route is given twice"),
        ("by=", "by: empty"),
        ("top=0", "top: expected 1 or more"),
        ("top=many", "top: \\\"many\\\" is no number"),
        ("top=1&top=2", "top: given twice"),
        ("buckets=0", "buckets: expected 1 or more"),
        ("buckets=-1", "buckets: \\\"-1\\\" is no number"),
        ("since=9999-01-01", "since: 9999-01-01T00:00:00.000000Z is not before now"),
        ("until=0001-01-01", "until: nothing is before 0001-01-01T00:00:00.000000Z"),
        ("until=2026-05-25&since=2026-05-25", "until: 2026-05-25T00:00:00.000000Z is not after since"),
        ("limit=1", "\\\"limit\\\" is not a parameter"),
        ("cursor=x", "\\\"cursor\\\" is not a parameter"),
    ] {
        // Before it is told that Bob's events are not for Alice.
        let answer = ask(&app, ALICE, &format!("/audit/stats?user_email={BOB}&{query}")).await;
        answer.assert_problem(400);
        assert!(answer.text().contains(why), "{query}: {answer:?}");
    }
    assert!(spy.reads().is_empty());
    let most = ask(&app, ROOT, "/audit/stats?top=99999999999999999999&buckets=99999999999999999999").await;
    assert_eq!(most.status, 200);
}

#[tokio::test]
async fn the_store_is_asked_for_ones_own_only() {
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    assert_eq!(ask(&app, ALICE, "/audit/stats?by=route").await.status, 200);
    assert_eq!(spy.reads(), [format!("histogram of {:?}", [ALICE]), format!("top_values of {:?}", [ALICE])]);
}

#[tokio::test]
async fn hostile_values_come_out_as_they_are_and_safe() {
    let hostile = "<script>\u{1b}[2J\u{202e}\u{2028}\r\n";
    for (store, _folder) in stores().await {
        store.append(&[event(1, Some(ALICE), hostile)]).await.unwrap();
        let answer = ask(&app_over(store), ROOT, &format!("/audit/stats?{DAY}")).await;
        assert_eq!(answer.json()["by"]["route"][0]["value"], hostile);
        assert!(!answer.text().contains(['\u{1b}', '\u{202e}', '\u{2028}', '\r']), "{answer:?}");
    }
}
