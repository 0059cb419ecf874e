//! From bytes to an [`Outcome`]. The only module that opens sockets of its own accord.

mod answer;
mod cause;
mod client;
mod compress;
mod connect;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod outcome;
#[cfg(feature = "_cli")]
mod relay;
#[cfg(not(feature = "tls"))]
#[path = "tls/disabled.rs"]
mod tls;
#[cfg(feature = "tls")]
#[path = "tls/enabled.rs"]
mod tls;

use std::fmt;

use ::http::header::{HeaderMap, HeaderValue, USER_AGENT};
use bytes::Bytes;

use self::client::{Client, Kind};
pub use self::compress::compressed;
pub use self::outcome::Cause;
pub use self::outcome::CauseKind;
pub use self::outcome::Outcome;
#[cfg(feature = "_cli")]
pub use self::relay::{Relay, Relayed};
#[cfg(feature = "grpc")]
use crate::config::Protocol;
use crate::config::{Compression, Proxy, Route};
use crate::finding::kind;
use crate::notice::{self, Notice};

/// The specification's bound for an answer.
const ANSWER_BYTES: usize = 4 << 20;

/// A client of one endpoint, in the protocol that the route names.
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
    /// A client for each of these routes. Those that can share their connections do.
    pub fn for_routes(routes: &[Route]) -> Vec<Self> {
        let mut http = Shared::default();
        #[cfg(feature = "grpc")]
        let mut grpc = Shared::default();
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

    /// By how many seconds the endpoint's `Date` was ahead of the clock here, in its last answer that had one.
    pub(crate) fn clock_offset(&self) -> Option<i64> {
        match &self.client {
            #[cfg(feature = "grpc")]
            AnyClient::Grpc(_) => None,
            AnyClient::Http(client) => client.clock_offset(),
        }
    }

    /// Sends one request, within its timeout. The body is an `Export…ServiceRequest` in protobuf; `encoding` says how it is
    /// compressed, if it is.
    pub async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        let outcome = match &self.client {
            #[cfg(feature = "grpc")]
            AnyClient::Grpc(client) => client.send(body, encoding).await,
            AnyClient::Http(client) => client.send(body, encoding).await,
        };
        match &self.proxy {
            Some(proxy) => outcome.by_way_of(proxy),
            None => outcome,
        }
    }
}

/// Clients that were made already.
struct Shared<'a, B>(Vec<(Kind<'a>, Client<B>)>);

impl<B> Default for Shared<'_, B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, B> Shared<'a, B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn client(&mut self, route: &'a Route) -> Client<B> {
        let kind = Kind::of(route);
        if let Some((_, client)) = self.0.iter().find(|(known, _)| *known == kind) {
            return client.clone();
        }
        let client = Client::new(&kind);
        self.0.push((kind, client.clone()));
        client
    }
}

/// The headers that every request has: who sends it, and what the configuration says.
fn headers(route: &Route, into: &mut HeaderMap) {
    let agent = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " logbridge");
    into.insert(USER_AGENT, HeaderValue::from_static(agent));
    for header in &route.headers {
        into.insert(header.name.clone(), header.value.clone());
    }
}

/// Says that requests are plain from now on.
fn refuses(compression: Compression, endpoint: impl fmt::Display, outcome: &Outcome) {
    let answer = outcome.cause().map_or_else(String::new, |cause| format!(": {cause}"));
    let text =
        format!("{endpoint} refuses requests in {compression} and takes them plain, as they are from now on{answer}");
    let help = "unset OTEL_EXPORTER_OTLP_COMPRESSION, or look for a receiver that reads it";
    notice::emit(&Notice::new(kind::NO_EFFECT.code, "compression", text).help(help));
}
