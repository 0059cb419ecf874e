//! The service: opens the exchange of each request.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ServerBody;
use super::exchange::Exchange;
use super::future::ServerFuture;
use super::options::Options;

/// The service that [`ServerLayer`](crate::ServerLayer) makes.
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
    options: Arc<Options>,
}

impl<S> ServerService<S> {
    pub(super) fn new(inner: S, options: Arc<Options>) -> Self {
        Self { inner, options }
    }
}

/// Marks a request that has an exchange, so that a layer further inside makes no second one.
#[derive(Clone, Copy, Debug)]
struct HasExchange;

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Display>,
    B: 'static,
    R: Body<Error: Display + 'static>,
{
    type Response = Response<ServerBody<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, mut body) = request.into_parts();
        if parts.extensions.get::<HasExchange>().is_some() {
            let route = self.options.route(&parts).map(Cow::into_owned);
            return ServerFuture::nested(self.inner.call(Request::from_parts(parts, body)), route);
        }
        let mut exchange = Exchange::open(&self.options, &parts);
        exchange.observe_request(&parts.headers, &mut body);
        let _first = parts.extensions.insert(HasExchange);
        let inner = &mut self.inner;
        let future = exchange.run(|| inner.call(Request::from_parts(parts, body)));
        ServerFuture::new(future, exchange)
    }
}
