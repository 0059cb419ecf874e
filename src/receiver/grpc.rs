//! OTLP/gRPC on the receiver's port: a request is unpacked and judged as one by HTTP, and the answer packed again.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;

use super::answer::Ending;
use super::request::ReceivedRequest;
use super::server::{Hangup, answer};
use super::store::Store;
use super::wire::{PROTOBUF, path_of};
use crate::signal::Signal;

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Whether the client on this connection speaks HTTP/2. Waits for its first bytes.
pub(super) async fn speaks_http2(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(read) if read > 0 && first.get(..read) == PREFACE.get(..read) && read < PREFACE.len() => {
                // The rest is on its way.
                tokio::task::yield_now().await;
            }
            Ok(read) => return read == PREFACE.len() && first == PREFACE,
            Err(_) => return false,
        }
    }
}

pub(super) async fn serve(stream: TcpStream, connection: usize, store: Arc<Store>) {
    let service = service_fn(|request| handle(request, connection, Arc::clone(&store)));
    let exchange = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = exchange.await {
        store.problem(format!("connection {connection}: {error}"));
    }
}

async fn handle(
    request: Request<Incoming>,
    connection: usize,
    store: Arc<Store>,
) -> Result<Response<BoxBody<Bytes, std::convert::Infallible>>, Hangup> {
    let (mut head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            store.problem(format!("connection {connection}: request cut short: {error}"));
            return Err(Hangup::Close);
        }
    };
    let received = ReceivedRequest::new(&head, body.len(), connection);
    let Some(message) = unpack(&mut head, &body) else {
        return Ok(status(Code::Unimplemented, "this is no gRPC request for log records or spans"));
    };
    let answered = match answer(received, &head, message, &store).await {
        Ending::Close | Ending::Reset => return Err(Hangup::Close),
        Ending::Respond(response) => response,
    };
    let (answer, body) = answered.into_parts();
    // A body in memory does not fail.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(match answer.status {
        success if success.is_success() => success_of(&answer.headers, &body),
        refused => status(code_of(refused), &String::from_utf8_lossy(&body)),
    })
}

/// The message inside, with the head as of a request by HTTP.
fn unpack(head: &mut Parts, body: &Bytes) -> Option<Bytes> {
    let signal = match head.uri.path() {
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        _ => return None,
    };
    let (frame, message) = body.split_first_chunk::<5>()?;
    let [is_compressed, length @ ..] = *frame;
    if message.len() != u32::from_be_bytes(length) as usize {
        return None;
    }
    head.uri = Uri::try_from(path_of(signal)).ok()?;
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    head.headers.remove(CONTENT_ENCODING);
    if is_compressed == 1
        && let Some(encoding) = head.headers.get(&GRPC_ENCODING).cloned()
    {
        head.headers.insert(CONTENT_ENCODING, encoding);
    }
    Some(body.slice(5..))
}

/// The codes that HTTP's faults stand for.
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
        403 => Code::PermissionDenied,
        404 | 405 | 415 => Code::Unimplemented,
        413 => Code::ResourceExhausted,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// One message and a status behind it.
fn success_of(headers: &HeaderMap, body: &Bytes) -> Response<BoxBody<Bytes, std::convert::Infallible>> {
    // What is no protobuf to a client of HTTP is no gRPC to this one.
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

/// A status and nothing else.
fn status(code: Code, message: &str) -> Response<BoxBody<Bytes, std::convert::Infallible>> {
    // The words by which servers tell it.
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
