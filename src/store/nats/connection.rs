//! One connection to one server. A connection that is lost is not made again: another one takes its place.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, ServerError, StatusCode, Subscriber,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::replies::Replies;
use super::url_settings::{Login, Server, UrlSettings};
use crate::store::StoreErrorKind;
use crate::store::client_tls::{ClientFiles, client_config};

/// One connection to one server.
///
/// The client library would keep what is published while it has no connection, and send it whenever it has one again. So a
/// connection is given up as soon as it is lost, and nothing is published over it from then on.
pub(super) struct Connection {
    client: Client,
    inbox: String,
    replies: Arc<Replies>,
    /// Hands out the replies.
    reader: tokio::task::JoinHandle<()>,
    complaint: Arc<Mutex<Option<String>>>,
    /// Requests without an answer since the last success.
    failures: AtomicU32,
    is_given_up: AtomicBool,
}

/// The reason for which a server was not connected to.
pub(super) struct NotConnected {
    pub(super) kind: StoreErrorKind,
    pub(super) hint: String,
}

/// The reason for which a request has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The connection was lost; the request may have reached the server.
    Disconnected,
    /// Nothing came in time.
    TimedOut,
    /// No server serves the subject: no such stream, no leader of it, or no such account.
    NoResponders,
    /// The account may not publish there.
    Denied,
}

impl Connection {
    pub(super) async fn open(
        settings: &UrlSettings,
        login: &Login,
        server: &Server,
        within: Duration,
    ) -> Result<Self, NotConnected> {
        let complaint = Arc::new(Mutex::new(None));
        let options = options(settings, login, within, Arc::clone(&complaint)).await?;
        let scheme = if settings.is_tls { "tls" } else { "nats" };
        let connected = timeout(within, options.connect(format!("{scheme}://{}", server.address())));
        let client = match connected.await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(NotConnected::of(&error)),
            Err(_) => return Err(NotConnected::late()),
        };
        let replies = Arc::<Replies>::default();
        let inbox = client.new_inbox();
        let subscribed = timeout(within, client.subscribe(format!("{inbox}.*"))).await;
        let Ok(Ok(mut subscription)) = subscribed else { return Err(NotConnected::late()) };
        let reader = tokio::spawn({
            let replies = Arc::clone(&replies);
            async move {
                while let Some(message) = subscription.next().await {
                    replies.deliver(message);
                }
            }
        });
        Ok(Self {
            client,
            inbox,
            replies,
            reader,
            complaint,
            failures: AtomicU32::new(0),
            is_given_up: AtomicBool::new(false),
        })
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.is_given_up.load(Ordering::Acquire) && self.client.connection_state() == State::Connected
    }

    /// Marks the connection as one that is not used any more.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    /// Takes note of a success. For a writer it is an acknowledged message, not any answer: a leader that is cut off from the
    /// other servers answers what it is asked, and acknowledges nothing.
    pub(super) fn succeed(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// The largest message that the server takes, in bytes, headers included.
    pub(super) fn max_payload(&self) -> usize {
        self.client.server_info().max_payload
    }

    pub(super) fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Publishes a message and waits for the reply. After two requests without an answer, and no [success](Self::succeed) in
    /// between, the connection is given up: another server may answer.
    pub(super) async fn request(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        within: Duration,
    ) -> Result<Message, Unanswered> {
        let result = self.request_once(subject, headers, payload, within).await;
        match &result {
            Ok(_) | Err(Unanswered::Denied) => {}
            Err(_) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_FAILURES {
                    self.give_up();
                }
            }
        }
        result
    }

    async fn request_once(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        within: Duration,
    ) -> Result<Message, Unanswered> {
        if !self.is_usable() {
            return Err(Unanswered::Disconnected);
        }
        let deadline = Instant::now() + within;
        *self.complaint() = None;
        let mut waiting = self.replies.register();
        let reply_to = format!("{}.{}", self.inbox, waiting.token);
        let published = self.client.publish_with_reply_and_headers(subject.to_owned(), reply_to, headers, payload);
        match timeout_at(deadline, published).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Unanswered::Disconnected),
            Err(_) => return Err(Unanswered::TimedOut),
        }
        match timeout_at(deadline, &mut waiting.reply).await {
            Ok(Ok(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => Err(Unanswered::NoResponders),
            Ok(Ok(message)) => Ok(message),
            Ok(Err(_)) => Err(Unanswered::Disconnected),
            Err(_) if self.is_denied(subject) => Err(Unanswered::Denied),
            Err(_) if !self.is_usable() => Err(Unanswered::Disconnected),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }

    /// Publishes a message and hands each reply to `take`, until that returns false or the time is up.
    pub(super) async fn gather(
        &self,
        subject: &str,
        within: Duration,
        mut take: impl FnMut(&Message) -> bool,
    ) -> Result<(), Unanswered> {
        let deadline = Instant::now() + within;
        let inbox = self.client.new_inbox();
        let mut replies = self.client.subscribe(inbox.clone()).await.map_err(|_| Unanswered::Disconnected)?;
        let published = self.client.publish_with_reply(subject.to_owned(), inbox, Bytes::new()).await;
        published.map_err(|_| Unanswered::Disconnected)?;
        loop {
            match timeout_at(deadline, replies.next()).await {
                Ok(Some(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    return Err(Unanswered::NoResponders);
                }
                Ok(Some(message)) if take(&message) => {}
                Ok(Some(_)) => return Ok(()),
                Ok(None) => return Err(Unanswered::Disconnected),
                Err(_) => return Err(Unanswered::TimedOut),
            }
        }
    }

    /// Subscribes to a new inbox.
    pub(super) async fn subscribe(&self) -> Result<(String, Subscriber), Unanswered> {
        let inbox = self.client.new_inbox();
        let subscribed = timeout(SEND_TIMEOUT, self.client.subscribe(inbox.clone())).await;
        match subscribed {
            Ok(Ok(messages)) if self.is_usable() => Ok((inbox, messages)),
            _ => Err(Unanswered::Disconnected),
        }
    }

    /// Publishes a message whose answers come to an inbox.
    pub(super) async fn send(&self, subject: &str, inbox: &str, payload: String) -> Result<(), Unanswered> {
        if !self.is_usable() {
            return Err(Unanswered::Disconnected);
        }
        let published = self.client.publish_with_reply(subject.to_owned(), inbox.to_owned(), payload.into());
        match timeout(SEND_TIMEOUT, published).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Unanswered::Disconnected),
        }
    }

    /// Sends what is not sent yet.
    pub(super) async fn flush(&self) -> bool {
        self.client.flush().await.is_ok()
    }

    /// Returns true if the server has complained that this subject may not be published to.
    fn is_denied(&self, subject: &str) -> bool {
        self.complaint().as_ref().is_some_and(|text| {
            let text = text.to_ascii_lowercase();
            text.contains("permissions violation") && text.contains(&subject.to_ascii_lowercase())
        })
    }

    fn complaint(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // No code panics under this lock half way through a change.
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl NotConnected {
    fn config(hint: impl Into<String>) -> Self {
        Self { kind: StoreErrorKind::Config, hint: hint.into() }
    }

    pub(super) fn late() -> Self {
        Self { kind: StoreErrorKind::Transient, hint: "the server does not answer".into() }
    }

    /// Without the cause where it could name the server: that is a part of the URL.
    fn of(error: &async_nats::ConnectError) -> Self {
        let text = crate::store::chain(error).to_string();
        let hint = match error.kind() {
            ConnectErrorKind::AuthorizationViolation => {
                return Self {
                    kind: StoreErrorKind::Denied,
                    hint: "the server refuses this login: correct the user, the password, the token or the file".into(),
                };
            }
            ConnectErrorKind::Authentication => {
                return Self::config("the login cannot sign: correct the seed in `nkey_file` or `credentials_file`");
            }
            ConnectErrorKind::TimedOut => return Self::late(),
            ConnectErrorKind::Dns => "there is no such host: correct the URL, or look at the network".into(),
            _ if text.contains("NotValidForName") || text.contains("not valid for name") => {
                "the server's certificate is for another name: use a host that it names".into()
            }
            _ if text.contains("certificate") => {
                format!("TLS is refused: {}", text.rsplit(": ").next().unwrap_or_default())
            }
            ConnectErrorKind::Tls => "TLS is not possible: look at the server's log".into(),
            _ if text.contains("refused") => "nothing listens there: start the server, or correct the URL".into(),
            _ => "the server is not reached, or is none of NATS: look at it and at the network".into(),
        };
        Self { kind: StoreErrorKind::Transient, hint }
    }
}

async fn options(
    settings: &UrlSettings,
    login: &Login,
    within: Duration,
    complaint: Arc<Mutex<Option<String>>>,
) -> Result<ConnectOptions, NotConnected> {
    let options = ConnectOptions::new()
        .name("tower-audit")
        .connection_timeout(within)
        // One attempt after a loss, within `within`; then the client ends. It cannot be told to make none.
        .max_reconnects(1)
        .ignore_discovered_servers()
        .ping_interval(PING_INTERVAL)
        .client_capacity(QUEUED_COMMANDS)
        .subscription_capacity(QUEUED_REPLIES)
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(text)) = event {
                *complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            std::future::ready(())
        });
    with_login(with_tls(options, settings).await?, login).await
}

async fn with_tls(options: ConnectOptions, settings: &UrlSettings) -> Result<ConnectOptions, NotConnected> {
    let (ca_file, cert_file, key_file) =
        (settings.ca_file.clone(), settings.cert_file.clone(), settings.key_file.clone());
    let read = move || {
        let files =
            ClientFiles { ca_file: ca_file.as_deref(), cert_file: cert_file.as_deref(), key_file: key_file.as_deref() };
        client_config(files)
    };
    let config = tokio::task::spawn_blocking(read).await.map_err(|_| NotConnected::late())?;
    let options = options.tls_client_config(config.map_err(NotConnected::config)?).require_tls(settings.is_tls);
    Ok(if settings.is_tls_first { options.tls_first() } else { options })
}

/// Reads the files of a login for each connection, so that renewed ones are used.
async fn with_login(options: ConnectOptions, login: &Login) -> Result<ConnectOptions, NotConnected> {
    let read = |path: std::path::PathBuf, parameter: &'static str| async move {
        let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let text = text.map_err(|_| NotConnected::late())?;
        text.map_err(|error| NotConnected::config(format!("`{parameter}` cannot be read: {error}")))
    };
    Ok(match login {
        Login::None => options,
        Login::Token(token) => options.token(token.clone()),
        Login::Password { user, password } => options.user_and_password(user.clone(), password.clone()),
        Login::Credentials(path) => {
            let text = read(path.clone(), "credentials_file").await?;
            options.credentials(&text).map_err(|_| {
                NotConnected::config("`credentials_file` has no JWT and seed, as `nsc generate creds` writes them")
            })?
        }
        Login::Nkey(path) => {
            let text = read(path.clone(), "nkey_file").await?;
            let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
            let seed = seed.ok_or_else(|| {
                NotConnected::config("`nkey_file` has no seed of a user: a line that begins with `SU`")
            })?;
            options.nkey(seed.to_owned())
        }
    })
}

/// Requests without an answer after which another server is tried.
const MAX_FAILURES: u32 = 2;
/// A server that has vanished is noticed after two or three of them.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
const QUEUED_COMMANDS: usize = 64;
const QUEUED_REPLIES: usize = 1024;
