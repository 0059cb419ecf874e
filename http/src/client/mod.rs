//! Clients: one span per attempt to get a response.

mod attempt;
mod extensions;
mod failure;
mod layer;
mod options;
#[cfg(feature = "reqwest-middleware")]
mod reqwest;
mod service;
mod transport;

pub use extensions::{ResendCount, UrlTemplate};
pub use layer::ClientLayer;
pub use options::{KeepsRequestBody, WrapsRequestBody};
#[cfg(feature = "reqwest-middleware")]
pub use reqwest::ReqwestMiddleware;
pub use service::{ClientFuture, ClientRequestBody, ClientResponseBody, ClientService};
