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
        #[pin]
        inner: F,
        place: Place,
    }
}

/// Where the layer is.
#[derive(Debug)]
enum Place {
    /// Outside. `None` after the response.
    Outside(Option<Exchange>),
    /// Inside of another one, which may not know the route.
    Inside(Option<Route>),
}

impl<F> ServerFuture<F> {
    pub(super) fn new(inner: F, exchange: Exchange) -> Self {
        Self { inner, place: Place::Outside(Some(exchange)) }
    }

    pub(super) fn nested(inner: F, route: Option<String>) -> Self {
        Self { inner, place: Place::Inside(route.map(Route)) }
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
        let inner = this.inner;
        let (result, exchange) = match this.place {
            Place::Inside(route) => {
                let mut result = ready!(inner.poll(cx));
                if let (Ok(response), Some(route)) = (&mut result, route.take()) {
                    let _replaced = response.extensions_mut().insert(route);
                }
                (result, None)
            }
            Place::Outside(exchange) => {
                let result = match exchange {
                    Some(exchange) => ready!(exchange.run(|| inner.poll(cx))),
                    None => ready!(inner.poll(cx)),
                };
                (result, exchange.take())
            }
        };
        Poll::Ready(match result {
            Ok(response) => Ok(ServerBody::of_response(response, exchange)),
            Err(error) => {
                if let Some(mut exchange) = exchange {
                    exchange.fail(&error);
                }
                Err(error)
            }
        })
    }
}
