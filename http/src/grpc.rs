//! gRPC over HTTP: how it is recognized, and the meaning of `grpc-status`.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use crate::span::Failure;

const STATUS: &str = "grpc-status";

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The value of `grpc-status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GrpcStatus(u32);

impl GrpcStatus {
    pub(crate) const UNIMPLEMENTED: Self = Self(12);

    /// Reads the status from trailers, or from the headers of a response without body.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        headers.get(STATUS)?.to_str().ok()?.trim().parse().ok().map(Self)
    }

    /// Returns the name, or the number of an unknown status.
    pub(crate) fn name(self) -> Cow<'static, str> {
        match NAMES.get(self.0 as usize) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.0.to_string()),
        }
    }

    /// Returns whether the status is a fault of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
    /// UNAVAILABLE or DATA_LOSS. At a client, every status except OK is an error.
    pub(crate) fn is_server_error(self) -> bool {
        matches!(self.0, 2 | 4 | 12..=15)
    }

    pub(crate) fn is_ok(self) -> bool {
        self.0 == 0
    }
}

/// Returns the failure of a response that has ended without `grpc-status`. With another status than 200, something that
/// does not speak gRPC has answered, for instance with 404 or 503.
pub(crate) fn without_status(status: Option<StatusCode>) -> Failure {
    match status {
        Some(status) if status != StatusCode::OK => Failure::status(status.as_str().to_owned().into()),
        _ => Failure::new("missing_grpc_status", "the response ended without `grpc-status`"),
    }
}

/// Returns whether a request is a gRPC call. gRPC-Web is not: it has its trailers in the body.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let Some(rest) = headers.get(CONTENT_TYPE).and_then(|value| {
        let (start, rest) = value.as_bytes().split_at_checked(PREFIX.len())?;
        start.eq_ignore_ascii_case(PREFIX).then_some(rest)
    }) else {
        return false;
    };
    rest.first().is_none_or(|next| matches!(next, b'+' | b';' | b' '))
}

/// Returns the full name of the method that a path calls: `package.Service/Method`.
pub(crate) fn method(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn grpc_is_recognized_by_its_content_type() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/GRPC; charset=utf-8"] {
            assert!(is_grpc(&headers("content-type", yes)), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grp", ""] {
            assert!(!is_grpc(&headers("content-type", no)), "{no}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn statuses_have_names_and_only_faults_of_the_server_are_errors() {
        let read = |text| GrpcStatus::read(&headers("grpc-status", text));
        assert_eq!(read("0").map(GrpcStatus::name).as_deref(), Some("OK"));
        assert_eq!(read("16").map(GrpcStatus::name).as_deref(), Some("UNAUTHENTICATED"));
        assert_eq!(read("99").map(GrpcStatus::name).as_deref(), Some("99"));
        assert_eq!(read("OK"), None);
        let errors: Vec<_> = (0..=17).filter(|number| GrpcStatus(*number).is_server_error()).collect();
        assert_eq!(errors, [2, 4, 12, 13, 14, 15]);
        assert!(read("0").is_some_and(GrpcStatus::is_ok));
        assert_eq!(method("/shop.Orders/Place"), "shop.Orders/Place");
    }
}
