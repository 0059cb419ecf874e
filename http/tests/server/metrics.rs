//! The duration of requests as a metric.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use http::{Request, Response, StatusCode};
use logbridge_http::{ClientLayer, ServerLayer};
use opentelemetry::metrics::{Histogram, HistogramBuilder, InstrumentProvider, Meter, MeterProvider, SyncInstrument};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, HistogramDataPoint, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{World, block_on, get};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![metrics:
        durations_are_recorded,
        durations_are_recorded_inside_the_span,
        grpc_calls_are_left_out,
        instruments_that_panic,
    ]
    .into()
}

fn attributes(point: &HistogramDataPoint<f64>) -> Vec<String> {
    let mut pairs: Vec<_> = point.attributes().map(|KeyValue { key, value, .. }| format!("{key}={value}")).collect();
    pairs.sort();
    pairs
}

fn durations_are_recorded() {
    let world = World::new();
    let app = Router::new()
        .route("/orders/{id}", on_get(async || "ok"))
        .route("/broken", on_get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/health", on_get(async || "ok"))
        .layer(ServerLayer::new().filter(|request| request.uri.path() != "/health"));
    let address = world.serve(app);
    // Not recorded, and does not prevent later recording: there is no provider yet.
    get(address, "/orders/1", &[]);
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(exporter.clone()).build()).build();
    global::set_meter_provider(provider.clone());
    get(address, "/orders/2", &[]);
    get(address, "/orders/3", &[]);
    get(address, "/broken", &[]);
    get(address, "/health", &[]);
    world.spans(4);
    crate::support::wait_until("the metric of the last request", || {
        provider.force_flush().unwrap();
        exporter.get_finished_metrics().unwrap().last().is_some_and(|last| {
            let points = last.scope_metrics().flat_map(|scope| scope.metrics()).map(|metric| match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(data)) => {
                    data.data_points().map(|point| point.count()).sum()
                }
                _ => 0,
            });
            points.sum::<u64>() == 3
        })
    });
    let finished = exporter.get_finished_metrics().unwrap();
    let metrics: Vec<_> = finished.last().unwrap().scope_metrics().flat_map(|scope| scope.metrics()).collect();
    let [metric] = metrics.as_slice() else { panic!("{metrics:?}") };
    assert_eq!((metric.name(), metric.unit()), ("http.server.request.duration", "s"));
    let AggregatedMetrics::F64(MetricData::Histogram(data)) = metric.data() else { panic!("{metric:?}") };
    let mut points: Vec<_> = data.data_points().map(|point| (point.count(), attributes(point))).collect();
    points.sort_by_key(|(count, _)| *count);
    let expected = |route: &str, status: &str, error: Option<&str>| {
        let pairs = [
            error.map(|error| format!("error.type={error}")),
            Some("http.request.method=GET".to_owned()),
            Some(format!("http.response.status_code={status}")),
            Some(format!("http.route={route}")),
            Some("network.protocol.version=1.1".to_owned()),
            Some("url.scheme=http".to_owned()),
        ];
        pairs.into_iter().flatten().collect::<Vec<_>>()
    };
    assert_eq!(points, [(1, expected("/broken", "500", Some("500"))), (2, expected("/orders/{id}", "200", None))]);
    let bounds: Vec<_> = data.data_points().next().unwrap().bounds().collect();
    assert_eq!(bounds.first().zip(bounds.last()), Some((&0.005, &10.0)));
    assert_eq!(bounds.len(), 14);
}

/// Remembers in which spans a histogram is recorded.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl MeterProvider for Spans {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(self.clone()))
    }
}

impl InstrumentProvider for Spans {
    fn f64_histogram(&self, _: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        Histogram::new(Arc::new(self.clone()))
    }
}

impl SyncInstrument<f64> for Spans {
    fn measure(&self, _: f64, _: &[KeyValue]) {
        self.0.lock().unwrap().push(Context::current().span().span_context().span_id().to_string());
    }
}

fn answer() -> Response<Body> {
    Response::new(Body::empty())
}

/// An exemplar has the ids of the current span.
fn durations_are_recorded_inside_the_span() {
    let world = World::new();
    let recorded = Spans::default();
    global::set_meter_provider(recorded.clone());
    let service = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(answer()));
    drop(block_on(&world, ServerLayer::new().layer(service).oneshot(Request::new(Body::empty()))).unwrap());
    drop(block_on(&world, ClientLayer::new().layer(service).oneshot(Request::new(Body::empty()))).unwrap());
    let mut spans = world.spans(2);
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let ids: Vec<_> = spans.into_iter().map(|span| span.span_id).collect();
    assert_eq!(*recorded.0.lock().unwrap(), ids);
}

/// Panics with a text.
#[derive(Clone, Copy, Debug)]
struct Panicking(&'static str);

impl MeterProvider for Panicking {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(*self))
    }
}

impl InstrumentProvider for Panicking {
    fn f64_histogram(&self, _: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        Histogram::new(Arc::new(*self))
    }
}

impl SyncInstrument<f64> for Panicking {
    fn measure(&self, _: f64, _: &[KeyValue]) {
        panic!("{}", self.0);
    }
}

fn instruments_that_panic() {
    let world = World::new();
    global::set_meter_provider(Panicking("cannot measure"));
    let service = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(answer()));
    drop(block_on(&world, ServerLayer::new().layer(service).oneshot(Request::new(Body::empty()))).unwrap());
    drop(block_on(&world, ClientLayer::new().layer(service).oneshot(Request::new(Body::empty()))).unwrap());
    for span in world.spans(2) {
        assert_eq!(span.attribute("http.response.status_code"), Some(&200.into()), "{span:#?}");
    }
}

/// The conventions have other metrics for them.
fn grpc_calls_are_left_out() {
    let world = World::new();
    let recorded = Spans::default();
    global::set_meter_provider(recorded.clone());
    let service = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(answer()));
    let request = |kind: &'static str| {
        Request::post("/shop.Orders/Place").header("content-type", kind).body(Body::empty()).unwrap()
    };
    let send = |kind| {
        drop(block_on(&world, ServerLayer::new().layer(service).oneshot(request(kind))).unwrap());
        drop(block_on(&world, ClientLayer::new().layer(service).oneshot(request(kind))).unwrap());
        recorded.0.lock().unwrap().len()
    };
    assert_eq!(send("application/grpc"), 0);
    assert_eq!(send("application/json"), 2);
}
