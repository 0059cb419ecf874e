//! Received requests, for tests of how a client behaves.

use std::fmt;
use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::request::Parts;

/// A request that a [`Receiver`](super::Receiver) has read, whatever the answer was.
///
/// `Debug` shows only the names of headers, because their values may be secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The method, such as `POST`.
    pub method: String,
    /// The path without the query, such as `/v1/logs` or `/v1/traces`.
    pub path: String,
    /// All headers in order, with names in lowercase. Bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The `content-type` header, or empty if absent.
    pub content_type: String,
    /// The length of the body in bytes, before decompression.
    pub body_bytes: usize,
    /// The number of records, or of spans at `/v1/traces`. 0 if the request could not be decoded.
    pub records: usize,
    /// Whether the records or spans were stored.
    pub stored: bool,
    /// The status of the answer. `None` if the connection was closed or reset without an answer.
    pub status: Option<u16>,
    /// The number of the connection, counted from 1. Requests on one kept-alive connection have the same number.
    pub connection: usize,
    /// The time at which the request had arrived completely.
    pub arrived: Instant,
}

impl ReceivedRequest {
    pub(super) fn new(head: &Parts, body_bytes: usize, connection: usize) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            content_type: head.headers.get(CONTENT_TYPE).map(|value| text(value.as_bytes())).unwrap_or_default(),
            body_bytes,
            records: 0,
            stored: false,
            status: None,
            connection,
            arrived: Instant::now(),
        }
    }

    /// Returns the value of the first header with this name, ignoring case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ReceivedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &names)
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body_bytes)
            .field("records", &self.records)
            .field("stored", &self.stored)
            .field("status", &self.status)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
