//! Captures the request body without changing its type, so that the inner service needs no change.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use logbridge::HttpSettings;

use crate::body::{BodyEnd, BodyObserver};
use crate::capture::BodyCapture;

/// The first bytes of a request body, which the handler may still be reading when the response ends.
#[derive(Clone)]
pub(super) struct RequestCapture {
    capture: Arc<Mutex<Option<BodyCapture>>>,
}

impl RequestCapture {
    /// Returns the text read so far. Later data is ignored.
    pub(super) fn finish(&self) -> Option<String> {
        let capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner).take();
        capture.and_then(BodyCapture::finish)
    }
}

impl BodyObserver for RequestCapture {
    fn is_capturing(&self) -> bool {
        true
    }

    fn with_capture(&mut self, work: impl FnOnce(&mut BodyCapture)) {
        if let Some(capture) = &mut *self.capture.lock().unwrap_or_else(PoisonError::into_inner) {
            work(capture);
        }
    }

    fn ended(&mut self, _end: BodyEnd<'_>) {}
}

/// Observes a body of axum. A body of another type cannot be replaced by a value of the same type.
#[cfg(feature = "axum")]
pub(super) fn observe<B: 'static>(
    body: &mut B,
    settings: &HttpSettings,
    headers: &HeaderMap,
) -> Option<RequestCapture> {
    use std::any::Any;
    use std::mem;

    use axum::body::Body;
    use http_body::Body as _;

    use crate::body::ObservedBody;

    let body = (body as &mut dyn Any).downcast_mut::<Body>().filter(|body| !body.is_end_stream())?;
    let capture = BodyCapture::new(settings, headers)?;
    let tap = RequestCapture { capture: Arc::new(Mutex::new(Some(capture))) };
    *body = Body::new(ObservedBody::new(mem::replace(body, Body::empty()), tap.clone(), None));
    Some(tap)
}

/// Observes nothing: without axum, no type is known whose value can be replaced.
#[cfg(not(feature = "axum"))]
pub(super) fn observe<B>(_body: &mut B, _settings: &HttpSettings, _headers: &HeaderMap) -> Option<RequestCapture> {
    None
}
