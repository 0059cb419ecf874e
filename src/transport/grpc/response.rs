//! Observes a gRPC response before tonic reads it, and removes what tonic cannot handle.
//!
//! * tonic panics if `grpc-status-details-bin` is not Base64. So the header is removed and decoded here.
//! * A proxy in front of the server may answer without a gRPC status. Then the HTTP status is classified here, since
//!   tonic distinguishes fewer of them.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tonic::body::Body;

use super::super::outcome::Outcome;
use super::super::response;

pub(super) const STATUS: &str = "grpc-status";
pub(super) const DETAILS: &str = "grpc-status-details-bin";

/// The specification allows servers to omit the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The facts about a response that tonic does not pass on.
#[derive(Debug, Default)]
pub(super) struct ObservedResponse {
    /// The gRPC status as the server wrote it.
    pub(super) status: Option<String>,
    /// An encoded `google.rpc.Status`; empty if there is none, or an invalid one.
    pub(super) details: Vec<u8>,
    /// Whether the head of a response arrived.
    pub(super) has_head: bool,
    /// Whether the content type is that of gRPC.
    pub(super) is_grpc: bool,
    /// The HTTP status and what it means, if there is no gRPC status.
    pub(super) http_error: Option<(StatusCode, Outcome)>,
}

/// A handle to the [`ObservedResponse`] of one request, which the body of the response updates while it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseObserver(Arc<Mutex<ObservedResponse>>);

impl ResponseObserver {
    /// Takes the facts, which leaves the handle empty.
    pub(super) fn take(&self) -> ObservedResponse {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, ObservedResponse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the status in headers or trailers and removes its details.
    fn observe(&self, headers: &mut HeaderMap) {
        let details = headers.remove(DETAILS);
        let mut observed = self.lock();
        if let Some(status) = headers.get(STATUS) {
            observed.status = Some(String::from_utf8_lossy(status.as_bytes()).into_owned());
            observed.details = details.and_then(|details| BASE64.decode(details.as_bytes()).ok()).unwrap_or_default();
        }
    }
}

/// The error for a response that is kept in [`ObservedResponse::http_error`].
#[derive(Debug)]
struct NotGrpc;

impl std::fmt::Display for NotGrpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a response without a gRPC status")
    }
}

impl Error for NotGrpc {}

/// Prepares a response for tonic. `timeout` is that of the whole request.
///
/// # Errors
///
/// Returns an error if the response has no gRPC status.
pub(super) async fn prepare_for_tonic(
    response: Response<Incoming>,
    observer: ResponseObserver,
    timeout: Duration,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    let (mut head, body) = response.into_parts();
    observer.observe(&mut head.headers);
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    {
        let mut observed = observer.lock();
        observed.has_head = true;
        observed.is_grpc = content_type.starts_with(b"application/grpc");
    }
    if head.status.is_success() || head.headers.contains_key(STATUS) {
        return Ok(Response::from_parts(head, Body::new(ObservedBody { body, observer })));
    }
    let collected = response::read_error_body(body, timeout).await;
    // A gRPC server may send its status in the trailers.
    if collected.trailers().is_some_and(|trailers| trailers.contains_key(STATUS)) {
        return Ok(Response::from_parts(head, Body::new(ObservedBody { body: collected, observer })));
    }
    let outcome = response::classify(head.status, &head.headers, &collected.to_bytes());
    observer.lock().http_error = Some((head.status, outcome));
    Err(NotGrpc.into())
}

/// A body whose trailers are observed.
struct ObservedBody<B> {
    body: B,
    observer: ResponseObserver,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            self.observer.observe(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
