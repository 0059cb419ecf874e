//! Clients under settings of the environment, without logbridge, and with a meter provider. Each test runs in a process
//! of its own, because it needs the global slots.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test may panic.

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use logbridge::testing::{ReceivedSpan, Receiver};
use logbridge::{Bridge, Console, LevelFilter, Otlp};
use logbridge_http::{ClientLayer, ReqwestMiddleware, UrlTemplate};
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use reqwest_middleware::ClientWithMiddleware;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt as _};
use tracing::Instrument as _;

const CHILD: &str = "CLIENT_SETTINGS_CHILD";
const DEADLINE: Duration = Duration::from_secs(30);

/// Returns whether this process is the child of a test. Otherwise starts the child with these variables, and checks
/// that it succeeds.
fn in_child(name: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::vars_os().any(|(variable, _)| variable == CHILD) {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().expect("the path of this program"));
    // Variables of the developer must not change the result.
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if ["OTEL_", "LOGBRIDGE_", "HYPERDX_", "RUST_LOG"].iter().any(|start| text.starts_with(start)) {
            child.env_remove(variable);
        }
    }
    let child = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").envs(variables.iter().copied());
    let output = child.output().expect("a child");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("1 passed"), "{stdout}");
    false
}

fn install() -> (Receiver, Bridge) {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = logbridge::builder()
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .try_init()
        .expect("both slots are free");
    (receiver, bridge)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await.expect("the work ends in time") })
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Answers with the `traceparent` of the request.
async fn echo(headers: HeaderMap) -> String {
    headers.get("traceparent").map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

fn client() -> ClientWithMiddleware {
    let plain = reqwest::Client::builder().no_proxy().build().expect("a client");
    reqwest_middleware::ClientBuilder::new(plain).with(ReqwestMiddleware::new()).build()
}

async fn by_reqwest(url: &str) -> String {
    client().get(url).send().await.expect("an answer").text().await.expect("a body")
}

async fn by_tower(url: &str) -> String {
    let client =
        ServiceBuilder::new().layer(ClientLayer::new()).service(Client::builder(TokioExecutor::new()).build_http());
    let request = Request::get(url).body(Empty::<Bytes>::new()).expect("a request");
    let body = client.oneshot(request).await.expect("an answer").into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

fn sent(receiver: &Receiver, bridge: &Bridge) -> Vec<ReceivedSpan> {
    bridge.flush(DEADLINE).expect("everything arrives");
    receiver.spans()
}

#[test]
fn a_filtered_span_passes_the_trace_of_the_caller_on() {
    if !in_child("a_filtered_span_passes_the_trace_of_the_caller_on", &[("LOGBRIDGE_SPAN_LEVEL", "warn")]) {
        return;
    }
    let (receiver, bridge) = install();
    let echoes = run(async {
        let url = serve(Router::new().route("/", get(echo))).await;
        [by_reqwest(&url).await, by_tower(&url).await]
    }
    .instrument(tracing::warn_span!("caller")));
    let spans = sent(&receiver, &bridge);
    let [caller] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!(caller.name, "caller");
    let expected = format!("00-{}-{}-01", caller.trace_id, caller.span_id);
    assert_eq!(echoes, [expected.clone(), expected]);
}

#[test]
fn without_logbridge_requests_work_and_carry_nothing() {
    if !in_child("without_logbridge_requests_work_and_carry_nothing", &[("LOGBRIDGE_NETWORK_CAPTURE", "all")]) {
        return;
    }
    run(async {
        let app = Router::new().route("/", get(echo)).route("/post", post(async |body: String| body));
        let url = serve(app).await;
        assert_eq!([by_reqwest(&url).await, by_tower(&url).await], ["", ""]);
        let answer = client().post(format!("{url}/post")).body("question").send().await.expect("an answer");
        assert_eq!(answer.content_length(), Some(8));
        assert_eq!(answer.text().await.expect("a body"), "question");
    });
}

#[test]
fn a_client_that_is_older_than_logbridge_takes_its_settings() {
    let name = "a_client_that_is_older_than_logbridge_takes_its_settings";
    if !in_child(
        name,
        &[("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PURGE"), ("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")],
    ) {
        return;
    }
    let client = client();
    let (receiver, bridge) = install();
    let url = run(async {
        let url = serve(Router::new().route("/", axum::routing::any(async || StatusCode::IM_A_TEAPOT))).await;
        let method = reqwest::Method::from_bytes(b"PURGE").expect("a method");
        client.request(method, &url).send().await.expect("an answer").text().await.expect("a body");
        url
    });
    let spans = sent(&receiver, &bridge);
    let [span] = spans.as_slice() else { panic!("{spans:#?}") };
    let text = |key: &str| span.attribute(key).map(ToString::to_string).unwrap_or_default();
    assert_eq!(span.name, "PURGE");
    // The names that HyperDX's network panel reads, beside the stable ones.
    for (key, expected) in [
        ("http.method", "PURGE"),
        ("http.request.method", "PURGE"),
        ("http.url", &*format!("{url}/")),
        ("http.status_code", "418"),
        ("http.response.status_code", "418"),
        ("http.status_text", "I'm a teapot"),
        ("net.peer.ip", "127.0.0.1"),
    ] {
        assert_eq!(text(key).trim_matches('"'), expected, "{key}");
    }
}

#[test]
fn durations_are_recorded_once_there_is_a_meter_provider() {
    if !in_child("durations_are_recorded_once_there_is_a_meter_provider", &[]) {
        return;
    }
    // Metrics need no spans: logbridge is not installed.
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(exporter.clone()).build()).build();
    let port = run(async {
        let url = serve(Router::new().route("/", get(echo))).await;
        by_reqwest(&url).await;
        global::set_meter_provider(provider.clone());
        let request = client().get(format!("{url}/")).with_extension(UrlTemplate::new("/"));
        request.send().await.expect("an answer").text().await.expect("a body");
        by_tower(&format!("{url}/missing")).await;
        url.rsplit(':').next().expect("a port").to_owned()
    });
    provider.force_flush().expect("metrics");
    let finished = exporter.get_finished_metrics().expect("metrics");
    let metrics: Vec<_> = finished.last().expect("metrics").scope_metrics().flat_map(|scope| scope.metrics()).collect();
    let [metric] = metrics.as_slice() else { panic!("{metrics:?}") };
    assert_eq!((metric.name(), metric.unit()), ("http.client.request.duration", "s"));
    let AggregatedMetrics::F64(MetricData::Histogram(data)) = metric.data() else { panic!("{metric:?}") };
    let mut points: Vec<_> = data
        .data_points()
        .map(|point| {
            let mut pairs: Vec<_> =
                point.attributes().map(|KeyValue { key, value, .. }| format!("{key}={value}")).collect();
            pairs.sort();
            (point.count(), pairs.join(" "))
        })
        .collect();
    points.sort_by(|(_, a), (_, b)| a.cmp(b));
    let common = |status| {
        format!(
            "http.request.method=GET http.response.status_code={status} network.protocol.version=1.1 \
             server.address=127.0.0.1 server.port={port} url.scheme=http"
        )
    };
    let expected = [(1, format!("error.type=404 {}", common(404))), (1, common(200))];
    assert_eq!(points, expected);
}
