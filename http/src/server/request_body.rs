//! Captures the request body without changing its type, so that the inner service needs no change.

use http::HeaderMap;
use logbridge::HttpSettings;

use crate::shared_capture::SharedCapture;

/// Observes a body of axum. A body of another type cannot be replaced by a value of the same type.
#[cfg(feature = "axum")]
pub(super) fn observe<B: 'static>(body: &mut B, settings: &HttpSettings, headers: &HeaderMap) -> Option<SharedCapture> {
    use std::any::Any;
    use std::mem;

    use axum::body::Body;
    use http_body::Body as _;

    use crate::body::ObservedBody;
    use crate::capture::BodyCapture;

    let body = (body as &mut dyn Any).downcast_mut::<Body>().filter(|body| !body.is_end_stream())?;
    let capture = BodyCapture::new(settings, headers)?;
    let tap = SharedCapture::new(capture);
    *body = Body::new(ObservedBody::new(mem::replace(body, Body::empty()), tap.clone(), None));
    Some(tap)
}

/// Observes nothing: without axum, no type is known whose value can be replaced.
#[cfg(not(feature = "axum"))]
pub(super) fn observe<B>(_body: &mut B, _settings: &HttpSettings, _headers: &HeaderMap) -> Option<SharedCapture> {
    None
}
