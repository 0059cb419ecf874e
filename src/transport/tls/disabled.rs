//! Placeholder without the feature `tls`: each request to an `https://` endpoint fails.

use std::error::Error;

use super::connect::Connector;
use super::outcome::Cause;
use crate::config::Tls;

pub(super) type TlsConnector = Connector;

pub(super) fn connector(_connector: Connector, _tls: &Tls, _is_http2: bool) -> Result<TlsConnector, String> {
    Err("TLS is not compiled into this program".to_owned())
}

pub(super) fn cause(_error: &(dyn Error + 'static)) -> Option<Cause> {
    None
}
