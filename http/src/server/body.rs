//! The response body.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::Exchange;
use crate::body::ObservedBody;

pin_project! {
    /// The response body of [`ServerService`](crate::ServerService). It passes every frame unchanged, and ends the
    /// span when it ends or is dropped.
    #[derive(Debug)]
    pub struct ServerBody<B> {
        #[pin]
        inner: ObservedBody<B, Exchange>,
    }
}

impl<B: Body> ServerBody<B> {
    /// Wraps the body of a response. Without an exchange, the body is not observed.
    pub(super) fn of_response(mut response: Response<B>, exchange: Option<Exchange>) -> Response<Self> {
        let Some(mut exchange) = exchange else {
            return response.map(|body| Self { inner: ObservedBody::unobserved(body) });
        };
        let expected = exchange.respond(&mut response);
        response.map(|body| Self { inner: ObservedBody::new(body, exchange, expected) })
    }
}

impl<B: Body<Error: Display + 'static>> Body for ServerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
