//! Starts both services, places orders, and prints the traces that arrive at an embedded receiver.

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

pub async fn run() -> Result<(), Error> {
    // With an endpoint in the environment, the services export there, and nothing is printed here.
    let receiver = if std::env::var_os(ENDPOINT).is_none() { Some(Receiver::start()?) } else { None };
    let endpoint = receiver.as_ref().map(Receiver::endpoint);

    let stock = Service::start("stock", &["stock"], endpoint.as_deref()).await?;
    let shop = Service::start("shop", &["shop", &stock.url], endpoint.as_deref()).await?;
    let orders = [("ada", "tea", 2), ("bob", "teapot", 500), ("eve", "tea", 7)];
    // All at once: their records mix in time, but not in the traces.
    let requests =
        orders.map(|(customer, item, quantity)| tokio::spawn(place_order(shop.url.clone(), customer, item, quantity)));
    for request in requests {
        anstream::println!("{}", request.await??);
    }
    // The shop first, because its worker may still have jobs.
    shop.stop().await?;
    stock.stop().await?;

    if let Some(receiver) = receiver {
        let (spans, logs) = (receiver.spans(), receiver.logs());
        anstream::println!("\n{}", TraceTree::colored(&spans, &logs));
        let outside = logs.iter().filter(|log| log.trace_id.is_empty()).count();
        anstream::println!(
            "\n{} spans and {} records: {} outside of requests, and {} whose span did not arrive",
            spans.len(),
            logs.len(),
            outside,
            receiver.orphans().len()
        );
    }
    Ok(())
}

async fn place_order(
    shop_url: String,
    customer: &'static str,
    item: &'static str,
    quantity: u32,
) -> Result<String, Error> {
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
