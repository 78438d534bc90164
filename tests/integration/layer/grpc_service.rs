//! A gRPC service as tonic generates them, with messages of plain bytes: what is asked for is what it does.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::Request;
use http::uri::PathAndQuery;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Server};
use tonic::{Status, Streaming};
use tower_audit::{AuditLayer, PeerAddr};

#[derive(Clone)]
pub(crate) struct Vault {
    /// Streams that wait do so for a permit.
    pub(crate) gate: Arc<Semaphore>,
}

impl Vault {
    pub(crate) fn new() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)) }
    }
}

impl NamedService for Vault {
    const NAME: &'static str = "bank.Vault";
}

impl tower::Service<Request<Body>> for Vault {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let mut grpc = Grpc::new(Plain);
            Ok(match request.uri().path() {
                "/bank.Vault/Open" => grpc.unary(tower::service_fn(open), request).await,
                "/bank.Vault/Watch" => {
                    let watch = move |request| std::future::ready(Ok::<_, Status>(watch(request, gate.clone())));
                    grpc.server_streaming(tower::service_fn(watch), request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Answers once. `denied`: with that status, and no more.
async fn open(request: tonic::Request<Bytes>) -> Result<tonic::Response<Bytes>, Status> {
    match &request.get_ref()[..] {
        b"denied" => Err(Status::permission_denied("on purpose")),
        b"own code" => Err(Status::unauthenticated("on purpose")),
        b"large" => Ok(tonic::Response::new(Bytes::from(vec![7; 1 << 20]))),
        _ => Ok(tonic::Response::new(Bytes::from_static(b"opened"))),
    }
}

/// Answers twice, and then with a status. `slow…`: waits before the second message.
fn watch(
    request: tonic::Request<Bytes>,
    gate: Arc<Semaphore>,
) -> tonic::Response<BoxStream<'static, Result<Bytes, Status>>> {
    let asked = request.into_inner();
    let is_slow = asked.starts_with(b"slow");
    let first = stream::iter([Ok(Bytes::from_static(b"one"))]);
    let second = stream::once(async move {
        if is_slow {
            gate.acquire().await.expect("it is never closed").forget();
        }
        Ok(Bytes::from_static(b"two"))
    });
    let last = match () {
        () if asked.ends_with(b"internal") => Some(Err(Status::internal("on purpose"))),
        () if asked.ends_with(b"denied") => Some(Err(Status::permission_denied("on purpose"))),
        () if asked.ends_with(b"panic") => None,
        () => return tonic::Response::new(first.chain(second).boxed()),
    };
    let end = stream::once(async move { last.expect("on purpose") });
    tonic::Response::new(first.chain(second).chain(end).boxed())
}

/// Serves it on a port of its own until the test ends, as an app would: the peer's address, then the audit layer.
pub(crate) async fn serve(vault: Vault, layer: AuditLayer) -> SocketAddr {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a port is free");
    let addr = incoming.local_addr().expect("it is bound");
    let peer = tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        if let Some(addr) = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr) {
            request.extensions_mut().insert(PeerAddr(addr));
        }
        request
    });
    let server = Server::builder().layer(peer).layer(layer).add_routes(Routes::new(vault));
    tokio::spawn(server.serve_with_incoming(incoming));
    addr
}

/// tonic's own client.
pub(crate) struct Client(tonic::client::Grpc<Channel>);

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let endpoint = Channel::from_shared(format!("http://{addr}")).expect("a valid address");
        Self(tonic::client::Grpc::new(endpoint.connect().await.expect("it listens")))
    }

    pub(crate) async fn open(&mut self, asked: &'static str) -> Result<Bytes, Status> {
        self.0.ready().await.expect("the connection is well");
        let path = PathAndQuery::from_static("/bank.Vault/Open");
        let answer = self.0.unary(tonic::Request::new(asked.into()), path, Plain).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn watch(&mut self, asked: &'static str) -> Result<Streaming<Bytes>, Status> {
        self.0.ready().await.expect("the connection is well");
        let path = PathAndQuery::from_static("/bank.Vault/Watch");
        let answer = self.0.server_streaming(tonic::Request::new(asked.into()), path, Plain).await?;
        Ok(answer.into_inner())
    }
}

/// Messages of plain bytes.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
