//! The paths and content types of OTLP over HTTP.

use crate::signal::Signal;

pub(super) const PROTOBUF: &str = "application/x-protobuf";
pub(super) const JSON: &str = "application/json";

/// The format in which a request came and in which its answer has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Protobuf,
}

impl Format {
    /// The format that a `content-type` header names; its parameters do not matter.
    pub(super) fn from_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(PROTOBUF) {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(JSON) {
            Some(Self::Json)
        } else {
            None
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
        }
    }
}

/// What a request to that path carries.
pub(super) fn signal_of(path: &str) -> Option<Signal> {
    [Signal::Logs, Signal::Traces].into_iter().find(|signal| path_of(*signal) == path)
}

/// Where requests of this signal go.
pub(super) fn path_of(signal: Signal) -> String {
    format!("/v1/{}", signal.path())
}

/// What a request of this signal is made of, in words.
pub(super) fn content_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "log records",
        Signal::Traces => "spans",
    }
}
