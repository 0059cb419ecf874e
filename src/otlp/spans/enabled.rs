//! Encodes spans by the exporter of opentelemetry-otlp.
//!
//! That exporter groups and encodes spans and passes the request to its HTTP client. The client here keeps the body and
//! sends nothing: sending and retrying are the transport's job.

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
    client: CapturingClient,
}

/// An encoded `ExportTraceServiceRequest`.
#[derive(Clone, Debug)]
pub(crate) struct EncodedSpans {
    pub(crate) body: Bytes,
    /// The content encoding, if features and environment make opentelemetry-otlp compress the body.
    pub(crate) encoding: Option<HeaderValue>,
}

/// An HTTP client that keeps the last request and answers with an empty success.
#[derive(Clone, Debug, Default)]
struct CapturingClient(Arc<Mutex<Option<EncodedSpans>>>);

impl CapturingClient {
    fn replace(&self, request: Option<EncodedSpans>) -> Option<EncodedSpans> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), request)
    }
}

impl HttpClient for CapturingClient {
    // The signature that `#[async_trait]` generates.
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
    /// Creates an encoder for spans of a resource.
    ///
    /// # Errors
    ///
    /// Returns the reason if opentelemetry-otlp refuses its configuration.
    pub(crate) fn new(resource: &Resource) -> Result<Self, String> {
        let client = CapturingClient::default();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            // Set here, so that no environment variable is read. Nothing is sent to this endpoint.
            .with_endpoint("http://localhost")
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        Ok(Self { exporter, client })
    }

    /// Encodes spans.
    ///
    /// # Errors
    ///
    /// Returns the reason if opentelemetry-otlp fails.
    pub(crate) fn encode(&self, spans: Vec<SpanData>) -> Result<EncodedSpans, String> {
        let mut export = pin!(self.exporter.export(spans));
        // The client answers at once, so the future is ready on the first poll.
        let exported = match export.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(exported) => exported.map_err(|error| error.to_string()),
            Poll::Pending => Err("opentelemetry-otlp did not finish at once".to_owned()),
        };
        let encoded = self.client.replace(None);
        exported.and_then(|()| encoded.ok_or_else(|| "opentelemetry-otlp made no request".to_owned()))
    }
}
