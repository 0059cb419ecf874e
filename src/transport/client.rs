//! HTTP clients of hyper-util. Routes with an equal [`ConnectionKey`] share one.

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

/// The maximum number of idle connections: one for each signal.
const MAX_IDLE_CONNECTIONS: usize = 2;

/// The maximum size of the headers of a response over HTTP/2. A gRPC status with a long message is a header.
#[cfg(feature = "grpc")]
const MAX_HEADER_BYTES: u32 = 256 << 10;

/// A client that sends bodies of one type.
#[derive(Debug)]
pub(super) enum Client<B> {
    Plain(Legacy<Connector, B>),
    Tls(Legacy<TlsConnector, B>),
    /// TLS cannot be set up. Each request fails with this reason.
    NoTls(String),
}

// A derived implementation would require `B: Clone`.
impl<B> Clone for Client<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(client) => Self::Plain(client.clone()),
            Self::Tls(client) => Self::Tls(client.clone()),
            Self::NoTls(reason) => Self::NoTls(reason.clone()),
        }
    }
}

/// The properties that routes must have in common to share connections.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ConnectionKey<'a> {
    is_http2: bool,
    proxy: Option<&'a Proxy>,
    /// Set if the endpoint is `https`.
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

    /// Returns whether a proxy forwards the requests instead of opening a tunnel.
    pub(super) fn is_forwarded(&self) -> bool {
        self.proxy.is_some() && self.tls.is_none() && !self.is_http2
    }
}

impl<B> Client<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(key: &ConnectionKey<'_>) -> Self {
        let connector = Connector::new(key.proxy, key.tls.is_some() || key.is_http2);
        let mut builder = Legacy::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS);
        #[cfg(feature = "grpc")]
        builder.http2_only(key.is_http2).http2_max_header_list_size(MAX_HEADER_BYTES);
        let Some(tls) = key.tls else { return Self::Plain(builder.build(connector)) };
        match tls::connector(connector, tls, key.is_http2) {
            Ok(connector) => Self::Tls(builder.build(connector)),
            Err(reason) => Self::NoTls(reason),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Returns the reason if TLS cannot be set up.
    pub(super) fn request(
        &self,
        request: Request<B>,
    ) -> Result<impl Future<Output = Result<Response<Incoming>, Error>> + use<B>, String> {
        match self {
            Self::Plain(client) => Ok(client.request(request)),
            Self::Tls(client) => Ok(client.request(request)),
            Self::NoTls(reason) => Err(reason.clone()),
        }
    }
}
