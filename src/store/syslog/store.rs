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
use super::transport::{Channel, Connection, Sent};
use super::url;
use crate::backoff::Backoff;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::sink::warn_of_sink;
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
}

impl SyslogStore {
    /// Connects to a collector.
    ///
    /// # Errors
    /// If the collector is not reached.
    pub async fn open(settings: SyslogSettings, options: OpenOptions) -> Result<Self, StoreError> {
        let sink = Self {
            timeout: options.timeout,
            state: Mutex::new(State {
                connection: None,
                max_bytes: settings.max_bytes,
                backoff: backoff_within(options.timeout),
                retry_at: None,
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
        let result = match timeout_at(deadline, self.send_or_reconnect(&mut state, events)).await {
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

    /// Sends over the open connection; if that is lost, over a new one. Without events, a socket for datagrams is always made anew:
    /// the open one does not tell that its collector has ended.
    async fn send_or_reconnect(&self, state: &mut MutexGuard<'_, State>, events: &[AuditEvent]) -> io::Result<()> {
        let is_check = events.is_empty();
        let open = state.connection.take();
        let open = open.filter(|open| !is_check || matches!(open.channel, Channel::Stream(_)));
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
            self.note_loss(loss);
        }
        let mut connection = Connection::open(&self.settings.destination).await?;
        state.max_bytes = self.settings.max_bytes;
        self.send(&mut connection, &mut state.max_bytes, events).await?;
        state.connection = Some(connection);
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
                datagrams.finish_batch().await?;
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
