//! A server that speaks just enough gRPC to succeed, and to fail in every way.

#![allow(dead_code, unreachable_pub)] // Each test that has it uses its part.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// How a gRPC server answers.
#[derive(Clone, Debug)]
pub enum Says {
    Ok,
    Status(u8, &'static str),
    /// As a web server that speaks HTTP/2.
    Page,
    /// Nothing: the stream is reset.
    Reset,
    /// As a server that cannot read compressed requests.
    OnlyPlain,
    /// 413 to requests that are longer than this, as a proxy in front of a server says it, and OK to others.
    Limit(usize),
    /// Exactly this.
    Exactly(Exactly),
}

/// An answer in full.
#[derive(Clone, Debug)]
pub struct Exactly {
    pub status: u16,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static [u8],
    pub trailers: &'static [(&'static str, &'static str)],
    /// Whether the stream is reset behind all that.
    pub is_cut: bool,
}

impl Exactly {
    /// An answer of gRPC, so far without a status.
    pub const GRPC: Self =
        Self { status: 200, headers: &[("content-type", "application/grpc")], body: b"", trailers: &[], is_cut: false };
}

/// A message without content.
pub const EMPTY: &[u8] = &[0, 0, 0, 0, 0];

/// The frames of an answer.
pub struct Frames(VecDeque<io::Result<Frame<Bytes>>>);

impl Frames {
    fn new(exactly: &Exactly) -> Self {
        let mut frames = VecDeque::new();
        if !exactly.body.is_empty() {
            frames.push_back(Ok(Frame::data(Bytes::from_static(exactly.body))));
        }
        if !exactly.trailers.is_empty() {
            frames.push_back(Ok(Frame::trailers(headers(exactly.trailers))));
        }
        if exactly.is_cut {
            frames.push_back(Err(io::Error::other("cut")));
        }
        Self(frames)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// What a gRPC server saw of a request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub length: usize,
}

/// A server that speaks just enough gRPC to fail in every way.
pub struct GrpcServer {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl GrpcServer {
    /// The answers in their order; the last one repeats.
    pub fn start(says: &[Says]) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let addr = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, says) = (Arc::clone(&seen), says.to_vec());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, says) = (Arc::clone(&log), says.clone());
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let (log, says) = (Arc::clone(&log), says.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let headers = head.headers;
                        let is_compressed = headers.contains_key("grpc-encoding");
                        let mut log = log.lock().expect("not poisoned");
                        let answer = says.get(log.len()).or(says.last()).cloned().expect("an answer");
                        log.push(Seen { path: head.uri.path().to_owned(), headers, length: body.len() });
                        answer.response(is_compressed, body.len())
                    }
                });
                let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(serve.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { addr, seen, _runtime: runtime }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Says {
    fn response(self, is_compressed: bool, length: usize) -> Result<Response<Frames>, std::fmt::Error> {
        let ok = Exactly { body: EMPTY, trailers: &[("grpc-status", "0"), ("grpc-message", "")], ..Exactly::GRPC };
        let exactly = match self {
            Self::Ok => ok,
            Self::OnlyPlain if !is_compressed => ok,
            Self::Limit(most) if length <= most => ok,
            Self::OnlyPlain => return Ok(status(12, "gzip is not supported")),
            Self::Limit(_) => Exactly { status: 413, headers: &[("content-type", "text/plain")], ..Exactly::GRPC },
            Self::Status(code, message) => return Ok(status(code, message)),
            Self::Reset => return Err(std::fmt::Error),
            Self::Page => {
                Exactly { headers: &[("content-type", "text/html")], body: b"<html>sign in</html>", ..Exactly::GRPC }
            }
            Self::Exactly(exactly) => exactly,
        };
        let mut response = Response::new(Frames::new(&exactly));
        *response.status_mut() = http::StatusCode::from_u16(exactly.status).expect("a status");
        *response.headers_mut() = headers(exactly.headers);
        Ok(response)
    }
}

/// A status in the headers: an answer without a message.
fn status(code: u8, message: &'static str) -> Response<Frames> {
    let mut response = Response::new(Frames::new(&Exactly::GRPC));
    *response.headers_mut() = headers(Exactly::GRPC.headers);
    response.headers_mut().insert("grpc-status", HeaderValue::from_str(&code.to_string()).expect("digits"));
    response.headers_mut().insert("grpc-message", HeaderValue::from_static(message));
    response
}
