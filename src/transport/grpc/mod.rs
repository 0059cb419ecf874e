//! OTLP/gRPC by tonic, over our own connections, with a codec that passes bytes through.

mod answer;
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

use self::answer::{Seen, Sight};
use super::client::{Client, Kind};
use super::compress;
use super::outcome::{Cause, CauseKind, Outcome};
use super::{ANSWER_BYTES, headers, refuses};
use crate::config::{Compression, Route};
use crate::signal::Signal;

/// One byte more than what servers allow by default: tonic's text for a message that is too long names the limit, and so
/// tells a request that is too long there from an answer that is too long here.
const ANSWER_LIMIT: usize = ANSWER_BYTES + 1;

/// A client of one endpoint.
#[derive(Debug)]
pub(super) struct Grpc {
    /// A new one after each timeout: HTTP/2 would go on with a connection that is dead.
    client: RefCell<Client<Body>>,
    route: Route,
    metadata: MetadataMap,
    path: PathAndQuery,
    /// None once the endpoint has refused it.
    compression: Cell<Compression>,
    /// Whether anything that speaks HTTP/2 has ever answered.
    has_answered: Cell<bool>,
}

impl Grpc {
    pub(super) fn new(route: &Route, client: Client<Body>) -> Self {
        let mut all = HeaderMap::new();
        headers(route, &mut all);
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

    /// Sends one request, within its timeout.
    pub(super) async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        match tokio::time::timeout(self.route.timeout, self.try_compressed(body, encoding)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                self.client.replace(Client::new(&Kind::of(&self.route)));
                Outcome::timeout(self.route.timeout)
            }
        }
    }

    /// Compressed, where that is asked for, and once more plain where the endpoint cannot read that.
    async fn try_compressed(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        let body = match &encoding {
            None => body,
            Some(encoding) => match compress::decompress(encoding.to_str().unwrap_or_default(), &body) {
                Ok(plain) => plain.into(),
                Err(error) => return Outcome::not_plain(error),
            },
        };
        let compression = self.compression.get();
        let (first, is_unreadable) = self.exchange(body.clone(), compression).await;
        if compression == Compression::None || !is_unreadable {
            return first;
        }
        let (second, _) = self.exchange(body, Compression::None).await;
        if second.is_taken() {
            self.compression.set(Compression::None);
            refuses(compression, &self.route.endpoint, &first);
        }
        second
    }

    /// The outcome, and whether the request was refused as something that cannot be read.
    async fn exchange(&self, body: Bytes, compression: Compression) -> (Outcome, bool) {
        let sight = Sight::default();
        let timeout = self.route.timeout;
        let service = Service { client: self.client.borrow().clone(), sight: sight.clone(), timeout };
        let mut client = tonic::client::Grpc::with_origin(service, self.route.endpoint.uri().clone())
            .max_decoding_message_size(ANSWER_LIMIT)
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
        match client.unary(request, self.path.clone(), Bytewise).await {
            Ok(answer) => {
                self.has_answered.set(true);
                (status::success(&answer.into_inner()), false)
            }
            Err(status) => {
                let seen = sight.take();
                (self.failure(&status, &seen), status::is_unreadable(&status, &seen))
            }
        }
    }

    fn failure(&self, status: &Status, seen: &Seen) -> Outcome {
        let mut outcome = status::failure(status, seen);
        let said = outcome.cause().map_or("", |cause| cause.text.as_str());
        // A server of HTTP/1.1 hangs up in many ways, but never in HTTP/2's words.
        if seen.has_head || [" error received: ", "stream error"].iter().any(|words| said.contains(words)) {
            self.has_answered.set(true);
        }
        match &mut outcome {
            // Before TLS is there, nothing is known of what it would carry.
            Outcome::Retry { cause, .. }
                if cause.kind == CauseKind::Interrupted
                    && !self.has_answered.get()
                    && cause.text != "tls handshake eof" =>
            {
                // The alert that says so may get lost behind the end of the connection.
                let or = if self.route.endpoint.is_https() { ", or asks for a client certificate" } else { "" };
                let text = format!("the port does not speak HTTP/2{or}, as it seems: {}", cause.text);
                *cause = Cause::new(CauseKind::NotGrpc, text);
            }
            Outcome::Retry { cause, .. } if cause.kind != CauseKind::Busy => {}
            _ => self.has_answered.set(true),
        }
        outcome
    }
}

/// What an answer means that somebody else asked for: its head, its trailers, its framed message.
pub(super) fn outcome(head: &http::Response<()>, trailers: Option<&HeaderMap>, body: &[u8]) -> Outcome {
    let mut found = trailers.filter(|trailers| trailers.contains_key(answer::STATUS)).unwrap_or(head.headers()).clone();
    // tonic panics where these are not base64.
    found.remove(answer::DETAILS);
    let Some(code) = found.get(answer::STATUS).map(|code| String::from_utf8_lossy(code.as_bytes()).into_owned()) else {
        return super::answer::outcome(head.status(), head.headers(), body);
    };
    match Status::from_header_map(&found) {
        Some(status) if status.code() != tonic::Code::Ok => {
            let seen = Seen { status: Some(code), has_head: true, is_grpc: true, ..Seen::default() };
            status::failure(&status, &seen)
        }
        _ => status::success(body.get(5..).unwrap_or_default()),
    }
}

/// The client as tonic calls it, for one request.
struct Service {
    client: Client<Body>,
    sight: Sight,
    timeout: Duration,
}

/// What keeps a client from being one.
#[derive(Debug)]
struct Broken(String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Broken {}

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.client.request(request);
        let (sight, timeout) = (self.sight.clone(), self.timeout);
        Box::pin(async move { answer::readable(answer.map_err(Broken)?.await?, sight, timeout).await })
    }
}

/// Messages are encoded before and read after: tonic moves bytes.
#[derive(Clone, Copy, Debug)]
struct Bytewise;

impl Codec for Bytewise {
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

impl Encoder for Bytewise {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Bytewise {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
