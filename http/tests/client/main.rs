//! Clients against real servers: `ReqwestMiddleware` and `ClientLayer`, with logbridge installed once for all tests.
//!
//! Each test runs in a trace of its own, and looks only at the spans of that trace.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test may panic.

mod capture;
mod conventions;
mod errors;
mod grpc;
mod plain_codec;
mod propagation;
mod retries;
mod support;
mod tower_client;
mod transparency;
