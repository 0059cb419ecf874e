//! An answer on its way to tonic: what tonic does not hand on is kept, and what it cannot bear is taken out.
//!
//! Constraints:
//! * tonic panics where `grpc-status-details-bin` is not base64, so it never sees that header; the details are read here.
//! * Where somebody in front of the server answers in HTTP's own words, without a status of gRPC, those words count: tonic
//!   knows fewer of them.

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

/// The specification lets servers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What was seen of an answer, whatever tonic makes of it.
#[derive(Debug, Default)]
pub(super) struct ObservedResponse {
    /// The status as the server wrote it.
    pub(super) status: Option<String>,
    /// A `google.rpc.Status`, where there is one that can be read.
    pub(super) details: Vec<u8>,
    /// Whether there is an answer at all: its head arrived.
    pub(super) has_head: bool,
    /// Whether it calls itself an answer of gRPC.
    pub(super) is_grpc: bool,
    /// The status of HTTP and its body, where there is no status of gRPC.
    pub(super) refusal: Option<(StatusCode, Outcome)>,
}

/// What was seen so far: the body of an answer goes on writing it.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseObserver(Arc<Mutex<ObservedResponse>>);

impl ResponseObserver {
    /// What was seen: nothing is after this.
    pub(super) fn take(&self) -> ObservedResponse {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, ObservedResponse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Headers or trailers.
    fn note(&self, headers: &mut HeaderMap) {
        let details = headers.remove(DETAILS);
        let mut seen = self.lock();
        if let Some(status) = headers.get(STATUS) {
            seen.status = Some(String::from_utf8_lossy(status.as_bytes()).into_owned());
            seen.details = details.and_then(|details| BASE64.decode(details.as_bytes()).ok()).unwrap_or_default();
        }
    }
}

/// Stands for an answer that is kept in [`ObservedResponse::refusal`].
#[derive(Debug)]
struct NotGrpc;

impl std::fmt::Display for NotGrpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an answer without a status of gRPC")
    }
}

impl Error for NotGrpc {}

/// The answer as tonic can read it; `Err` where it is none of gRPC. `timeout` is that of the whole request.
pub(super) async fn prepare_for_tonic(
    answer: Response<Incoming>,
    observer: ResponseObserver,
    timeout: Duration,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    let (mut head, body) = answer.into_parts();
    observer.note(&mut head.headers);
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    {
        let mut seen = observer.lock();
        seen.has_head = true;
        seen.is_grpc = content_type.starts_with(b"application/grpc");
    }
    if head.status.is_success() || head.headers.contains_key(STATUS) {
        return Ok(Response::from_parts(head, Body::new(ObservedBody { body, observer })));
    }
    let collected = response::read_error_body(body, timeout).await;
    // A server of gRPC may say so at the end.
    if collected.trailers().is_some_and(|trailers| trailers.contains_key(STATUS)) {
        return Ok(Response::from_parts(head, Body::new(ObservedBody { body: collected, observer })));
    }
    let outcome = response::classify(head.status, &head.headers, &collected.to_bytes());
    observer.lock().refusal = Some((head.status, outcome));
    Err(NotGrpc.into())
}

/// A body whose trailers tonic can read.
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
            self.observer.note(trailers);
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
