//! One request by HTTP, with a limit for its time and for its answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// Sends a body to a URL of the schemes `http` and `https`.
pub(crate) async fn post(url: &str, body: String) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let uri: Uri = url.parse()?;
    let host = uri.host().ok_or("a URL without a host")?.trim_matches(['[', ']']).to_owned();
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("expected a URL that begins with `https://` or `http://`".into()),
    };
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let sent = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        match is_tls {
            false => exchange(stream, &uri, body).await,
            true => {
                let tls = TlsConnector::from(Arc::new(client_config()?));
                exchange(tls.connect(ServerName::try_from(host.clone())?, stream).await?, &uri, body).await
            }
        }
    };
    tokio::time::timeout(TIMEOUT, sent).await.map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))?
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    body: String,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::post(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("tower-audit/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(body)?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
    connection.abort();
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(Answer {
        status: head.status,
        content_type: content_type.unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// The authorities that browsers trust.
fn client_config() -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// A hundred signatures, and more.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
