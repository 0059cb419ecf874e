//! The duration of requests as a metric.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use opentelemetry::metrics::Histogram;
use opentelemetry::{InstrumentationScope, KeyValue, Value, global};

use crate::semconv;

/// The boundaries that the convention recommends, in seconds.
const BOUNDARIES: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// A histogram that is created at the first request after the meter provider.
#[derive(Debug)]
pub(crate) struct Durations {
    name: &'static str,
    description: &'static str,
    histogram: OnceLock<Histogram<f64>>,
}

/// `http.server.request.duration`.
pub(crate) static SERVER: Durations =
    Durations::new("http.server.request.duration", "Duration of HTTP server requests.");
/// `http.client.request.duration`.
pub(crate) static CLIENT: Durations =
    Durations::new("http.client.request.duration", "Duration of HTTP client requests.");

/// What the duration is recorded with. Absent attributes are left out.
#[derive(Debug)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r Cow<'static, str>,
    pub(crate) scheme: Option<Value>,
    pub(crate) version: Option<&'static str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) error_type: Option<&'r Cow<'static, str>>,
    pub(crate) route: Option<Value>,
    /// Only for clients.
    pub(crate) server: Option<(Value, Option<u16>)>,
}

impl Durations {
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description, histogram: OnceLock::new() }
    }

    /// Returns the histogram, or `None` as long as there is no meter provider.
    pub(crate) fn histogram(&self) -> Option<&Histogram<f64>> {
        if let Some(histogram) = self.histogram.get() {
            return Some(histogram);
        }
        let provider = global::meter_provider();
        // A provider without any state is the one that does nothing. The instruments of that one never record, even
        // if a provider is set later.
        if size_of_val(&*provider) == 0 {
            return None;
        }
        let scope =
            InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build();
        let histogram = provider
            .meter_with_scope(scope)
            .f64_histogram(self.name)
            .with_description(self.description)
            .with_unit("s")
            .with_boundaries(BOUNDARIES.to_vec())
            .build();
        Some(self.histogram.get_or_init(|| histogram))
    }

    /// Records a request that has ended.
    pub(crate) fn record(&self, duration: Duration, request: Request<'_>) {
        let Some(histogram) = self.histogram() else { return };
        let mut attributes = Vec::with_capacity(8);
        attributes.push(KeyValue::new(semconv::HTTP_REQUEST_METHOD, request.method.clone()));
        let mut add = |name: &'static str, value: Option<Value>| {
            attributes.extend(value.map(|value| KeyValue::new(name, value)));
        };
        add(semconv::URL_SCHEME, request.scheme);
        add(semconv::NETWORK_PROTOCOL_VERSION, request.version.map(Value::from));
        add(semconv::HTTP_RESPONSE_STATUS_CODE, request.status.map(|status| i64::from(status.as_u16()).into()));
        add(semconv::ERROR_TYPE, request.error_type.map(|error| error.clone().into()));
        add(semconv::HTTP_ROUTE, request.route);
        if let Some((address, port)) = request.server {
            add(semconv::SERVER_ADDRESS, Some(address));
            add(semconv::SERVER_PORT, port.map(|port| i64::from(port).into()));
        }
        histogram.record(duration.as_secs_f64(), &attributes);
    }
}
