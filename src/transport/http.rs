//! OTLP/HTTP with protobuf bodies, over hyper, with TLS by rustls and the platform's roots.
//!
//! Constraints: redirects are not followed, one connection is kept alive for each signal, and the whole request
//! with its answer has one deadline.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::answer;
use super::cause;
use super::outcome::{Cause, CauseKind, Outcome};
use super::tls::{self, TlsConnector};
use crate::config::{Route, Tls};

/// The specification's bound for an answer.
const ANSWER_BYTES: usize = 4 << 20;
/// Shorter than what load balancers wait before they close an idle connection.
const IDLE: Duration = Duration::from_secs(30);

/// One for each signal.
const MAX_IDLE: usize = 2;

type PlainClient = Client<HttpConnector, Full<Bytes>>;

/// A client of one endpoint.
#[derive(Debug)]
pub(crate) struct Http {
    client: AnyClient,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

#[derive(Clone, Debug)]
enum AnyClient {
    Plain(PlainClient),
    Tls(Client<TlsConnector, Full<Bytes>>),
    /// There is no TLS: said with each request.
    Broken(String),
}

impl AnyClient {
    /// Plain where there is no TLS to be done.
    fn new(tls: Option<&Tls>) -> Self {
        let Some(tls) = tls else { return Self::Plain(build(connector())) };
        match tls::connector(connector(), tls) {
            Ok(connector) => Self::Tls(build(connector)),
            Err(why) => Self::Broken(why),
        }
    }
}

impl Http {
    /// A client for each of these routes. Those with the same scheme and certificates share their connections.
    pub(crate) fn for_routes(routes: &[Route]) -> Vec<Self> {
        let mut clients: Vec<(Option<&Tls>, AnyClient)> = Vec::new();
        let mut all = Vec::new();
        for route in routes {
            let tls = route.endpoint.is_https().then_some(&route.tls);
            let shared = clients.iter().find(|(of, _)| *of == tls).map(|(_, client)| client.clone());
            let client = shared.unwrap_or_else(|| AnyClient::new(tls));
            clients.push((tls, client.clone()));
            all.push(Self::new(route, client));
        }
        all
    }

    fn new(route: &Route, client: AnyClient) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " logbridge")),
        );
        for header in &route.headers {
            headers.insert(header.name.clone(), header.value.clone());
        }
        Self { client, uri: without_credentials(route.endpoint.uri()), headers, timeout: route.timeout }
    }

    /// Sends one request, within its timeout. `encoding` says how the body is compressed, if it is.
    pub(crate) async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        match tokio::time::timeout(self.timeout, self.exchange(body, encoding)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let text = format!("no answer within {:?}", self.timeout);
                Outcome::Retry { cause: Cause { kind: CauseKind::Timeout, text }, after: None }
            }
        }
    }

    async fn exchange(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(encoding) = encoding {
            request.headers_mut().insert(CONTENT_ENCODING, encoding);
        }
        let answered = match &self.client {
            AnyClient::Plain(client) => client.request(request).await,
            AnyClient::Tls(client) => client.request(request).await,
            AnyClient::Broken(why) => {
                let cause = Cause { kind: CauseKind::Tls, text: why.clone() };
                return Outcome::Retry { cause, after: None };
            }
        };
        let (parts, body) = match answered {
            Ok(answer) => answer.into_parts(),
            Err(error) => return Outcome::Retry { cause: cause::of_client_error(&error), after: None },
        };
        match Limited::new(body, ANSWER_BYTES).collect().await {
            Ok(body) => answer::outcome(parts.status, &parts.headers, &body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => answer::outcome(parts.status, &parts.headers, &OVERSIZED),
            // The status was a success but the answer broke off: whether the records were stored is unknown, and the
            // protocol leaves nothing but to send them again.
            Err(error) => Outcome::Retry { cause: cause::of_client_error(&*error), after: None },
        }
    }
}

/// Stands for an answer that is too long to be read: no OTLP answer either.
const OVERSIZED: [u8; 65] = [b'<'; 65];

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(IDLE));
    connector
}

fn build<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector)
}

/// hyper would send them nowhere, but they would stand in the `Host` header's source.
fn without_credentials(uri: &Uri) -> Uri {
    let host = uri
        .authority()
        .map(|authority| authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host).to_owned());
    let mut parts = uri.clone().into_parts();
    if let Some(authority) = host.and_then(|host| host.parse().ok()) {
        parts.authority = Some(authority);
    }
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
