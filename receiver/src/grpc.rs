//! OTLP/gRPC on the receiver's port: a request is unpacked and judged as one by HTTP, and the answer packed again.

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

use super::answer::{Ending, WholeBody};
use super::connections::Caller;
use super::exchange::{self, Exchange, Hangup, Intake, Packed, Refused, Service, take_in};
use super::wire::{Content, PROTOBUF};

/// So many requests of a connection are read at a time.
const STREAMS: u32 = 32;
/// The longest head of a request.
const HEAD: u32 = 16 << 10;
/// How often to ask whether the client is still there.
const PING: Duration = Duration::from_secs(20);

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

pub(super) async fn serve<S: Service>(stream: TcpStream, caller: Caller, service: Arc<S>) {
    let answers = service_fn(|request| handle(request, caller.clone(), Arc::clone(&service)));
    let exchange = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .keep_alive_interval(PING)
        .serve_connection(TokioIo::new(stream), answers);
    if let Err(error) = exchange.await {
        service.problem(format!("connection {}: {error}", caller.connection.number));
    }
}

async fn handle<S: Service>(
    request: Request<Incoming>,
    caller: Caller,
    service: Arc<S>,
) -> Result<Response<WholeBody>, Hangup> {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    // HTTP/2 is no reason to be gRPC.
    if !content_type.starts_with(b"application/grpc")
        && Content::ALL.iter().any(|content| content.path() == request.uri().path())
    {
        return exchange::handle(request, caller, service).await;
    }
    let door = caller.connection.door;
    let Intake { request, mut head, body, room, .. } = match take_in(request, &caller, &*service).await {
        Ok(intake) => intake,
        Err(Refused::CutShort) => return Err(Hangup::Close),
        Err(Refused::Preflight(answer)) => return Ok(answer.map(|()| Full::default().boxed())),
        Err(Refused::Status(refused, why, _)) => return Ok(status(code_of(refused), &why)),
    };
    let headers = head.headers.clone();
    let (path, message) = match unpack(&mut head, &body) {
        Ok(unpacked) => unpacked,
        Err(why) => {
            service.unreadable(request, door, StatusCode::NOT_FOUND, &why);
            return Ok(status(Code::Unimplemented, &why));
        }
    };
    let packed = Some(Packed { path, headers, body });
    let unpacked = Exchange { request, head, body: message, packed, door, _room: room };
    let answered = match exchange::answer(unpacked, caller, service).await {
        Ending::Close | Ending::Reset => return Err(Hangup::Close),
        Ending::PassOn(response) => return Ok(response),
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

/// The method and the message inside, with the head as of a request by HTTP; or why there is none.
fn unpack(head: &mut Parts, body: &Bytes) -> Result<(&'static str, Bytes), String> {
    let path = head.uri.path();
    let Some(content) = Content::ALL.into_iter().find(|content| content.method() == path) else {
        return Err(format!("`{path}` is no gRPC method for log records, spans or metrics"));
    };
    let Some((frame, message)) = body.split_first_chunk::<5>() else {
        return Err("this is no gRPC request: its message is missing".to_owned());
    };
    let [is_compressed, length @ ..] = *frame;
    if message.len() != u32::from_be_bytes(length) as usize {
        return Err("this is no gRPC request: its message is not as long as it says".to_owned());
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
        403 | 421 => Code::PermissionDenied,
        404 | 405 | 415 => Code::Unimplemented,
        413 => Code::ResourceExhausted,
        408 | 429 | 502..=504 => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// One message and a status behind it.
fn success_of(headers: &HeaderMap, body: &Bytes) -> Response<WholeBody> {
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
fn status(code: Code, message: &str) -> Response<WholeBody> {
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
