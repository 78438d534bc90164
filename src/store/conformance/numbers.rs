//! Numbers come back as they were given.
//!
//! A float comes back as the float with the same value; `-0.0` may come back as `0.0`, which is equal to it.

use serde_json::{Value, json};

use super::Harness;
use super::assertions::{append, assert_holds};
use super::fixtures::event;

pub(super) async fn integers_come_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut numbers: Vec<Value> = Vec::new();
    for bits in 0..64 {
        let power = 1_u64 << bits;
        numbers.extend([json!(power), json!(power - 1), json!(power + 1), json!(-(power as i128 / 2) as i64)]);
    }
    numbers.extend([json!(u64::MAX), json!(i64::MIN), json!(i64::MAX), json!(i64::MIN + 1)]);
    let mut listed = event(1);
    listed.details.insert("numbers".into(), Value::Array(numbers));
    let mut all = vec![listed];
    for duration in [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let mut timed = event(2 + all.len() as u64);
        timed.request.duration_us = Some(duration);
        all.push(timed);
    }
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "integers").await;
}

pub(super) async fn floats_come_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut numbers = vec![
        0.0,
        -0.0,
        1.0,
        1.5,
        0.1,
        0.1 + 0.2,
        1e15,
        1e16,
        1e21,
        1e300,
        -1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        123_456_789.123_456_78,
        9_007_199_254_740_993.0,
    ];
    // Any bits: a parser that is nearly right is right for most numbers that people write.
    let mut random = fastrand::Rng::with_seed(29);
    numbers.extend(std::iter::repeat_with(|| f64::from_bits(random.u64(..))).filter(|n| n.is_finite()).take(400));
    let mut all = Vec::new();
    for number in numbers {
        let mut event = event(all.len() as u64);
        event.details.insert("float".into(), json!(number));
        all.push(event);
    }
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "floats").await;
}
