//! The stage `endpoint`: resolves and connects to the endpoint of logs, then probes TLS, protocols and OTLP requests
//! concurrently.
//!
//! * Every probe has a timeout, and the stage ends within ten seconds.
//! * Keys are sent only in OTLP requests, never in the probes of TLS and plain-text protocols.
//! * Records are sent only to this machine, unless the user allows another one.

mod connect;
mod findings;
mod http1;
mod observations;
mod outcome;
mod plaintext;
mod requests;
mod tls;

use std::net::IpAddr;
use std::time::Duration;

use tokio::runtime::Builder;

use self::connect::Connections;
use self::plaintext::PlainProtocols;
use self::requests::RequestOutcomes;
use self::tls::Handshake;
use super::{LOGBRIDGE_ENDPOINTS, StageReport, otlp_to};
use logbridge::internals::config::{BuilderSettings, Compression, Environment, Otlp, Protocol, Route, Secrets};

/// The timeout of an OTLP request.
const TIMEOUT: Duration = Duration::from_millis(3500);

/// What the command line, the environment and the project say about the endpoint.
#[derive(Debug)]
pub(crate) struct EndpointOptions<'a> {
    pub(crate) environment: &'a Environment,
    /// The URL of `--endpoint`.
    pub(crate) named: Option<&'a str>,
    /// Whether the stage was selected by name.
    pub(crate) is_explicit: bool,
    /// Whether a record may be sent to another machine.
    pub(crate) may_send: bool,
    /// Whether the project exports with the stock SDK.
    pub(crate) has_stock: bool,
    /// The full URL of an endpoint set in code, and whether code selects gRPC.
    pub(crate) in_code: (Option<String>, bool),
}

/// The endpoint to probe, without secrets.
#[derive(Clone, Debug)]
pub(crate) struct ProbeTarget {
    pub(crate) shown: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_https: bool,
    pub(crate) protocol: Protocol,
    pub(crate) has_key: bool,
    /// The proxy that requests pass through.
    pub(crate) proxy: Option<String>,
    pub(crate) names_hyperdx: bool,
    pub(crate) has_stock: bool,
    /// The compression set in the environment.
    pub(crate) compression: Compression,
    /// Whether a client certificate is set.
    pub(crate) has_identity: bool,
    /// Whether no endpoint is set, so that this is the default one.
    pub(crate) is_default: bool,
}

/// The results of all probes.
#[derive(Debug, Default)]
pub(crate) struct ProbeResults {
    pub(crate) connections: Connections,
    pub(crate) tls: Option<Handshake>,
    pub(crate) plaintext: Option<PlainProtocols>,
    pub(crate) requests: RequestOutcomes,
}

/// Probes the endpoint and derives findings.
///
/// # Errors
///
/// Returns the reason if the endpoint is invalid.
pub(crate) fn check(options: &EndpointOptions<'_>) -> Result<StageReport, String> {
    let mut report = StageReport { stage: "endpoint", ..StageReport::default() };
    let is_named = options.named.is_some() || options.environment.mentions_opentelemetry();
    if !is_named && !options.is_explicit && !options.has_stock {
        report.skipped = Some("neither --endpoint nor the environment names one".to_owned());
        return Ok(report);
    }
    let mut route = route(options)?;
    let target = target(options, &route)?;
    let secrets = Secrets::of(route.headers.iter().filter_map(|header| header.value.to_str().ok()));
    route.compression = Compression::None;
    route.timeout = TIMEOUT;
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        report.skipped = Some("this process has no descriptors left".to_owned());
        return Ok(report);
    };
    let results = runtime.block_on(probe(&target, &route, options.may_send));
    // The resolver may hang on its thread, so the runtime does not wait for it.
    runtime.shutdown_background();
    report.observations = observations::observations(&target, &results);
    report.findings = findings::findings(&target, &results);
    mask_secrets(&mut report, &secrets);
    Ok(report)
}

/// Returns the route of logs, even if the environment disables sending.
fn route(options: &EndpointOptions<'_>) -> Result<Route, String> {
    let environment = options.environment.without(&["OTEL_SDK_DISABLED", "OTEL_LOGS_EXPORTER"]);
    let (in_code, is_grpc) = &options.in_code;
    let otlp = match (options.named, in_code) {
        (Some(url), _) => otlp_to(url),
        (None, Some(url)) if *is_grpc => Otlp::to(url),
        (None, Some(url)) => Otlp::to_url(url),
        (None, None) => Otlp::from_env(),
    };
    let otlp = if *is_grpc { otlp.protocol(Protocol::Grpc) } else { otlp };
    let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
    let config = settings.resolve(&environment).map_err(|error| error.to_string())?;
    config.otlp.delivery.map(|delivery| delivery.route).ok_or_else(|| "sending is disabled".to_owned())
}

fn target(options: &EndpointOptions<'_>, route: &Route) -> Result<ProbeTarget, String> {
    let uri = route.endpoint.uri();
    let host = uri.host().ok_or_else(|| "the endpoint has no host".to_owned())?;
    let is_https = route.endpoint.is_https();
    Ok(ProbeTarget {
        shown: route.endpoint.to_string(),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
        is_https,
        protocol: route.protocol,
        has_key: !route.headers.is_empty(),
        proxy: route.proxy.as_ref().map(ToString::to_string),
        names_hyperdx: options.environment.mentions("HYPERDX_"),
        has_stock: options.has_stock,
        compression: route.compression,
        has_identity: route.tls.identity.is_some(),
        is_default: options.named.is_none()
            && options.in_code.0.is_none()
            && options.environment.first(&LOGBRIDGE_ENDPOINTS).is_none(),
    })
}

/// Resolves the name and connects first. If an address accepts a connection, runs all other probes concurrently.
async fn probe(target: &ProbeTarget, route: &Route, may_send: bool) -> ProbeResults {
    // Behind a proxy, only requests reach the endpoint.
    if route.proxy.is_some() {
        let requests = requests::send_all(route, may_send, target).await;
        return ProbeResults { requests, ..ProbeResults::default() };
    }
    let connections = connect::connect_all(&target.host, target.port).await;
    let Some(address) = connections.first_open_address() else {
        return ProbeResults { connections, ..ProbeResults::default() };
    };
    let may_send = may_send || is_loopback(address.ip());
    let (tls, plaintext, requests) = tokio::join!(
        tls::handshake(address, &target.host),
        plaintext::detect(address, target),
        requests::send_all(route, may_send, target),
    );
    ProbeResults { connections, tls: Some(tls), plaintext: Some(plaintext), requests }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Masks secrets in all texts, since a server may repeat the key in its answer.
fn mask_secrets(report: &mut StageReport, secrets: &Secrets) {
    let mask = |text: &mut String| secrets.mask(text);
    report.observations.iter_mut().for_each(mask);
    for finding in &mut report.findings {
        mask(&mut finding.text);
        mask(&mut finding.evidence);
        finding.help.iter_mut().for_each(mask);
    }
}
