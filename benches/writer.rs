//! Events per second through [`AuditLog::record`](tower_audit::AuditLog::record), by how many tasks record at once.

mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use support::*;

fn record(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let log = runtime.block_on(log());
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    for tasks in [1, 64, 256] {
        group.bench_with_input(BenchmarkId::from_parameter(tasks), &tasks, |bencher, &tasks| {
            bencher.iter_custom(|count| {
                let each = count.div_ceil(tasks);
                let spent = runtime.block_on(async {
                    let begun = Instant::now();
                    let all = join_all((0..tasks).map(|_| {
                        let log = log.clone();
                        tokio::spawn(async move {
                            for _ in 0..each {
                                log.record(event()).await.expect("a store that accepts everything");
                            }
                        })
                    }));
                    assert!(all.await.iter().all(Result::is_ok));
                    begun.elapsed()
                });
                // As if it had been exactly as many as asked for.
                Duration::from_secs_f64(spent.as_secs_f64() * count as f64 / (each * tasks) as f64)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
