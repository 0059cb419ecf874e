//! OTLP/HTTP with protobuf bodies, over hyper, with TLS by rustls and the platform's roots.
//!
//! Constraints: redirects are not followed, compression is off, one connection is kept alive, and the whole request
//! with its answer has one deadline.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::answer;
use super::cause;
use super::outcome::{Cause, CauseKind, Outcome};
use super::tls::{self, TlsConnector};
use crate::config::Delivery;

/// The specification's bound for an answer.
const ANSWER_BYTES: usize = 4 << 20;
/// Shorter than what load balancers wait before they close an idle connection.
const IDLE: Duration = Duration::from_secs(30);

type PlainClient = Client<HttpConnector, Full<Bytes>>;

/// A client of one endpoint.
#[derive(Debug)]
pub(crate) struct Http {
    client: AnyClient,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

#[derive(Debug)]
enum AnyClient {
    Plain(PlainClient),
    Tls(Client<TlsConnector, Full<Bytes>>),
    /// There is no TLS: said with each request.
    Broken(String),
}

impl Http {
    pub(crate) fn new(delivery: &Delivery) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " logbridge")),
        );
        for header in &delivery.headers {
            headers.insert(header.name.clone(), header.value.clone());
        }
        let client = match delivery.endpoint.is_https() {
            false => AnyClient::Plain(build(connector())),
            true => match tls::connector(connector()) {
                Ok(connector) => AnyClient::Tls(build(connector)),
                Err(why) => AnyClient::Broken(why),
            },
        };
        Self { client, uri: without_credentials(delivery.endpoint.uri()), headers, timeout: delivery.timeout }
    }

    /// Sends one request. Ends by `deadline` or the request's own timeout, whichever comes first.
    pub(crate) async fn send(&self, body: Bytes, deadline: Option<Instant>) -> Outcome {
        let own = Instant::now() + self.timeout;
        let until = deadline.map_or(own, |deadline| deadline.min(own));
        match tokio::time::timeout_at(until.into(), self.exchange(body)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let text = format!("no answer within {:?}", self.timeout);
                Outcome::Retry { cause: Cause { kind: CauseKind::Timeout, text }, after: None }
            }
        }
    }

    async fn exchange(&self, body: Bytes) -> Outcome {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
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
        .pool_max_idle_per_host(1)
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
