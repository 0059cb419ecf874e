//! From bytes to an [`Outcome`]. The only module that opens sockets of its own accord.

mod answer;
mod cause;
mod http;
mod outcome;
#[cfg(not(feature = "tls"))]
#[path = "tls/disabled.rs"]
mod tls;
#[cfg(feature = "tls")]
#[path = "tls/enabled.rs"]
mod tls;

pub(crate) use http::Http;
pub(crate) use outcome::{Cause, Outcome};
