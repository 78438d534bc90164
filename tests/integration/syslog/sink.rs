//! The sink without a collector: refusals at the start, sockets that are stuck, large messages.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tower_audit::store::syslog::{Format, SyslogSettings, SyslogStore, Template};
use tower_audit::store::{AuditStore as _, OpenOptions, StoreErrorKind, open};
use tower_audit::{AuditEvent, AuditLog, EventType};
use tracing_subscriber::fmt::MakeWriter;

/// A timeout that tests can wait for.
fn options() -> OpenOptions {
    OpenOptions::new().timeout(Duration::from_millis(500))
}

/// Lines of the operator's log on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }

    fn count(&self, of: &str) -> usize {
        self.text().matches(of).count()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_log_that_is_syslog_alone_warns_once_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let collector = UnixDatagram::bind(&path).unwrap();
    let url = format!("syslog://{}", path.display());

    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).without_time().finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let log = AuditLog::open(&url).await.unwrap();
    for _ in 0..3 {
        log.record(AuditEvent::new(EventType::UPLOAD)).await.unwrap();
        log.health().await.unwrap();
    }
    eventually("the log is open", || lines.count("the audit log is open") == 1).await;
    eventually("it warns", || lines.count("an acknowledged event may be lost") == 1).await;
    assert!(
        lines.text().contains("durable=false") && !lines.text().contains(path.to_str().unwrap()),
        "{}",
        lines.text()
    );
    assert_eq!(lines.count("WARN"), 1, "{}", lines.text());
    let mut buffer = [0; 8192];
    for _ in 0..3 {
        let length = collector.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(
            text.starts_with("<133>") && text.contains(" tower-audit[") && text.contains(": upload completed "),
            "{text}"
        );
    }
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_an_error_at_the_start_that_shows_no_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hunter2");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for (url, named) in [
        (format!("syslog://{}", path.display()), "no such socket"),
        (format!("syslog+tcp://127.0.0.1:{port}"), "nothing listens there"),
        (format!("syslog+tls://localhost:{port}"), "nothing listens there"),
    ] {
        let error = open(&url, options()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(named) && !text.contains("hunter2") && !text.contains(&port.to_string()), "{text}");
    }
    let socket = UnixDatagram::bind(&path).unwrap();
    let sink = open(&format!("syslog://{}", path.display()), options()).await.unwrap();
    assert!(!format!("{sink:?}").contains("hunter2"), "{sink:?}");
    drop(socket);
}

/// A collector that accepts and never reads: its window fills, and no request waits longer than its deadline for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_collector_costs_a_request_its_deadline_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("syslog+tcp://{}?max_bytes=200000", listener.local_addr().unwrap());
    let timeout = Duration::from_millis(400);
    let log = AuditLog::builder().url(&url).write_timeout(timeout).open().await.unwrap();
    let (stuck, _) = listener.accept().await.unwrap();
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.details.extend((0..4).map(|n| (n.to_string(), "x".repeat(3000).into())));
    let mut failed = 0;
    for _ in 0..2000 {
        let begin = Instant::now();
        failed += u32::from(log.record(event.clone()).await.is_err());
        assert!(begin.elapsed() < timeout + Duration::from_millis(400), "{:?}", begin.elapsed());
        if failed == 3 {
            break;
        }
    }
    assert_eq!(failed, 3, "the window was never full");
    drop(stuck);

    // Connections of given up appends are closed in the middle of a message; the one that lasts has whole ones.
    let reader = tokio::spawn(async move {
        let mut streams = tokio::task::JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            streams.spawn(async move {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
            });
        }
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while log.record(event.clone()).await.is_err() {
        assert!(Instant::now() < deadline, "the sink does not come back");
    }
    log.health().await.unwrap();
    log.close().await.unwrap();
    reader.abort();
}

#[tokio::test]
async fn a_stream_that_the_collector_ends_is_made_again_before_the_next_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("syslog+tcp://{}?format=rfc3164", listener.local_addr().unwrap());
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).without_time().finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let begin = Instant::now();
    let sink = open(&url, options()).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    for _ in 0..6 {
        let event = AuditEvent::new(EventType::UPLOAD);
        sink.append(std::slice::from_ref(&event)).await.unwrap();
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        let (count, message) = text.split_once(' ').unwrap();
        assert_eq!(count.parse::<usize>().unwrap(), message.len());
        assert!(message.contains(&format!(" error= id={} user= ", event.event_id)), "{message}");
        drop(stream);
        // The end has arrived when a look at the connection finds it, and makes another.
        let mut looks = 0;
        stream = loop {
            sink.health().await.unwrap();
            match listener.accept().now_or_never() {
                Some(accepted) => break accepted.unwrap().0,
                None => tokio::task::yield_now().await,
            }
            looks += 1;
            assert!(looks < 100_000, "the end was not noticed");
        };
    }
    sink.close().await.unwrap();
    // One line a second, whatever happens.
    eventually("a line", || lines.count("was lost, and is made again") > 0).await;
    let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
    assert!(lines.count("was lost, and is made again") <= 1 + seconds, "{}", lines.text());
    let error = sink.append(&[AuditEvent::new(EventType::UPLOAD)]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Permanent);
    assert!(sink.health().await.is_err());
}

/// The kernel takes no datagram above the size of its buffer: the message is cut, not split, and the cut is counted.
#[tokio::test]
async fn a_datagram_that_is_too_large_is_cut_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let collector = UnixDatagram::bind(&path).unwrap();
    let settings = SyslogSettings::unix(&path).format(Format::Rfc5424).max_bytes(1 << 20).unwrap();
    let settings = settings.template(Template::new(&"{event}".repeat(20)).unwrap());
    let sink = SyslogStore::open(settings.clone(), options()).await.unwrap();
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.details.extend((0..4).map(|n| (n.to_string(), "\u{202e}".repeat(1300).into())));
    assert!(settings.message(&event).len() > 500_000);
    sink.append(&[event.clone(), AuditEvent::new(EventType::AUTH)]).await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    let length = collector.recv(&mut buffer).unwrap();
    let text = std::str::from_utf8(&buffer[..length]).unwrap();
    assert!(text.contains(&format!("event_id=\"{}\"", event.event_id)) && text.contains("...(cut:"), "{length} bytes");
    let length = collector.recv(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"<133>1 "));
    assert_eq!(sink.cut_messages(), 1);
    let found = sink.diagnose().await.unwrap();
    assert!(found.iter().any(|found| found.subject == "size" && found.hint.is_some()), "{found:?}");
}

#[tokio::test]
async fn a_socket_at_the_same_path_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let first = UnixDatagram::bind(&path).unwrap();
    let sink = open(&format!("syslog:{}", path.display()), options()).await.unwrap();
    // The first one is still open, as that of a collector that ends slowly.
    std::fs::remove_file(&path).unwrap();
    assert!(sink.health().await.is_err());
    let second = UnixDatagram::bind(&path).unwrap();
    sink.health().await.unwrap();
    sink.append(&[AuditEvent::new(EventType::UPLOAD)]).await.unwrap();
    for (socket, is_used) in [(first, false), (second, true)] {
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.recv(&mut [0; 8192]).is_ok(), is_used);
    }
}

/// As a proxy does whose backend is down: it accepts, dials, and closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_that_accepts_and_closes_takes_no_event() {
    // tracing asks one subscriber alone, that of this thread, of a line that is new: without it the line is off for every test.
    let _listening = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(io::sink).finish());
    for (dials_for, most) in [(Duration::ZERO, 0), (Duration::from_millis(120), 3)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("syslog+tcp://{}", listener.local_addr().unwrap());
        let closed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&closed);
        let front = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::time::sleep(dials_for).await;
                drop(stream);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut acknowledged = 0;
        match open(&url, OpenOptions::new().timeout(Duration::from_secs(1))).await {
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Transient),
            Ok(sink) => {
                for connections in 1..=6 {
                    eventually("the front has closed the connection", || closed.load(Ordering::SeqCst) >= connections)
                        .await;
                    let until = Instant::now() + Duration::from_millis(900);
                    // A refusal waits for the next attempt.
                    while closed.load(Ordering::SeqCst) <= connections && Instant::now() < until {
                        acknowledged += u32::from(sink.append(&[AuditEvent::new(EventType::UPLOAD)]).await.is_ok());
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                assert!(sink.health().await.is_err());
            }
        }
        assert!(acknowledged <= most, "{dials_for:?}: {acknowledged} events were acknowledged");
        front.abort();
    }
}
