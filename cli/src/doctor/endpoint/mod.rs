//! The stage `endpoint`: asks where logs are sent to, one question after the other as a client would come to them, and
//! the rest at the same time.
//!
//! Constraints: one connection after the other is given up after its deadline, and the whole within ten seconds; no key
//! goes to a port that is only looked at; records are sent where somebody says so, and to this machine.

mod connect;
mod findings;
mod http1;
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
use super::{StageReport, otlp_to};
use logbridge::internals::config::{Compression, Environment, Otlp, Protocol, Route, Secrets, Settings};

/// How long one question waits for its answer.
const TIMEOUT: Duration = Duration::from_millis(3500);

/// Variables that name an endpoint of logs.
const ENDPOINTS: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "HYPERDX_API_ENDPOINT"];

/// What is asked about.
#[derive(Debug)]
pub(crate) struct EndpointOptions<'a> {
    pub(crate) environment: &'a Environment,
    /// The endpoint that was given by hand.
    pub(crate) named: Option<&'a str>,
    /// The stage was asked for by its name.
    pub(crate) is_explicit: bool,
    /// A record may be sent to another machine.
    pub(crate) may_send: bool,
    /// The project sends by the stock SDK.
    pub(crate) has_stock: bool,
    /// What code tells that: an endpoint, which is used as it is, and whether gRPC is spoken.
    pub(crate) in_code: (Option<String>, bool),
}

/// Where the questions go, in words that may be shown.
#[derive(Clone, Debug)]
pub(crate) struct ProbeTarget {
    pub(crate) shown: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_https: bool,
    pub(crate) protocol: Protocol,
    pub(crate) has_key: bool,
    /// What the requests go through.
    pub(crate) proxy: Option<String>,
    pub(crate) names_hyperdx: bool,
    pub(crate) has_stock: bool,
    /// The compression that the environment asks for.
    pub(crate) compression: Compression,
    pub(crate) has_identity: bool,
    /// Nobody has named an endpoint: it is the one that is usual.
    pub(crate) is_default: bool,
}

/// Everything that was found out.
#[derive(Debug, Default)]
pub(crate) struct ProbeResults {
    pub(crate) connections: Connections,
    pub(crate) tls: Option<Handshake>,
    pub(crate) spoken: Option<PlainProtocols>,
    pub(crate) requests: RequestOutcomes,
}

/// Asks. `Err` says why the endpoint cannot be asked.
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
    // The resolver may hang: nobody waits for it.
    runtime.shutdown_background();
    report.observations = findings::observations(&target, &results);
    report.findings = findings::findings(&target, &results);
    mask_secrets(&mut report, &secrets);
    Ok(report)
}

/// The route of logs, as the variables and the argument say, though something may say that nothing is sent.
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
    let settings = Settings { otlp: Some(otlp), ..Settings::default() };
    let config = settings.resolve(&environment).map_err(|error| error.to_string())?;
    config.otlp.delivery.map(|delivery| delivery.route).ok_or_else(|| "nothing is to be sent".to_owned())
}

fn target(options: &EndpointOptions<'_>, route: &Route) -> Result<ProbeTarget, String> {
    let uri = route.endpoint.uri();
    let host = uri.host().ok_or_else(|| "the endpoint names no host".to_owned())?;
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
            && options.environment.first(&ENDPOINTS).is_none(),
    })
}

/// Name and connections first; where there are any, everything else at once.
async fn probe(target: &ProbeTarget, route: &Route, may_send: bool) -> ProbeResults {
    // Through a proxy, nothing is known of the endpoint but what requests say.
    if route.proxy.is_some() {
        let is_local = false;
        return ProbeResults {
            requests: requests::send_all(route, may_send || is_local, target).await,
            ..ProbeResults::default()
        };
    }
    let connections = connect::connect_all(&target.host, target.port).await;
    let Some(address) = connections.first_open_address() else {
        return ProbeResults { connections, ..ProbeResults::default() };
    };
    let may_send = may_send || is_loopback(address.ip());
    let (tls, spoken, requests) = tokio::join!(
        tls::handshake(address, &target.host),
        plaintext::detect(address, target),
        requests::send_all(route, may_send, target),
    );
    ProbeResults { connections, tls: Some(tls), spoken: Some(spoken), requests }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A server may repeat the key in its words.
fn mask_secrets(report: &mut StageReport, secrets: &Secrets) {
    let hide = |text: &mut String| secrets.hide(text);
    report.observations.iter_mut().for_each(hide);
    for finding in &mut report.findings {
        hide(&mut finding.text);
        hide(&mut finding.evidence);
        finding.help.iter_mut().for_each(hide);
    }
}
