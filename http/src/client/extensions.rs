//! What the application can say about a request, in the extensions of the request.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The template of a request's path, such as `/users/{id}`. It becomes part of the span's name, and `url.template`.
///
/// Without a template, a client span is named after the method only, because paths have too many values.
/// Insert it into the extensions of an `http::Request`, or pass it to
/// `reqwest_middleware::RequestBuilder::with_extension`.
///
/// ```
/// use logbridge_http::UrlTemplate;
///
/// let mut request = http::Request::get("https://api.example/users/7").body(())?;
/// request.extensions_mut().insert(UrlTemplate::new("/users/{id}"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "insert it into the extensions of a request"]
pub struct UrlTemplate(Cow<'static, str>);

impl UrlTemplate {
    /// Creates a template. Its text must not depend on the values in the path.
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(template.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Counts the attempts of one request, for `http.request.resend_count`. Clones share the count.
///
/// `ReqwestMiddleware` counts by itself if it is inside the retry middleware: all attempts have the same extensions.
/// `tower::retry` clones a request before [`ClientService`](crate::ClientService) sees it, so the counter must be in
/// the extensions before:
///
/// ```
/// use http::Request;
/// use logbridge_http::{ClientLayer, ResendCount};
/// use tower::ServiceBuilder;
/// use tower::retry::RetryLayer;
///
/// # fn wrap<S, P: Clone>(policy: P, client: S) {
/// let client = ServiceBuilder::new()
///     .map_request(|mut request: Request<String>| {
///         request.extensions_mut().insert(ResendCount::new());
///         request
///     })
///     .layer(RetryLayer::new(policy))
///     .layer(ClientLayer::new())
///     .service(client);
/// # }
/// ```
///
/// The policy must clone the extensions, as `Request::clone` does. Without a counter, the spans of the attempts have no
/// number.
#[derive(Clone, Debug, Default)]
pub struct ResendCount(Arc<AtomicU32>);

impl ResendCount {
    /// Creates a counter for a request that has not been sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many attempts have begun.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts an attempt. Returns how many attempts were before it.
    pub(super) fn begin(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
