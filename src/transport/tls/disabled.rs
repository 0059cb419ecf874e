//! Without the feature `tls`, an `https://` endpoint cannot be reached, and each request says so.

use std::error::Error;

use hyper_util::client::legacy::connect::HttpConnector;

use super::outcome::Cause;
use crate::config::Tls;

pub(super) type TlsConnector = HttpConnector;

pub(super) fn connector(_http: HttpConnector, _tls: &Tls) -> Result<TlsConnector, String> {
    Err("TLS is not compiled into this program: switch on the feature `tls` of logbridge".to_owned())
}

pub(super) fn cause(_error: &(dyn Error + 'static)) -> Option<Cause> {
    None
}
