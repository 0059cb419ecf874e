//! The settings of a layer, and whether it wraps request bodies.

use super::failure::Inspect;
use crate::settings::Settings;

#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) settings: Settings,
    pub(super) inspect: Option<Inspect>,
}

/// The service inside of a [`ClientLayer`](crate::ClientLayer) gets the request body as it is. The default.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeepsRequestBody;

/// The service inside of a [`ClientLayer`](crate::ClientLayer) gets a
/// [`ClientRequestBody`](crate::ClientRequestBody).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WrapsRequestBody;
