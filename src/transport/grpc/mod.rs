//! OTLP/gRPC by tonic over the connections of this module, with a codec that passes encoded messages through.

mod response;
mod status;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::HeaderValue;
use http::header::HeaderMap;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use self::response::{ObservedResponse, ResponseObserver};
use self::status::{MESSAGE_LIMIT, NoTls};
use super::client::{Client, ConnectionKey};
use super::compress::{self, report_rejected_compression};
use super::outcome::{Cause, CauseKind, Outcome};
use super::request::add_headers;
use crate::config::{Compression, Route};
use crate::signal::Signal;

/// An OTLP/gRPC client for one endpoint.
#[derive(Debug)]
pub(super) struct Grpc {
    /// Replaced after each timeout, since HTTP/2 would reuse a broken connection.
    client: RefCell<Client<Body>>,
    route: Route,
    metadata: MetadataMap,
    path: PathAndQuery,
    /// Becomes `None` when the endpoint rejects compressed requests.
    compression: Cell<Compression>,
    /// Whether a server that speaks HTTP/2 ever answered.
    has_answered: Cell<bool>,
}

impl Grpc {
    pub(super) fn new(route: &Route, client: Client<Body>) -> Self {
        let mut all = HeaderMap::new();
        add_headers(route, &mut all);
        let path = match route.signal {
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        };
        Self {
            client: RefCell::new(client),
            route: route.clone(),
            metadata: MetadataMap::from_headers(all),
            path: PathAndQuery::from_static(path),
            compression: Cell::new(route.compression),
            has_answered: Cell::new(false),
        }
    }

    /// Sends one request, at most for the timeout. `encoding` names the compression of the body, if there is any.
    pub(super) async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        match tokio::time::timeout(self.route.timeout, self.try_compressed(body, encoding)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                self.client.replace(Client::new(&ConnectionKey::of(&self.route)));
                Outcome::timeout(self.route.timeout)
            }
        }
    }

    /// Sends the request compressed if configured. Sends it again uncompressed if the endpoint cannot read it.
    async fn try_compressed(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        let body = match &encoding {
            None => body,
            Some(encoding) => match compress::decompress(encoding.to_str().unwrap_or_default(), &body) {
                Ok(plain) => plain.into(),
                Err(error) => return Outcome::cannot_decompress(error),
            },
        };
        let compression = self.compression.get();
        let (first, is_unreadable) = self.exchange(body.clone(), compression).await;
        if compression == Compression::None || !is_unreadable {
            return first;
        }
        let (second, _) = self.exchange(body, Compression::None).await;
        if second.is_accepted() {
            self.compression.set(Compression::None);
            report_rejected_compression(compression, &self.route.endpoint, &first);
        }
        second
    }

    /// Returns the outcome, and whether the endpoint could not read the request.
    async fn exchange(&self, body: Bytes, compression: Compression) -> (Outcome, bool) {
        let observer = ResponseObserver::default();
        let timeout = self.route.timeout;
        let service = Service { client: self.client.borrow().clone(), observer: observer.clone(), timeout };
        let mut client = tonic::client::Grpc::with_origin(service, self.route.endpoint.uri().clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(usize::MAX);
        match compression {
            #[cfg(feature = "gzip")]
            Compression::Gzip => client = client.send_compressed(tonic::codec::CompressionEncoding::Gzip),
            #[cfg(feature = "zstd")]
            Compression::Zstd => client = client.send_compressed(tonic::codec::CompressionEncoding::Zstd),
            _ => {}
        }
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.route.timeout);
        match client.unary(request, self.path.clone(), BytesCodec).await {
            Ok(response) => {
                self.has_answered.set(true);
                (status::success(&response.into_inner()), false)
            }
            Err(status) => {
                let observed = observer.take();
                (self.failure(&status, &observed), status::is_unreadable(&status, &observed))
            }
        }
    }

    fn failure(&self, status: &Status, observed: &ObservedResponse) -> Outcome {
        let mut outcome = status::failure(status, observed);
        let said = outcome.cause().map_or("", |cause| cause.text.as_str());
        // An HTTP/1.1 server closes the connection in many ways, but never with an error of HTTP/2.
        if observed.has_head || [" error received: ", "stream error"].iter().any(|words| said.contains(words)) {
            self.has_answered.set(true);
        }
        match &mut outcome {
            // Nothing is known about the protocol if the TLS handshake failed.
            Outcome::Retry { cause, .. }
                if cause.kind == CauseKind::Interrupted
                    && !self.has_answered.get()
                    && cause.text != "tls handshake eof" =>
            {
                // The TLS alert about a missing client certificate may be lost when the connection ends.
                let or = if self.route.endpoint.is_https() { ", or asks for a client certificate" } else { "" };
                let text = format!("the port does not seem to speak HTTP/2{or}: {}", cause.text);
                *cause = Cause::new(CauseKind::NotGrpc, text);
            }
            Outcome::Retry { cause, .. } if cause.kind != CauseKind::Busy => {}
            _ => self.has_answered.set(true),
        }
        outcome
    }
}

/// Returns the outcome of a forwarded request from its head, its trailers and its framed message.
pub(super) fn classify(head: &http::Response<()>, trailers: Option<&HeaderMap>, body: &[u8]) -> Outcome {
    let mut found =
        trailers.filter(|trailers| trailers.contains_key(response::STATUS)).unwrap_or(head.headers()).clone();
    // tonic panics if they are not Base64.
    found.remove(response::DETAILS);
    let Some(code) = found.get(response::STATUS).map(|code| String::from_utf8_lossy(code.as_bytes()).into_owned())
    else {
        return super::response::classify(head.status(), head.headers(), body);
    };
    match Status::from_header_map(&found) {
        Some(status) if status.code() != tonic::Code::Ok => {
            let observed =
                ObservedResponse { status: Some(code), has_head: true, is_grpc: true, ..ObservedResponse::default() };
            status::failure(&status, &observed)
        }
        _ => status::success(body.get(5..).unwrap_or_default()),
    }
}

/// The HTTP client as a service for one call of tonic.
struct Service {
    client: Client<Body>,
    observer: ResponseObserver,
    timeout: Duration,
}

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let response = self.client.request(request);
        let (observer, timeout) = (self.observer.clone(), self.timeout);
        Box::pin(async move { response::prepare_for_tonic(response.map_err(NoTls)?.await?, observer, timeout).await })
    }
}

/// A codec that passes bytes through, since messages are encoded and decoded outside of tonic.
#[derive(Clone, Copy, Debug)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
