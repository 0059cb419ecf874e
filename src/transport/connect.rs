//! Connections to the endpoint, direct or through a proxy.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::config::Proxy;

/// How long an idle connection is kept: shorter than the limit of common load balancers.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens the connections of a client.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    http: HttpConnector,
    proxy_mode: ProxyMode,
}

#[derive(Clone, Debug)]
enum ProxyMode {
    Direct,
    /// The proxy forwards each request. It must be HTTP/1.1 without TLS.
    Forward(Uri),
    /// The proxy opens a tunnel to the endpoint with `CONNECT`.
    Tunnel(Proxy),
}

impl Connector {
    /// Creates a connector. `needs_tunnel` says that a proxy cannot forward the requests: they use TLS or HTTP/2.
    pub(super) fn new(proxy: Option<&Proxy>, needs_tunnel: bool) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_keepalive(Some(IDLE_TIMEOUT));
        http.enforce_http(false);
        let proxy_mode = match proxy {
            None => ProxyMode::Direct,
            Some(proxy) if needs_tunnel => ProxyMode::Tunnel(proxy.clone()),
            Some(proxy) => ProxyMode::Forward(proxy.uri.clone()),
        };
        Self { http, proxy_mode }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let mut http = self.http.clone();
        match self.proxy_mode.clone() {
            ProxyMode::Direct => Box::pin(async move { Ok(Stream { io: http.call(to).await?, is_forwarded: false }) }),
            ProxyMode::Forward(proxy) => {
                Box::pin(async move { Ok(Stream { io: http.call(proxy).await?, is_forwarded: true }) })
            }
            ProxyMode::Tunnel(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri, http);
                if let Some(authorization) = proxy.authorization {
                    tunnel = tunnel.with_auth(authorization);
                }
                Box::pin(async move { Ok(Stream { io: tunnel.call(with_port(to)).await?, is_forwarded: false }) })
            }
        }
    }
}

/// Adds port 80 to an `http` URL without a port, for which a tunnel would use the port of HTTPS.
fn with_port(uri: Uri) -> Uri {
    if uri.port().is_some() || uri.scheme_str() != Some("http") {
        return uri;
    }
    let authority = uri.host().and_then(|host| format!("{host}:80").parse::<Authority>().ok());
    let mut parts = uri.clone().into_parts();
    parts.authority = authority.or(parts.authority);
    Uri::from_parts(parts).unwrap_or(uri)
}

/// A connection that knows whether a proxy forwards its requests, which then need the whole URL in the request line.
#[derive(Debug)]
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    is_forwarded: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.is_forwarded)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<Result<(), io::Error>> {
        Pin::new(&mut self.io).poll_read(context, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, io::Error>> {
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<Result<usize, io::Error>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bufs)
    }
}
