//! The capture of a request body, shared by the span of the request and by whoever sends or reads the body.

use std::sync::{Arc, Mutex, PoisonError};

use crate::body::{BodyEnd, BodyObserver};
use crate::capture::BodyCapture;

/// The first bytes of a request body, which may still be sent or read when the response ends.
#[derive(Clone)]
pub(crate) struct SharedCapture(Arc<Mutex<Option<BodyCapture>>>);

impl SharedCapture {
    pub(crate) fn new(capture: BodyCapture) -> Self {
        Self(Arc::new(Mutex::new(Some(capture))))
    }

    /// Captures a whole body.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn fill(&mut self, data: &[u8]) {
        self.with_capture(|capture| {
            capture.push(data);
            capture.complete();
        });
    }

    /// Returns the text so far. Later data is ignored.
    pub(crate) fn finish(&self) -> Option<String> {
        let capture = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        capture.and_then(BodyCapture::finish)
    }
}

impl BodyObserver for SharedCapture {
    fn is_capturing(&self) -> bool {
        true
    }

    fn with_capture(&mut self, work: impl FnOnce(&mut BodyCapture)) {
        if let Some(capture) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            work(capture);
        }
    }

    fn ended(&mut self, _: BodyEnd<'_>) {}
}
