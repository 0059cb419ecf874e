//! The layer for servers.

mod body;
mod exchange;
mod future;
mod layer;
mod log_event;
mod options;
mod request_body;
mod request_span;
mod service;

pub use body::ServerBody;
pub use future::ServerFuture;
pub use layer::ServerLayer;
pub use request_span::{record_response, request_span};
pub use service::ServerService;
