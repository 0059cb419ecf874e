//! The time between a request and its response.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::ServerBody;
use super::exchange::{Exchange, Route};

pin_project! {
    /// The future that [`ServerService`](crate::ServerService) returns.
    #[derive(Debug)]
    pub struct ServerFuture<F> {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<F>,
        // `None` in a layer inside another one, and after the response.
        exchange: Option<Exchange>,
        // The route that a layer inside another one passes to it with the response.
        route: Option<Route>,
    }

    impl<F> PinnedDrop for ServerFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Records that the handler writes while it is cancelled belong to the span as well.
            let _entered = this.exchange.as_ref().map(Exchange::enter);
            this.inner.set(None);
        }
    }
}

impl<F> ServerFuture<F> {
    pub(super) fn new(inner: F, exchange: Exchange) -> Self {
        Self { inner: Some(inner), exchange: Some(exchange), route: None }
    }

    pub(super) fn nested(inner: F, route: Option<String>) -> Self {
        Self { inner: Some(inner), exchange: None, route: route.map(Route) }
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Error: Display + 'static>,
    E: Display,
{
    type Output = Result<Response<ServerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let result = match this.exchange {
            Some(exchange) => ready!(exchange.run(|| inner.poll(cx))),
            None => ready!(inner.poll(cx)),
        };
        let exchange = this.exchange.take();
        let route = this.route.take();
        Poll::Ready(match result {
            Ok(mut response) => {
                if let Some(route) = route {
                    let _replaced = response.extensions_mut().insert(route);
                }
                Ok(ServerBody::of_response(response, exchange))
            }
            Err(error) => {
                if let Some(mut exchange) = exchange {
                    exchange.fail(&error);
                }
                Err(error)
            }
        })
    }
}
