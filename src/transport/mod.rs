//! Sends encoded requests to an endpoint and turns each result into an [`Outcome`].
//!
//! This is the only module of the library that opens sockets for export.

mod client;
mod client_error;
mod compress;
mod connect;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod outcome;
#[cfg(feature = "_cli")]
mod relay;
mod request;
mod response;
#[cfg(not(feature = "tls"))]
#[path = "tls/disabled.rs"]
mod tls;
#[cfg(feature = "tls")]
#[path = "tls/enabled.rs"]
mod tls;

use ::http::header::HeaderValue;
use bytes::Bytes;

use self::client::{Client, ConnectionKey};
pub use self::compress::compressed;
pub use self::outcome::Cause;
pub use self::outcome::CauseKind;
pub use self::outcome::Outcome;
#[cfg(feature = "_cli")]
pub use self::relay::{Relay, RelayedResponse};
#[cfg(feature = "grpc")]
use crate::config::Protocol;
use crate::config::{Proxy, Route};

/// A client for one endpoint, in the protocol of its route.
#[derive(Debug)]
pub struct Transport {
    client: AnyClient,
    proxy: Option<Proxy>,
}

#[derive(Debug)]
enum AnyClient {
    #[cfg(feature = "grpc")]
    Grpc(Box<grpc::Grpc>),
    Http(Box<http::Http>),
}

impl Transport {
    /// Creates a client for each route. Routes share connections if possible.
    pub fn for_routes(routes: &[Route]) -> Vec<Self> {
        let mut http = ClientCache::default();
        #[cfg(feature = "grpc")]
        let mut grpc = ClientCache::default();
        let mut all = Vec::new();
        for route in routes {
            let client = match route.protocol {
                #[cfg(feature = "grpc")]
                Protocol::Grpc => AnyClient::Grpc(Box::new(grpc::Grpc::new(route, grpc.client(route)))),
                _ => AnyClient::Http(Box::new(http::Http::new(route, http.client(route)))),
            };
            all.push(Self { client, proxy: route.proxy.clone() });
        }
        all
    }

    /// Returns the number of seconds by which the endpoint's clock is ahead of the local one, according to the last
    /// `Date` header.
    pub(crate) fn clock_offset(&self) -> Option<i64> {
        match &self.client {
            #[cfg(feature = "grpc")]
            AnyClient::Grpc(_) => None,
            AnyClient::Http(client) => client.clock_offset(),
        }
    }

    /// Sends one request and waits for its outcome, at most for the timeout of the route.
    ///
    /// The body is an `Export…ServiceRequest` in protobuf. `encoding` names its compression, if there is any.
    pub async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        let outcome = match &self.client {
            #[cfg(feature = "grpc")]
            AnyClient::Grpc(client) => client.send(body, encoding).await,
            AnyClient::Http(client) => client.send(body, encoding).await,
        };
        match &self.proxy {
            Some(proxy) => outcome.via_proxy(proxy),
            None => outcome,
        }
    }
}

/// The clients created so far, by what their routes must have in common.
struct ClientCache<'a, B>(Vec<(ConnectionKey<'a>, Client<B>)>);

impl<B> Default for ClientCache<'_, B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, B> ClientCache<'a, B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn client(&mut self, route: &'a Route) -> Client<B> {
        let key = ConnectionKey::of(route);
        if let Some((_, client)) = self.0.iter().find(|(known, _)| *known == key) {
            return client.clone();
        }
        let client = Client::new(&key);
        self.0.push((key, client.clone()));
        client
    }
}
