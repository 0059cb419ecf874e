//! The service, its future, and its bodies.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::attempt::{Attempt, Facts};
use super::extensions::{ResendCount, UrlTemplate};
use super::options::{KeepsRequestBody, Options, WrapsRequestBody};
use crate::body::ObservedBody;
use crate::request::Head;
use crate::shared_capture::SharedCapture;

/// The service of a [`ClientLayer`](crate::ClientLayer).
pub struct ClientService<S, M = KeepsRequestBody> {
    inner: S,
    options: Arc<Options>,
    mode: PhantomData<M>,
}

impl<S, M> ClientService<S, M> {
    pub(super) fn new(inner: S, options: Arc<Options>) -> Self {
        Self { inner, options, mode: PhantomData }
    }

    /// Starts an attempt, and writes its context into the request.
    fn begin<B>(&self, request: &mut Request<B>) -> Attempt {
        let extensions = request.extensions();
        let facts = Facts {
            template: extensions.get::<UrlTemplate>(),
            resends: extensions.get::<ResendCount>().map_or(0, ResendCount::begin),
            inspect: self.options.inspect,
        };
        let attempt = Attempt::begin(Head::of_request(request), &facts, self.options.settings.current());
        attempt.inject(request.headers_mut());
        attempt
    }
}

impl<S: Clone, M> Clone for ClientService<S, M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), options: Arc::clone(&self.options), mode: PhantomData }
    }
}

impl<S: fmt::Debug, M> fmt::Debug for ClientService<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for ClientService<S, KeepsRequestBody>
where
    S: Service<Request<B>, Response = Response<R>, Error: Display + 'static>,
    R: Body,
{
    type Response = Response<ClientResponseBody<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let mut attempt = self.begin(&mut request);
        let inner = attempt.run(|| self.inner.call(request));
        ClientFuture::new(inner, attempt)
    }
}

impl<S, B, R> Service<Request<B>> for ClientService<S, WrapsRequestBody>
where
    S: Service<Request<ClientRequestBody<B>>, Response = Response<R>, Error: Display + 'static>,
    B: Body,
    R: Body,
{
    type Response = Response<ClientResponseBody<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let mut attempt = self.begin(&mut request);
        let capture = attempt.capture_request(request.headers());
        let request = request.map(|body| ClientRequestBody::new(body, capture));
        let inner = attempt.run(|| self.inner.call(request));
        ClientFuture::new(inner, attempt)
    }
}

pin_project! {
    /// The future of a [`ClientService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ClientFuture<F> {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<F>,
        attempt: Option<Attempt>,
    }

    impl<F> PinnedDrop for ClientFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Records that the transport writes while it is cancelled belong to the span as well.
            let _entered = this.attempt.as_ref().map(|attempt| attempt.scope().enter());
            this.inner.set(None);
        }
    }
}

impl<F> ClientFuture<F> {
    fn new(inner: F, attempt: Attempt) -> Self {
        Self { inner: Some(inner), attempt: Some(attempt) }
    }
}

impl<F> fmt::Debug for ClientFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Display + 'static,
    R: Body,
{
    type Output = Result<Response<ClientResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let output = ready!(match this.attempt {
            Some(attempt) => attempt.run(|| inner.poll(cx)),
            None => inner.poll(cx),
        });
        let attempt = this.attempt.take();
        Poll::Ready(match output {
            Ok(response) => Ok(observe(response, attempt)),
            Err(error) => {
                if let Some(attempt) = attempt {
                    attempt.fail(&error);
                }
                Err(error)
            }
        })
    }
}

fn observe<R: Body>(response: Response<R>, attempt: Option<Attempt>) -> Response<ClientResponseBody<R>> {
    let (head, body) = response.into_parts();
    let body = match attempt {
        Some(mut attempt) => {
            attempt.respond(head.status, head.version, &head.headers, &head.extensions);
            ClientResponseBody::new(body, attempt)
        }
        None => ClientResponseBody { inner: ObservedBody::unobserved(body) },
    };
    Response::from_parts(head, body)
}

pin_project! {
    /// A response body that ends the client span at its end. Data, trailers, errors and size hints pass unchanged.
    pub struct ClientResponseBody<B> {
        #[pin]
        inner: ObservedBody<B, Attempt>,
    }
}

pin_project! {
    /// A request body that may be captured while it is sent. Data, trailers, errors and size hints pass unchanged.
    pub struct ClientRequestBody<B> {
        #[pin]
        inner: ObservedBody<B, SharedCapture>,
    }
}

impl<B: Body> ClientRequestBody<B> {
    pub(super) fn new(body: B, capture: Option<SharedCapture>) -> Self {
        Self {
            inner: match capture {
                Some(capture) => ObservedBody::new(body, capture, None),
                None => ObservedBody::unobserved(body),
            },
        }
    }
}

impl<B: Body> ClientResponseBody<B> {
    pub(super) fn new(body: B, attempt: Attempt) -> Self {
        Self { inner: ObservedBody::new(body, attempt, None) }
    }
}

macro_rules! forward_body {
    ($name:ident) => {
        impl<B: Body<Error: Display + 'static>> Body for $name<B> {
            type Data = B::Data;
            type Error = B::Error;

            fn poll_frame(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
                self.project().inner.poll_frame(cx)
            }

            fn is_end_stream(&self) -> bool {
                self.inner.is_end_stream()
            }

            fn size_hint(&self) -> SizeHint {
                self.inner.size_hint()
            }
        }

        impl<B> fmt::Debug for $name<B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

forward_body!(ClientRequestBody);
forward_body!(ClientResponseBody);
