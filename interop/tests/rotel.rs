//! By way of the collector in the Python package `rotel`: records and spans go in by each protocol and compression that it
//! reads, come out by its own exporter, and are compared at the embedded receiver.
//!
//! The variable ROTEL_AGENT names the program.

#![allow(clippy::disallowed_methods)] // It is told where the program is.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use log::Log as _;
use logbridge::testing::{Receiver, Value};
use logbridge::{Builder, Compression, Console, LevelFilter, Otlp, Protocol};
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;

const LONG: Duration = Duration::from_secs(20);

/// The collector, which ends with the test.
struct Rotel {
    child: Child,
    grpc: u16,
    http: u16,
}

impl Drop for Rotel {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

impl Rotel {
    fn start(to: &Receiver) -> Self {
        let agent = std::env::var_os("ROTEL_AGENT").expect("ROTEL_AGENT names the program");
        let (grpc, http) = (free_port(), free_port());
        let child = Command::new(agent)
            .args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http", "--batch-timeout", "50ms"])
            .args(["--otlp-exporter-endpoint", &to.endpoint(), "--otlp-exporter-compression", "none"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ROTEL_AGENT runs");
        let this = Self { child, grpc, http };
        let deadline = Instant::now() + LONG;
        for port in [grpc, http] {
            while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "rotel does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        this
    }
}

#[test]
#[ignore = "needs the collector that ROTEL_AGENT names"]
fn rotel_hands_on_what_it_was_given() {
    let receiver = Receiver::start().expect("a receiver");
    let rotel = Rotel::start(&receiver);
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf, Protocol::HttpJson] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let port = if protocol == Protocol::Grpc { rotel.grpc } else { rotel.http };
            let bridge = Builder::new()
                .service_name("interop")
                .filter_level(LevelFilter::Info)
                .otlp(Otlp::to(format!("http://127.0.0.1:{port}")).protocol(protocol).compression(compression))
                .console(Console::off())
                .schedule_delay(Duration::from_millis(10))
                .build()
                .expect("builds");
            let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
            let name = format!("{protocol} {compression}");
            provider.tracer("shop").in_span(name.clone(), |_| {
                let args = format_args!("order placed by {name}");
                let key_values = [("user", log::kv::Value::from(42))];
                let record = &mut log::Record::builder();
                let record = record.args(args).level(log::Level::Info).target("rotel").key_values(&key_values);
                bridge.logger().log(&record.build());
            });
            // gRPC with zstd it refuses, and gets plain.
            bridge.flush(LONG).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            let message = format!("order placed by {name}");
            let arrived = receiver.wait_until(LONG, |logs| logs.iter().any(|log| log.message() == message));
            assert!(arrived, "{name}");
            assert!(receiver.wait_until_spans(LONG, |spans| spans.iter().any(|span| span.name == name)), "{name}");
            let logs = receiver.logs();
            let log = logs.iter().find(|log| log.message() == message).expect("arrived");
            assert_eq!(log.attribute("user"), Some(&Value::from(42)), "{name}");
        }
    }
    assert_eq!(receiver.orphans().len(), 0, "every record's ids are those of a span");
    assert_eq!((receiver.logs().len(), receiver.spans().len()), (9, 9));
}
