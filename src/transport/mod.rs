//! From bytes to an [`Outcome`]. The only module that opens sockets of its own accord.

mod answer;
mod cause;
mod http;
mod outcome;

pub(crate) use http::Http;
pub(crate) use outcome::{Cause, Outcome};
