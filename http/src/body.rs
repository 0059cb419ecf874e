//! A body that is observed while it is sent or received, frame by frame.

use std::fmt::{self, Display};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::capture::BodyCapture;
use crate::span::{Scope, error_type};

/// How a body ended.
#[derive(Clone, Copy)]
pub(crate) enum BodyEnd<'e> {
    /// All frames were taken.
    Complete,
    /// The body was dropped before its end.
    Dropped,
    /// The body reported an error.
    Failed { error_type: &'static str, error: &'e dyn Display },
    /// The body panicked.
    Panicked,
}

impl fmt::Debug for BodyEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "Complete",
            Self::Dropped => "Dropped",
            Self::Failed { .. } => "Failed",
            Self::Panicked => "Panicked",
        })
    }
}

/// Receives what passes through a body.
pub(crate) trait BodyObserver {
    /// Returns the scope that the body is polled in.
    fn scope(&self) -> Option<&Scope> {
        None
    }

    /// Returns whether [`with_capture`](Self::with_capture) does anything.
    fn is_capturing(&self) -> bool;

    /// Calls `work` with the capture of this body, if there is one.
    fn with_capture(&mut self, work: impl FnOnce(&mut BodyCapture));

    fn trailers(&mut self, trailers: &HeaderMap) {
        let _ = trailers;
    }

    /// Called instead of [`ended`](Self::ended) if the body reported an error.
    fn failed<E: Display + 'static>(&mut self, error: &E) {
        self.ended(BodyEnd::Failed { error_type: error_type::<E>(), error });
    }

    /// Called exactly once, unless [`failed`](Self::failed) is called.
    fn ended(&mut self, end: BodyEnd<'_>);
}

pin_project! {
    /// Passes every frame of a body unchanged, and shows it to an observer.
    #[derive(Debug)]
    pub(crate) struct ObservedBody<B, O: BodyObserver> {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<B>,
        watch: Watch<O>,
    }

    impl<B, O: BodyObserver> PinnedDrop for ObservedBody<B, O> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Records that the body writes while it is dropped belong to the span as well.
            let _entered = this.watch.observer.as_ref().and_then(BodyObserver::scope).map(Scope::enter);
            this.inner.set(None);
        }
    }
}

impl<B: Body, O: BodyObserver> ObservedBody<B, O> {
    /// Wraps a body. `expected` is its length in bytes if the headers tell it. A server may drop such a body without
    /// asking for its end.
    pub(crate) fn new(inner: B, observer: O, expected: Option<u64>) -> Self {
        let expected = expected.or_else(|| inner.size_hint().exact());
        let mut watch = Watch { observer: Some(observer), count: 0, expected, is_polling: false };
        if inner.is_end_stream() {
            watch.end(BodyEnd::Complete);
        }
        Self { inner: Some(inner), watch }
    }

    /// Wraps a body that has no observer, so that both kinds have the same type.
    pub(crate) fn unobserved(inner: B) -> Self {
        Self { inner: Some(inner), watch: Watch { observer: None, count: 0, expected: None, is_polling: false } }
    }
}

impl<B, O> Body for ObservedBody<B, O>
where
    B: Body<Error: Display + 'static>,
    O: BodyObserver,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let watch = this.watch;
        watch.is_polling = true;
        let polled = {
            let _entered = watch.observer.as_ref().and_then(BodyObserver::scope).map(Scope::enter);
            inner.as_mut().poll_frame(cx)
        };
        watch.is_polling = false;
        let frame = ready!(polled);
        match &frame {
            None => watch.end(BodyEnd::Complete),
            Some(Err(error)) => {
                if let Some(mut observer) = watch.observer.take() {
                    observer.failed(error);
                }
            }
            Some(Ok(frame)) => {
                watch.frame(frame);
                if inner.is_end_stream() {
                    watch.end(BodyEnd::Complete);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// The observer until the body has ended.
#[derive(Debug)]
struct Watch<O: BodyObserver> {
    observer: Option<O>,
    count: u64,
    expected: Option<u64>,
    /// Stays set if the body panics.
    is_polling: bool,
}

impl<O: BodyObserver> Watch<O> {
    fn frame<D: Buf>(&mut self, frame: &Frame<D>) {
        let Some(observer) = &mut self.observer else { return };
        if let Some(data) = frame.data_ref() {
            self.count += data.remaining() as u64;
            if observer.is_capturing() {
                observer.with_capture(|capture| add_to_capture(capture, data));
            }
        }
        if let Some(trailers) = frame.trailers_ref() {
            observer.trailers(trailers);
            // A body is not polled again after its trailers.
            self.end(BodyEnd::Complete);
        }
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        if let Some(mut observer) = self.observer.take() {
            if let BodyEnd::Complete = end {
                observer.with_capture(BodyCapture::complete);
            }
            observer.ended(end);
        }
    }
}

/// Adds the data of a frame to a capture. The frame cannot be copied or advanced, and may show only its beginning.
fn add_to_capture(capture: &mut BodyCapture, data: &impl Buf) {
    let mut chunks = [IoSlice::new(&[]); 16];
    let filled = data.chunks_vectored(&mut chunks);
    let mut added = 0;
    for chunk in chunks.iter().take(filled) {
        capture.push(chunk);
        added += chunk.len();
    }
    if added < data.remaining() {
        capture.stop();
    }
}

impl<O: BodyObserver> Drop for Watch<O> {
    fn drop(&mut self) {
        let is_complete = self.expected.is_some_and(|expected| self.count >= expected);
        self.end(match self.is_polling {
            true => BodyEnd::Panicked,
            false if is_complete => BodyEnd::Complete,
            false => BodyEnd::Dropped,
        });
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use logbridge::{HttpSettings, NetworkCapture};

    use super::*;

    /// Data in two parts, of which only the first is shown.
    struct Halves(&'static [u8], &'static [u8]);

    impl Buf for Halves {
        fn remaining(&self) -> usize {
            self.0.len() + self.1.len()
        }

        fn chunk(&self) -> &[u8] {
            if self.0.is_empty() { self.1 } else { self.0 }
        }

        fn advance(&mut self, _count: usize) {}
    }

    #[test]
    fn a_frame_that_shows_only_its_beginning_ends_the_capture() {
        let settings = HttpSettings::default().with_capture(NetworkCapture::all());
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        let mut capture = BodyCapture::new(&settings, &headers).unwrap();
        add_to_capture(&mut capture, &Halves(b"a", b""));
        add_to_capture(&mut capture, &Halves(b" b https://me", b":hunter2@host"));
        add_to_capture(&mut capture, &&b" later"[..]);
        capture.complete();
        assert_eq!(capture.finish().unwrap(), "a b https://[redacted]");
    }
}
