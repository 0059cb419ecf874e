//! What hyper-util says about connections. This package opens none.

use std::net::SocketAddr;

use http::Extensions;
pub(super) use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::HttpInfo;

/// Returns the address that a response came from.
pub(super) fn peer(response: &Extensions) -> Option<SocketAddr> {
    response.get::<HttpInfo>().map(HttpInfo::remote_addr)
}
