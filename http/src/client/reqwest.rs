//! The middleware for `reqwest-middleware`.

use std::future::poll_fn;
use std::pin::Pin;

use async_trait::async_trait;
use http::{Extensions, Uri};
use logbridge::NetworkCapture;
use reqwest::{Body, Request, Response, ResponseBuilderExt as _};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tracing::Instrument as _;

use super::attempt::{Attempt, Facts};
use super::extensions::{ResendCount, UrlTemplate};
use super::failure;
use super::service::{ClientRequestBody, ClientResponseBody};
use crate::request::Head;
use crate::semconv::OTHER;
use crate::settings::Settings;
use crate::span::Failure;

/// Makes one client span per request of a `reqwest_middleware::ClientWithMiddleware`.
///
/// The span and the headers of the request are those of [`ClientLayer`](crate::ClientLayer). The application gets the
/// same response, and reads its body in the same way. If the body fails, the error has two more causes, each of them a
/// `reqwest::Error`; its methods return the same.
///
/// Order: put this middleware *after* a retry middleware. Then each attempt has a span of its own, with its number in
/// `http.request.resend_count`. Before a retry middleware, there is one span for all attempts, and it ends with the last
/// response. Redirects are followed inside reqwest, within the same span, whose `url.full` is that of the first request.
///
/// Headers that reqwest itself adds, such as its default headers, are not captured, because it adds them later.
///
/// # Examples
///
/// ```
/// use logbridge_http::{ReqwestMiddleware, UrlTemplate};
///
/// # async fn send() -> reqwest_middleware::Result<()> {
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     // Retry middlewares come here.
///     .with(ReqwestMiddleware::new())
///     .build();
/// let user = client
///     .get("https://api.example/users/7")
///     .with_extension(UrlTemplate::new("/users/{id}")) // names the span `GET /users/{id}`
///     .send()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// Without `reqwest-middleware`, propagate the context by hand. The request then has no span of its own:
///
/// ```
/// # async fn send(client: reqwest::Client) -> reqwest::Result<()> {
/// let mut request = client.get("https://api.example/users/7").build()?;
/// logbridge::propagation::inject(request.headers_mut());
/// let user = client.execute(request).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "add it to a client"]
pub struct ReqwestMiddleware {
    settings: Settings,
}

impl ReqwestMiddleware {
    /// Creates a middleware with the settings of the installed logbridge, which may be installed later.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what this middleware captures of requests and responses. The body size and the header lists that the value
    /// does not set come from the settings of the installed logbridge.
    ///
    /// Default: the setting of the installed logbridge, which is nothing unless
    /// [`Builder::network_capture`](logbridge::Builder::network_capture) or `LOGBRIDGE_NETWORK_CAPTURE` says otherwise.
    pub fn capture(mut self, capture: NetworkCapture) -> Self {
        self.settings.set_capture(capture);
        self
    }
}

#[async_trait]
impl Middleware for ReqwestMiddleware {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let mut attempt = self.begin(&request, extensions);
        attempt.inject(request.headers_mut());
        capture_body(&mut attempt, &mut request);
        // Instrumented, because it may write records when it is dropped.
        let mut sending = next.run(request, extensions).instrument(attempt.scope().span().clone());
        let result = poll_fn(|cx| attempt.run(|| Pin::new(&mut sending).poll(cx))).await;
        drop(sending);
        match result {
            Ok(response) if attempt.is_observed() => Ok(observe(response, attempt)),
            Ok(response) => Ok(response),
            Err(error) => {
                attempt.fail_with(describe(&error));
                Err(error)
            }
        }
    }
}

impl ReqwestMiddleware {
    fn begin(&self, request: &Request, extensions: &mut Extensions) -> Attempt {
        // reqwest also parses the URL as a URI, and does not send the request if that fails.
        let url = request.url();
        let uri =
            url.as_str().parse::<Uri>().or_else(|_| url.origin().ascii_serialization().parse()).unwrap_or_default();
        let head = Head::new(request.method(), &uri, request.version(), request.headers());
        let resends = extensions.get_or_insert_with(ResendCount::new).begin();
        let facts = Facts { template: extensions.get::<UrlTemplate>(), resends, inspect: None };
        Attempt::begin(head, &facts, self.settings.current())
    }
}

/// Captures a body. A body in memory stays in memory, so that the request can still be cloned.
fn capture_body(attempt: &mut Attempt, request: &mut Request) {
    if request.body().is_none() {
        return;
    }
    let Some(mut capture) = attempt.capture_request(request.headers()) else { return };
    match request.body().and_then(Body::as_bytes) {
        Some(bytes) => capture.fill(bytes),
        None => {
            let body = request.body_mut().take();
            *request.body_mut() = body.map(|body| Body::wrap(ClientRequestBody::new(body, Some(capture))));
        }
    }
}

fn observe(response: Response, mut attempt: Attempt) -> Response {
    attempt.respond(response.status(), response.version(), response.headers(), response.extensions());
    let url = response.url().clone();
    let (mut head, body) = http::Response::<Body>::from(response).into_parts();
    // The conversion into a response takes the URL from the extensions, and its type is private.
    if let Ok(carrier) = http::response::Builder::new().url(url).body(()) {
        head.extensions.extend(carrier.into_parts().0.extensions);
    }
    Response::from(http::Response::from_parts(head, Body::wrap(ClientResponseBody::new(body, attempt))))
}

fn describe(error: &Error) -> Failure {
    match error {
        Error::Reqwest(error) => failure::of_value(error, None),
        Error::Middleware(error) => failure::of_chain(&**error, OTHER),
    }
}
