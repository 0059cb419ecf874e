//! Starts both services, places orders, and prints the traces that arrive at an embedded receiver.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use logbridge::testing::{Receiver, TraceTree};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Error;

/// Settings of the services, each unless the environment has another.
const SETTINGS: &[(&str, &str)] = &[
    // The services print nothing: all that they log is in the traces.
    ("LOGBRIDGE_CONSOLE", "off"),
    ("LOGBRIDGE_NETWORK_CAPTURE", "all"),
    ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "authorization,content-type"),
    ("RUST_LOG", "info"),
];

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The orders, which repeat. There are fewer teapots than that.
const ORDERS: [(&str, &str, u32); 3] = [("ada", "tea", 2), ("bob", "teapot", 500), ("eve", "tea", 7)];
/// The number of orders that are drawn.
const DRAWN: usize = 3;

pub async fn run(orders: usize) -> Result<(), Error> {
    // With an endpoint in the environment, the services export there, and nothing is printed here.
    let receiver = if std::env::var_os(ENDPOINT).is_none() { Some(Receiver::start()?) } else { None };
    let endpoint = receiver.as_ref().map(Receiver::endpoint);

    let stock = Service::start("stock", &["stock"], endpoint.as_deref()).await?;
    let shop = Service::start("shop", &["shop", &stock.url], endpoint.as_deref()).await?;
    // All at once: their records mix in time, but not in the traces.
    let requests: Vec<_> =
        ORDERS.iter().cycle().take(orders).map(|order| tokio::spawn(place_order(shop.url.clone(), *order))).collect();
    for (number, request) in requests.into_iter().enumerate() {
        let answer = request.await??;
        if number < DRAWN {
            anstream::println!("{answer}");
        }
    }
    // The shop first, because its worker may still have jobs.
    shop.stop().await?;
    stock.stop().await?;

    if let Some(receiver) = receiver {
        print_traces(&receiver);
    }
    Ok(())
}

fn print_traces(receiver: &Receiver) {
    let (mut spans, mut logs) = (receiver.spans(), receiver.logs());
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    let summary = format!(
        "{} traces with {} spans and {} records; {} records are outside of requests, and the span of {} did not arrive",
        traces.len(),
        spans.len(),
        logs.len(),
        logs.iter().filter(|log| log.trace_id.is_empty()).count(),
        receiver.orphans().len()
    );
    let drawn: Vec<_> = traces.into_iter().take(DRAWN).cloned().collect();
    spans.retain(|span| drawn.contains(&span.trace_id));
    logs.retain(|log| log.trace_id.is_empty() || drawn.contains(&log.trace_id));
    anstream::println!("\n{}\n\n{summary}", TraceTree::colored(&spans, &logs));
}

async fn place_order(shop_url: String, order: (&str, &str, u32)) -> Result<String, Error> {
    let (customer, item, quantity) = order;
    let order =
        serde_json::json!({ "customer": customer, "password": "tr0ub4dor", "item": item, "quantity": quantity });
    let request = reqwest::Client::new().post(format!("{shop_url}/orders")).bearer_auth("s3cr3t-t0ken").json(&order);
    let answer = request.send().await?;
    Ok(format!("{customer} orders {quantity} {item}: {}", answer.status()))
}

/// A service in a process of its own.
struct Service {
    process: Child,
    url: String,
}

impl Service {
    async fn start(name: &str, role: &[&str], endpoint: Option<&str>) -> Result<Self, Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(role)
            .env("OTEL_SERVICE_NAME", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command.envs(SETTINGS.iter().copied().filter(|(variable, _)| std::env::var_os(variable).is_none()));
        command.envs(endpoint.map(|endpoint| (ENDPOINT, endpoint)));
        let mut process = command.spawn()?;
        let stdout = process.stdout.take().ok_or("no stdout")?;
        let url = BufReader::new(stdout).lines().next_line().await?.ok_or_else(|| format!("{name} did not start"))?;
        Ok(Self { process, url })
    }

    /// Ends the service, which delivers its records and spans before it exits.
    async fn stop(mut self) -> Result<(), Error> {
        drop(self.process.stdin.take());
        let status = tokio::time::timeout(Duration::from_secs(30), self.process.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("a service failed: {status}").into()) }
    }
}
