//! The path from the outbox to an endpoint: requests, outcomes, retries, splitting, overload, and every transport.

#![allow(clippy::expect_used)] // A test may panic.

mod faults;
mod flush;
mod grpc;
mod overload;
mod requests;
mod server;
mod split;
mod tls;
mod transports;
mod undelivered;
