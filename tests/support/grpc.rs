//! A server that speaks just enough gRPC to succeed, and to fail in every way.

#![allow(dead_code, unreachable_pub)] // Each test that has it uses its part.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
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
                        answer.response(is_compressed)
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
    fn response(self, is_compressed: bool) -> Result<Response<Full<Bytes>>, std::fmt::Error> {
        let (code, message, body) = match self {
            Self::Ok => ("0".to_owned(), "", &[0, 0, 0, 0, 0][..]),
            Self::Status(code, message) => (code.to_string(), message, &[][..]),
            Self::OnlyPlain if is_compressed => ("12".to_owned(), "gzip is not supported", &[][..]),
            Self::OnlyPlain => ("0".to_owned(), "", &[0, 0, 0, 0, 0][..]),
            Self::Reset => return Err(std::fmt::Error),
            Self::Page => {
                let mut page = Response::new(Full::new(Bytes::from_static(b"<html>sign in</html>")));
                page.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
                return Ok(page);
            }
        };
        let mut response = Response::new(Full::new(Bytes::from_static(body)));
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_str(&code).expect("digits"));
        headers.insert("grpc-message", HeaderValue::from_static(message));
        Ok(response)
    }
}
