// The README shows complete programs.
#![allow(clippy::needless_doctest_main)]
#![doc = include_str!("../README.md")]

mod body;
mod capture;
mod client;
mod grpc;
mod guard;
mod metrics;
mod request;
mod semconv;
mod server;
mod settings;
mod shared_capture;
mod span;

#[cfg(feature = "reqwest-middleware")]
pub use client::ReqwestMiddleware;
pub use client::{
    ClientFuture, ClientLayer, ClientRequestBody, ClientResponseBody, ClientService, KeepsRequestBody, ResendCount,
    UrlTemplate, WrapsRequestBody,
};
pub use server::{ServerBody, ServerFuture, ServerLayer, ServerService, record_response, request_span};

/// The target of the spans that [`ServerLayer`] and [`request_span`] make.
///
/// logbridge does not export the span of `tower_http::trace::TraceLayer` inside a span with this target.
pub const SERVER_TARGET: &str = "logbridge_http::server";
/// The target of the spans that [`ClientLayer`] and `ReqwestMiddleware` make.
pub const CLIENT_TARGET: &str = "logbridge_http::client";
