//! The duration of requests as a metric.

use axum::Router;
use axum::routing::get as on_get;
use http::StatusCode;
use logbridge_http::ServerLayer;
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, HistogramDataPoint, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

use crate::support::{World, get};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![metrics: durations_are_recorded].into()
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
    // The metric is recorded after the span has ended.
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
