//! OTLP/gRPC by tonic, over our own connections, with a codec that passes bytes through.

use std::cell::{Cell, RefCell};
use std::error::Error;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::HeaderValue;
use http::header::HeaderMap;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use super::cause;
use super::client::{Client, Kind};
use super::compress;
use super::outcome::{Cause, CauseKind, Outcome};
use super::{ANSWER_BYTES, headers, refuses};
use crate::config::{Compression, Route};
use crate::ledger::RejectReason;
use crate::otlp::{read_response, read_retry_info};
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
        let (first, code) = self.exchange(body.clone(), compression).await;
        if compression == Compression::None || code != Some(Code::Unimplemented) {
            return first;
        }
        let (second, _) = self.exchange(body, Compression::None).await;
        if second.is_taken() {
            self.compression.set(Compression::None);
            refuses(compression, &self.route.endpoint, &first);
        }
        second
    }

    async fn exchange(&self, body: Bytes, compression: Compression) -> (Outcome, Option<Code>) {
        let service = Service(self.client.borrow().clone());
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
                (success(&answer.into_inner()), Some(Code::Ok))
            }
            Err(status) => (self.failure(&status), Some(status.code())),
        }
    }

    fn failure(&self, status: &Status) -> Outcome {
        let mut outcome = failure(status);
        match &mut outcome {
            // A server of HTTP/1.1 hangs up in many ways, but never in HTTP/2's words.
            Outcome::Retry { cause, .. }
                if cause.kind == CauseKind::Interrupted
                    && !self.has_answered.get()
                    && !cause.text.contains(" error received: ") =>
            {
                // The alert that says so may get lost behind the end of the connection.
                let or = if self.route.endpoint.is_https() { ", or asks for a client certificate" } else { "" };
                let text = format!("the port does not speak HTTP/2{or}, as it seems: {}", cause.text);
                *cause = Cause { kind: CauseKind::NotGrpc, text };
            }
            Outcome::Retry { cause, .. } if cause.kind != CauseKind::Busy => {}
            _ => self.has_answered.set(true),
        }
        outcome
    }
}

/// The client as tonic calls it.
struct Service(Client<Body>);

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
    type Response = http::Response<Incoming>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.request(request);
        Box::pin(async move { Ok(answer.map_err(Broken)?.await?) })
    }
}

fn success(answer: &[u8]) -> Outcome {
    match read_response(answer) {
        Some(response) => Outcome::confirmed(response),
        None => {
            let text = "it answered OK with a message that is no OTLP answer".to_owned();
            Outcome::Unconfirmed { cause: Cause { kind: CauseKind::NotOtlp, text } }
        }
    }
}

fn failure(status: &Status) -> Outcome {
    // What never reached a gRPC server: the connection, TLS, another protocol.
    if let Some(error) = status.source() {
        if let Some(broken) = chain(error).find_map(|error| error.downcast_ref::<Broken>()) {
            return Outcome::Retry { cause: Cause { kind: CauseKind::TlsSetUp, text: broken.0.clone() }, after: None };
        }
        if chain(error).any(|error| error.is::<hyper_util::client::legacy::Error>() || error.is::<hyper::Error>()) {
            return Outcome::Retry { cause: cause::of_client_error(error), after: None };
        }
    }
    let cause = |kind, what: &str| Cause { kind, text: describe(status, what) };
    let refused = |reason, kind, what: &str| Outcome::Refused { reason, cause: cause(kind, what) };
    let too_large = || refused(RejectReason::TooLarge, CauseKind::TooLarge, "the request is too large for it");
    let said = status.message();
    if said.contains(&format!("the limit is: {ANSWER_LIMIT} bytes")) {
        let text = "it answered with more than 4 MiB, which is no OTLP answer".to_owned();
        return Outcome::Unconfirmed { cause: Cause { kind: CauseKind::NotOtlp, text } };
    }
    let after = read_retry_info(status.details());
    match status.code() {
        // The servers of Go and of tonic have no code of their own for it.
        Code::ResourceExhausted if said.contains("larger than max") => too_large(),
        Code::OutOfRange if said.contains("message length too large") => too_large(),
        Code::ResourceExhausted if after.is_none() => {
            refused(RejectReason::OtherStatus, CauseKind::Busy, "it has no room, and does not say that this passes")
        }
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { cause: cause(CauseKind::Busy, "try again later"), after },
        Code::InvalidArgument => refused(RejectReason::Malformed, CauseKind::Final, "it could not read the request"),
        Code::Unauthenticated | Code::PermissionDenied => {
            refused(RejectReason::Auth, CauseKind::Auth, "it refused the credentials")
        }
        Code::Unimplemented => refused(RejectReason::NotFound, CauseKind::NotFound, "nothing takes this signal there"),
        _ if is_foreign(said) => {
            let text = format!("it does not answer as a gRPC server does: {}", one_line(said));
            Outcome::Refused { reason: RejectReason::OtherStatus, cause: Cause { kind: CauseKind::Protocol, text } }
        }
        _ => refused(RejectReason::OtherStatus, CauseKind::Final, "it refused"),
    }
}

/// tonic's words for answers of something else than a gRPC server.
fn is_foreign(said: &str) -> bool {
    ["grpc-status header missing", "protocol error", "invalid compression flag", "Missing response message"]
        .iter()
        .any(|words| said.contains(words))
}

/// Code, what it means, and the server's own words.
fn describe(status: &Status, what: &str) -> String {
    let said = one_line(status.message());
    let said = if said.is_empty() { String::new() } else { format!(": \"{said}\"") };
    format!("it answered {} ({what}){said}", name(status.code()))
}

fn one_line(said: &str) -> String {
    said.chars().take(200).filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

/// The specification's name of a code.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(code: Code, said: &str) -> Outcome {
        failure(&Status::new(code, said))
    }

    #[test]
    fn codes_as_the_specification_sorts_them() {
        for code in [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ] {
            assert!(matches!(of(code, "busy"), Outcome::Retry { after: None, .. }), "{code:?}");
        }
        for (code, reason) in [
            (Code::InvalidArgument, RejectReason::Malformed),
            (Code::Unauthenticated, RejectReason::Auth),
            (Code::PermissionDenied, RejectReason::Auth),
            (Code::Unimplemented, RejectReason::NotFound),
            (Code::ResourceExhausted, RejectReason::OtherStatus),
            (Code::Internal, RejectReason::OtherStatus),
            (Code::Unknown, RejectReason::OtherStatus),
        ] {
            assert!(matches!(of(code, "no"), Outcome::Refused { reason: r, .. } if r == reason), "{code:?}");
        }
    }

    #[test]
    fn a_request_that_is_too_large_in_the_words_of_servers() {
        for (code, said) in [
            (Code::ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes",
            ),
        ] {
            let outcome = of(code, said);
            assert!(matches!(outcome, Outcome::Refused { reason: RejectReason::TooLarge, .. }), "{outcome:?}");
        }
        let here =
            format!("Error, decoded message length too large: found 5000000 bytes, the limit is: {ANSWER_LIMIT} bytes");
        assert!(matches!(of(Code::OutOfRange, &here), Outcome::Unconfirmed { .. }), "the answer was");
    }

    #[test]
    fn a_server_that_says_when_to_come_back() {
        // google.rpc.Status { details: [Any { type_url, value: RetryInfo { retry_delay: 2.5 s } }] }
        let delay = [0x0a, 0x08, 0x08, 0x02, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
        let url = b"type.googleapis.com/google.rpc.RetryInfo";
        let mut any = vec![0x0a, url.len() as u8];
        any.extend_from_slice(url);
        any.extend_from_slice(&[0x12, delay.len() as u8]);
        any.extend_from_slice(&delay);
        let mut details = vec![0x1a, any.len() as u8];
        details.extend_from_slice(&any);
        let status = Status::with_details(Code::ResourceExhausted, "slow down", details.into());
        let Outcome::Retry { after, cause } = failure(&status) else { panic!("retry") };
        assert_eq!(after, Some(Duration::from_millis(2500)));
        assert_eq!(cause.text, "it answered RESOURCE_EXHAUSTED (try again later): \"slow down\"");
    }
}
