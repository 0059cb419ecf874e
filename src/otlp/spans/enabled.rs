//! Spans to bytes, by opentelemetry-otlp: its exporter groups and encodes them and hands the request to its HTTP client,
//! which here keeps the body and sends nothing. What is sent, tried again and understood is the transport's.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

/// Encodes spans under one resource.
#[derive(Debug)]
pub(crate) struct SpanEncoder {
    exporter: SpanExporter,
    kept: CapturingClient,
}

/// An encoded `ExportTraceServiceRequest`.
#[derive(Clone, Debug)]
pub(crate) struct EncodedSpans {
    pub(crate) body: Bytes,
    /// How the body is compressed, where a program asks opentelemetry-otlp for that by its features and the environment.
    pub(crate) encoding: Option<HeaderValue>,
}

/// The last request of the exporter.
#[derive(Clone, Debug, Default)]
struct CapturingClient(Arc<Mutex<Option<EncodedSpans>>>);

impl CapturingClient {
    fn replace(&self, request: Option<EncodedSpans>) -> Option<EncodedSpans> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), request)
    }
}

impl HttpClient for CapturingClient {
    // As `#[async_trait]` writes it.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let encoding = request.headers().get(CONTENT_ENCODING).cloned();
        self.replace(Some(EncodedSpans { body: request.into_body(), encoding }));
        Box::pin(std::future::ready(Ok(Response::new(Bytes::new()))))
    }
}

impl SpanEncoder {
    /// An encoder for spans of this resource; `Err` says why there is none.
    pub(crate) fn new(resource: &Resource) -> Result<Self, String> {
        let kept = CapturingClient::default();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(kept.clone())
            // Named here, so that no variable decides; the transport has its own.
            .with_endpoint("http://localhost")
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        Ok(Self { exporter, kept })
    }

    /// Encodes these spans; `Err` says why that cannot be done.
    pub(crate) fn encode(&self, spans: Vec<SpanData>) -> Result<EncodedSpans, String> {
        let mut export = pin!(self.exporter.export(spans));
        // Nothing in it waits for anything.
        let exported = match export.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(exported) => exported.map_err(|error| error.to_string()),
            Poll::Pending => Err("opentelemetry-otlp waits for something".to_owned()),
        };
        let encoded = self.kept.replace(None);
        exported.and_then(|()| encoded.ok_or_else(|| "opentelemetry-otlp made no request".to_owned()))
    }
}
