//! HTTP clients by hyper-util, one for all routes that can share their connections.

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client as Legacy, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::{Connector, IDLE_TIMEOUT};
use super::tls::{self, TlsConnector};
use crate::config::{Protocol, Proxy, Route, Tls};

/// One for each signal.
const MAX_IDLE_CONNECTIONS: usize = 2;

/// How long the head of an answer over HTTP/2 may be: a status of gRPC with a long message is one.
#[cfg(feature = "grpc")]
const MAX_HEADER_BYTES: u32 = 256 << 10;

/// A client that sends bodies of one type.
#[derive(Debug)]
pub(super) enum Client<B> {
    Plain(Legacy<Connector, B>),
    Tls(Legacy<TlsConnector, B>),
    /// There is no TLS: said with each request.
    NoTls(String),
}

// Derived, it would ask the same of the body.
impl<B> Clone for Client<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(client) => Self::Plain(client.clone()),
            Self::Tls(client) => Self::Tls(client.clone()),
            Self::NoTls(why) => Self::NoTls(why.clone()),
        }
    }
}

/// What routes have in common that may share connections.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ConnectionKey<'a> {
    is_http2: bool,
    proxy: Option<&'a Proxy>,
    /// Where there is TLS to be done.
    tls: Option<&'a Tls>,
}

impl<'a> ConnectionKey<'a> {
    pub(super) fn of(route: &'a Route) -> Self {
        Self {
            is_http2: route.protocol == Protocol::Grpc,
            proxy: route.proxy.as_ref(),
            tls: route.endpoint.is_https().then_some(&route.tls),
        }
    }

    /// Whether a proxy reads the requests, and not only the name of the endpoint.
    pub(super) fn is_forwarded(&self) -> bool {
        self.proxy.is_some() && self.tls.is_none() && !self.is_http2
    }
}

impl<B> Client<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(kind: &ConnectionKey<'_>) -> Self {
        let connector = Connector::new(kind.proxy, kind.tls.is_some() || kind.is_http2);
        let mut builder = Legacy::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS);
        #[cfg(feature = "grpc")]
        builder.http2_only(kind.is_http2).http2_max_header_list_size(MAX_HEADER_BYTES);
        let Some(tls) = kind.tls else { return Self::Plain(builder.build(connector)) };
        match tls::connector(connector, tls, kind.is_http2) {
            Ok(connector) => Self::Tls(builder.build(connector)),
            Err(why) => Self::NoTls(why),
        }
    }

    /// Sends a request; a client without TLS sends nothing and says why.
    pub(super) fn request(
        &self,
        request: Request<B>,
    ) -> Result<impl Future<Output = Result<Response<Incoming>, Error>> + use<B>, String> {
        match self {
            Self::Plain(client) => Ok(client.request(request)),
            Self::Tls(client) => Ok(client.request(request)),
            Self::NoTls(why) => Err(why.clone()),
        }
    }
}
