//! Reads a request, or says why it cannot be read.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as ProtoMessage;
use serde::de::DeserializeOwned;

use super::wire::{Content, Format, JSON, PROTOBUF};
use super::{json, metric, record, span};
use crate::transport::decompress;

/// What a request held.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Traces(ExportTraceServiceRequest),
}

impl Message {
    pub(crate) fn content(&self) -> Content {
        match self {
            Self::Logs(_) => Content::Logs,
            Self::Metrics(_) => Content::Metrics,
            Self::Traces(_) => Content::Traces,
        }
    }
}

impl Message {
    /// Whether the body of any record, or the name of any span or metric, contains this text.
    pub(super) fn contains(&self, text: &str) -> bool {
        match self {
            Self::Logs(logs) => record::records(logs).iter().any(|log| log.message().contains(text)),
            Self::Metrics(metrics) => metric::points(metrics).iter().any(|point| point.name.contains(text)),
            Self::Traces(traces) => span::spans(traces).iter().any(|span| span.name.contains(text)),
        }
    }
}

/// Why a request could not be read.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

/// Reads a request that carries one of `taken`.
pub(crate) fn decode(head: &Parts, body: Bytes, taken: &[Content]) -> Result<(Format, Message), Refusal> {
    let refuse = |status, why| Err(Refusal { status, why });
    let path = head.uri.path();
    let Some(content) = taken.iter().copied().find(|content| content.path() == path) else {
        let places: Vec<String> =
            taken.iter().map(|content| format!("{} {{}} `{}`", content.plural(), content.path())).collect();
        // The verb is said once.
        let places = places.join(", ").replacen("{}", "go to", 1).replace("{}", "to");
        return refuse(StatusCode::NOT_FOUND, format!("nothing at `{path}`; {places}"));
    };
    let plural = content.plural();
    if head.method != Method::POST {
        let why = format!("`{}` is no way to send {plural}; POST is", head.method);
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
    let message = match content {
        Content::Logs => read(format, body).map(Message::Logs),
        Content::Metrics => read(format, body).map(Message::Metrics),
        Content::Traces => read(format, body).map(Message::Traces),
    };
    match message {
        Ok(message) => Ok((format, message)),
        Err(error) => {
            let what = match format {
                Format::Json => "not OTLP JSON",
                Format::Protobuf => "not OTLP protobuf",
            };
            refuse(StatusCode::BAD_REQUEST, format!("{what}: {error}"))
        }
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
