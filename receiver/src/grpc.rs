//! Serves OTLP/gRPC: converts each request to its HTTP equivalent, and the reply back to gRPC.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;

use super::answer::{ReplyAction, WholeBody};
use super::connections::ClientConnection;
use super::exchange::{self, CompleteRequest, Disconnect, Exchange, GrpcRequest, Rejected, Service, receive};
use super::wire::{Content, PROTOBUF};

/// The maximum number of concurrent requests of a connection.
const MAX_STREAMS: u32 = 32;
/// The maximum length of a request's head in bytes.
const MAX_HEAD: u32 = 16 << 10;
/// The interval of pings, which detect clients that are gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

pub(super) async fn serve<S: Service>(stream: TcpStream, client: ClientConnection, service: Arc<S>) {
    let responses = service_fn(|request| handle(request, client.clone(), Arc::clone(&service)));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(PING_INTERVAL)
        .serve_connection(TokioIo::new(stream), responses);
    if let Err(error) = connection.await {
        service.problem(format!("connection {}: {error}", client.connection.number));
    }
}

async fn handle<S: Service>(
    request: Request<Incoming>,
    client: ClientConnection,
    service: Arc<S>,
) -> Result<Response<WholeBody>, Disconnect> {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    // OTLP/HTTP may be sent over HTTP/2 too.
    if !content_type.starts_with(b"application/grpc")
        && Content::ALL.iter().any(|content| content.path() == request.uri().path())
    {
        return exchange::handle(request, client, service).await;
    }
    let listener = client.connection.listener;
    let CompleteRequest { request, mut head, body, permit, .. } = match receive(request, &client, &*service).await {
        Ok(intake) => intake,
        Err(Rejected::Incomplete) => return Err(Disconnect::Close),
        Err(Rejected::Preflight(answer)) => return Ok(answer.map(|()| Full::default().boxed())),
        Err(Rejected::Status(http_status, why, _)) => return Ok(status(code_of(http_status), &why)),
    };
    let headers = head.headers.clone();
    let (path, message) = match convert(&mut head, &body) {
        Ok(converted) => converted,
        Err(why) => {
            service.rejected(request, listener, StatusCode::NOT_FOUND, &why);
            return Ok(status(Code::Unimplemented, &why));
        }
    };
    let grpc = Some(GrpcRequest { path, headers, body });
    let exchange = Exchange { request, head, body: message, grpc, listener, _permit: permit };
    let response = match exchange::answer(exchange, client, service).await {
        ReplyAction::Close | ReplyAction::Reset => return Err(Disconnect::Close),
        ReplyAction::Relay(response) => return Ok(response),
        ReplyAction::Respond(response) => response,
    };
    let (head, body) = response.into_parts();
    // Reading a body in memory cannot fail.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(match head.status {
        success if success.is_success() => ok_response(&head.headers, &body),
        failure => status(code_of(failure), &String::from_utf8_lossy(&body)),
    })
}

/// Returns the method and the message, and converts the head to that of an HTTP request.
///
/// # Errors
///
/// Returns the reason if the path or the length prefix of the message is invalid.
fn convert(head: &mut Parts, body: &Bytes) -> Result<(&'static str, Bytes), String> {
    let path = head.uri.path();
    let Some(content) = Content::ALL.into_iter().find(|content| content.method() == path) else {
        return Err(format!("`{path}` is not an OTLP/gRPC method"));
    };
    let Some((frame, message)) = body.split_first_chunk::<5>() else {
        return Err("not a gRPC request: the message is missing".to_owned());
    };
    let [is_compressed, length @ ..] = *frame;
    if message.len() != u32::from_be_bytes(length) as usize {
        return Err("not a gRPC request: the message does not have the length in its prefix".to_owned());
    }
    head.uri = Uri::from_static(content.path());
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    head.headers.remove(CONTENT_ENCODING);
    if is_compressed == 1
        && let Some(encoding) = head.headers.get(&GRPC_ENCODING).cloned()
    {
        head.headers.insert(CONTENT_ENCODING, encoding);
    }
    Ok((content.method(), body.slice(5..)))
}

/// The gRPC status codes to which HTTP statuses are converted.
#[derive(Clone, Copy)]
enum Code {
    Ok = 0,
    InvalidArgument = 3,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 | 421 => Code::PermissionDenied,
        404 | 405 | 415 => Code::Unimplemented,
        413 => Code::ResourceExhausted,
        408 | 429 | 502..=504 => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// Returns a response with one message and the status OK in the trailers.
fn ok_response(headers: &HeaderMap, body: &Bytes) -> Response<WholeBody> {
    // A planned answer that is invalid over HTTP, such as an HTML page, must be invalid over gRPC too: it gets no
    // prefix.
    let is_protobuf = headers.get(CONTENT_TYPE).is_none_or(|content_type| content_type == PROTOBUF);
    let mut framed = BytesMut::new();
    if is_protobuf {
        framed.put_u8(0);
        framed.put_u32(body.len() as u32);
    }
    framed.put_slice(body);
    let trailers = async { Some(Ok(trailers(Code::Ok, ""))) };
    let body = Full::new(framed.freeze()).with_trailers(trailers).boxed();
    response(body, HeaderMap::new())
}

/// Returns a response with a status and no message.
fn status(code: Code, message: &str) -> Response<WholeBody> {
    // The text that gRPC servers send for a message that is too large.
    let message = match code {
        Code::ResourceExhausted => "grpc: received message larger than max",
        _ => message,
    };
    response(Full::default().boxed(), trailers(code, message))
}

fn trailers(code: Code, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from(code as u16));
    if !message.is_empty()
        && let Ok(message) = utf8_percent_encode(message, NON_ALPHANUMERIC).to_string().parse()
    {
        trailers.insert(GRPC_MESSAGE, message);
    }
    trailers
}

fn response<B>(body: B, mut headers: HeaderMap) -> Response<B> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
