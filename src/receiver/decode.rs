//! Reads a request, or says why it cannot be read.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as ProtoMessage;
use serde::de::DeserializeOwned;

use super::wire::{Format, JSON, PROTOBUF, content_of, path_of, signal_of};
use super::{json, record, span};
use crate::signal::Signal;
use crate::transport::decompress;

/// What a request held.
#[derive(Debug)]
pub(super) enum Message {
    Logs(ExportLogsServiceRequest),
    Traces(ExportTraceServiceRequest),
}

impl Message {
    pub(super) fn signal(&self) -> Signal {
        match self {
            Self::Logs(_) => Signal::Logs,
            Self::Traces(_) => Signal::Traces,
        }
    }
}

impl Message {
    /// Whether the body of any record, or the name of any span, contains this text.
    pub(super) fn contains(&self, text: &str) -> bool {
        match self {
            Self::Logs(logs) => record::records(logs).iter().any(|log| log.message().contains(text)),
            Self::Traces(traces) => span::spans(traces).iter().any(|span| span.name.contains(text)),
        }
    }
}

/// Why a request could not be read.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

pub(super) fn decode(head: &Parts, body: Bytes) -> Result<(Format, Message), Refusal> {
    let refuse = |status, why| Err(Refusal { status, why });
    let Some(signal) = signal_of(head.uri.path()) else {
        let [logs, traces] = [Signal::Logs, Signal::Traces].map(path_of);
        let why = format!("nothing at `{}`; log records go to `{logs}`, spans to `{traces}`", head.uri.path());
        return refuse(StatusCode::NOT_FOUND, why);
    };
    let content = content_of(signal);
    if head.method != Method::POST {
        let why = format!("`{}` is no way to send {content}; POST is", head.method);
        return refuse(StatusCode::METHOD_NOT_ALLOWED, why);
    }
    let encoding = header(&head.headers, CONTENT_ENCODING);
    let body = match plain(encoding, body) {
        Ok(body) => body,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let why = format!("content-encoding `{encoding}` is not supported here; send it plain");
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
        }
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("no {encoding}: {error}")),
    };
    let content_type = header(&head.headers, CONTENT_TYPE);
    let Some(format) = Format::from_content_type(content_type) else {
        let why = format!("content-type `{content_type}` is neither `{PROTOBUF}` nor `{JSON}`");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    };
    let message = match signal {
        Signal::Logs => read(format, body).map(Message::Logs),
        Signal::Traces => read(format, body).map(Message::Traces),
    };
    match message {
        Ok(message) => Ok((format, message)),
        Err(error) => refuse(StatusCode::BAD_REQUEST, format!("no {content}: {error}")),
    }
}

fn read<M: ProtoMessage + Default + DeserializeOwned>(format: Format, body: Bytes) -> Result<M, String> {
    match format {
        Format::Json => json::decode(&body).map_err(|error| error.to_string()),
        Format::Protobuf => M::decode(body).map_err(|error| error.to_string()),
    }
}

fn plain(encoding: &str, body: Bytes) -> io::Result<Bytes> {
    match encoding {
        "" | "identity" => Ok(body),
        encoding => decompress(encoding, &body).map(Bytes::from),
    }
}

/// The header's text; empty when it is absent or no text.
fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
