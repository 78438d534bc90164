//! The sink: one connection, which is made again when it is lost.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::SyslogSettings;
use super::diagnostics;
use super::error::{APPEND, NAME, unreachable};
use super::message::{MIN_BYTES, Message};
use super::transport::{Channel, Connection, MAX_VERDICT, MIN_VERDICT, Sent, Times};
use super::url;
use crate::backoff::Backoff;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::sink_diagnostics::warn_of_sink;
use crate::store::{AuditStore, Capabilities, Diagnostic, OpenOptions, StoreError, StoreErrorKind, StoreFuture};
use crate::throttle::Throttle;

/// Events as syslog messages; see the documentation of the module.
///
/// An append that fails may have delivered some of its events: appended again, they arrive twice. Their ids tell.
///
/// # Cancel safety
/// A dropped append closes its connection, so that no half of a message is left in it.
pub struct SyslogStore {
    settings: SyslogSettings,
    timeout: Duration,
    state: Mutex<State>,
    is_closed: AtomicBool,
    /// Messages that were cut.
    cut: AtomicU64,
    cut_lines: Throttle,
    lost_lines: Throttle,
}

/// The connection, and what is known of attempts at it.
struct State {
    /// Taken out while it is used: a connection of an append that failed or was dropped is closed.
    connection: Option<Connection>,
    /// The largest datagram that the socket has taken or may take, in bytes.
    max_bytes: usize,
    backoff: Backoff,
    /// Before it, no connection is tried after a failure.
    retry_at: Option<Instant>,
    /// The wait for the other end of a new stream to end it.
    verdict: Duration,
}

impl SyslogStore {
    /// Connects to a collector.
    ///
    /// # Errors
    /// If the collector is not reached, or a setting has no effect in the format of the messages.
    pub async fn open(settings: SyslogSettings, options: OpenOptions) -> Result<Self, StoreError> {
        settings.check()?;
        let sink = Self {
            timeout: options.timeout,
            state: Mutex::new(State {
                connection: None,
                max_bytes: settings.max_bytes,
                backoff: backoff_within(options.timeout),
                retry_at: None,
                verdict: MIN_VERDICT,
            }),
            settings,
            is_closed: AtomicBool::new(false),
            cut: AtomicU64::new(0),
            cut_lines: Throttle::default(),
            lost_lines: Throttle::default(),
        };
        sink.deliver(&[], "open").await?;
        warn_of_sink(NAME);
        Ok(sink)
    }

    /// Connects to the collector of a `syslog:` URL.
    pub(in crate::store) async fn open_url(given: &str, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open(url::parse(given)?, options).await
    }

    /// Returns the number of messages that were cut because they were too large, so far.
    pub fn cut_messages(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Permanent, NAME, operation).with_hint("the sink is closed"));
        }
        Ok(())
    }

    /// Sends the events, within the timeout. Without events, checks that they would be sent.
    async fn deliver(&self, events: &[AuditEvent], operation: &'static str) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.timeout;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the collector takes no messages");
        let mut state = match timeout_at(deadline, self.state.lock()).await {
            Ok(state) => state,
            Err(_) => return Err(unreachable(operation, late())),
        };
        if let Some(pause) = state.retry_at.and_then(|at| at.checked_duration_since(Instant::now()))
            && !events.is_empty()
        {
            let hint = format!("the collector was not reached; the next attempt is in {} ms", pause.as_millis());
            return Err(StoreError::new(StoreErrorKind::Transient, NAME, operation).with_hint(hint));
        }
        let result = match timeout_at(deadline, self.send_or_reconnect(&mut state, events, deadline)).await {
            Ok(result) => result,
            Err(_) => Err(late()),
        };
        match result {
            Ok(()) => {
                state.retry_at = None;
                state.backoff = backoff_within(self.timeout);
                Ok(())
            }
            Err(error) => {
                state.connection = None;
                state.retry_at = Some(Instant::now() + state.backoff.next_pause());
                Err(unreachable(operation, error))
            }
        }
    }

    /// Sends over the open connection; if that is lost, over a new one.
    async fn send_or_reconnect(
        &self,
        state: &mut MutexGuard<'_, State>,
        events: &[AuditEvent],
        deadline: Instant,
    ) -> io::Result<()> {
        let open = state.connection.take();
        if events.is_empty()
            && let Some(Channel::Datagrams(_)) = open.as_ref().map(|open| &open.channel)
        {
            return self.check_datagrams(state, open, deadline).await;
        }
        if let Some(mut connection) = open {
            let loss = match connection.loss() {
                Some(reason) => reason,
                None => match self.send(&mut connection, &mut state.max_bytes, events).await {
                    Ok(()) => {
                        state.connection = Some(connection);
                        return Ok(());
                    }
                    Err(error) => error,
                },
            };
            // Example: a proxy closes its connections 200 ms after it accepts them, for its backend is down. The next one is watched
            // for 100 ms, that behind it for 200 ms, then for 400 ms: from there on each attempt is an error.
            let longest = MAX_VERDICT.min(self.timeout / 4).max(MIN_VERDICT);
            state.verdict = if connection.is_young() { (state.verdict * 2).min(longest) } else { MIN_VERDICT };
            self.note_loss(loss);
        }
        let mut connection = self.connect(state, deadline).await?;
        self.send(&mut connection, &mut state.max_bytes, events).await?;
        state.connection = Some(connection);
        Ok(())
    }

    async fn connect(&self, state: &mut State, deadline: Instant) -> io::Result<Connection> {
        let times = Times { deadline, verdict: state.verdict, silence: self.timeout };
        let connection = Connection::open(&self.settings.destination, times).await?;
        state.max_bytes = self.settings.max_bytes;
        Ok(connection)
    }

    /// Checks a socket for datagrams with a new one: a local one does not tell that its collector has ended. Over UDP the open one
    /// stays in use, which a refusal may still reach, unless the name has another address now.
    async fn check_datagrams(&self, state: &mut State, open: Option<Connection>, deadline: Instant) -> io::Result<()> {
        if let Some(refusal) = open.as_ref().and_then(Connection::udp_refusal) {
            refusal?;
        }
        let new = self.connect(state, deadline).await?;
        state.connection = Some(open.filter(|open| open.has_peer_of(&new)).unwrap_or(new));
        Ok(())
    }

    async fn send(&self, connection: &mut Connection, max_bytes: &mut usize, events: &[AuditEvent]) -> io::Result<()> {
        let zone = TimeZone::system();
        let mut cut = 0;
        match &mut connection.channel {
            Channel::Datagrams(datagrams) => {
                for event in events {
                    let mut message = self.settings.message_within(event, *max_bytes, &zone);
                    while datagrams.send(message.text.as_bytes()).await? == Sent::TooLarge {
                        if *max_bytes <= MIN_BYTES {
                            return Err(io::Error::other("the socket takes no message of 480 bytes"));
                        }
                        *max_bytes = (message.text.len() / 2).max(MIN_BYTES);
                        message = self.settings.message_within(event, *max_bytes, &zone);
                    }
                    cut += u64::from(message.is_cut);
                }
                datagrams.finish_batch(events.len()).await?;
            }
            Channel::Stream(stream) => {
                let mut batch = Vec::with_capacity(events.len() * 1024);
                for event in events {
                    let Message { text, is_cut } = self.settings.message_within(event, *max_bytes, &zone);
                    stream.push_frame(&mut batch, &text);
                    cut += u64::from(is_cut);
                }
                stream.send(&batch).await?;
            }
        }
        self.note_cut(cut);
        Ok(())
    }

    fn note_cut(&self, messages: u64) {
        if messages == 0 {
            return;
        }
        let total = self.cut.fetch_add(messages, Ordering::Relaxed) + messages;
        if self.cut_lines.pass().is_some() {
            log_line(move || tracing::warn!(total, "syslog messages of audit events were too large, and were cut"));
        }
    }

    fn note_loss(&self, error: io::Error) {
        if let Some(unsaid) = self.lost_lines.pass() {
            log_line(move || {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    unsaid,
                    "the connection to the syslog collector was lost, and is made again"
                );
            });
        }
    }
}

/// Pauses of which several are within the timeout: a request that waits sees the collector come back.
fn backoff_within(timeout: Duration) -> Backoff {
    Backoff::new(Duration::from_millis(50), (timeout / 4).min(Duration::from_secs(2)))
}

/// Without the collector, which is the URL.
impl fmt::Debug for SyslogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyslogStore")
            .field("transport", &self.settings.destination.transport())
            .field("cut_messages", &self.cut_messages())
            .finish_non_exhaustive()
    }
}

impl AuditStore for SyslogStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.check_open(APPEND)?;
            if events.is_empty() { Ok(()) } else { self.deliver(events, APPEND).await }
        })
    }

    /// Checks that the connection is open, or makes it. A collector that is stuck, or lies behind UDP, may be unwell all the same.
    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.check_open("health check")?;
            self.deliver(&[], "health check").await
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        let found = diagnostics::diagnose(&self.settings, self.cut_messages());
        Box::pin(std::future::ready(Ok(found)))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.is_closed.store(true, Ordering::Release);
            let deadline = Instant::now() + self.timeout;
            let closed = timeout_at(deadline, async {
                let connection = self.state.lock().await.connection.take();
                match connection {
                    Some(connection) => connection.close().await,
                    None => Ok(()),
                }
            });
            match closed.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(unreachable("close", error)),
                Err(_) => Err(unreachable("close", io::ErrorKind::TimedOut.into())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::UdpSocket;

    use super::*;
    use crate::event::EventType;
    use crate::store::syslog::transport::tests::{Refusal, Way};

    #[tokio::test]
    async fn a_setting_without_an_effect_is_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _collector = tokio::net::UnixDatagram::bind(&path).unwrap();
        for (parameters, named) in [
            ("", None),
            ("?structured_data=audit@12345", Some("`structured_data`")),
            ("?structured_data=none", Some("`structured_data`")),
            ("?bom=false", Some("`bom`")),
            ("?bom=false&format=rfc5424", None),
        ] {
            let url = format!("syslog:{}{parameters}", path.display());
            match (SyslogStore::open_url(&url, OpenOptions::new()).await, named) {
                (Ok(_), None) => {}
                (Err(error), Some(named)) => {
                    assert_eq!(error.kind(), StoreErrorKind::Config);
                    assert!(error.to_string().contains(named), "{error}");
                }
                (opened, _) => panic!("{parameters}: {opened:?}"),
            }
        }
    }

    async fn received(collector: &UdpSocket) -> SocketAddr {
        collector.recv_from(&mut [0; 4096]).await.unwrap().1
    }

    /// A sink and its collector, and the way between them: a refusal takes a moment, as it does from another host.
    async fn udp() -> Option<(SyslogStore, UdpSocket, Way)> {
        let collector = UdpSocket::bind("127.45.0.2:0").await.unwrap();
        let address = collector.local_addr().unwrap();
        let way = Way::to(address)?;
        let settings = SyslogSettings::udp(&address.ip().to_string(), address.port()).unwrap();
        Some((SyslogStore::open(settings, OpenOptions::new()).await.unwrap(), collector, way))
    }

    #[tokio::test]
    async fn a_check_does_not_prove_that_there_is_a_udp_collector() {
        let Some((sink, collector, way)) = udp().await else { return };
        sink.health().await.unwrap();
        // The sink tries once more over a new socket.
        let refused = async {
            loop {
                way.refuse(received(&collector).await, Refusal::Port);
            }
        };
        let event = [AuditEvent::new(EventType::UPLOAD)];
        let result: Result<(), StoreError> = tokio::select! {
            biased;
            () = refused => unreachable!("it has no end"),
            result = sink.append(&event) => result,
        };
        assert_eq!(result.unwrap_err().kind(), StoreErrorKind::Transient);
    }

    #[tokio::test]
    async fn a_check_tells_of_a_refused_datagram() {
        let Some((sink, collector, way)) = udp().await else { return };
        let event = [AuditEvent::new(EventType::UPLOAD)];
        sink.append(&event).await.unwrap();
        let sender = received(&collector).await;
        sink.health().await.unwrap();
        sink.append(&event).await.unwrap();
        assert_eq!(received(&collector).await, sender, "a check leaves the socket in use");
        // It goes down, and the datagram is refused after its acknowledgement.
        way.refuse(sender, Refusal::Port);
        assert_eq!(sink.health().await.unwrap_err().kind(), StoreErrorKind::Transient);
    }
}
