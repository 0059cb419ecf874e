//! The checks of `logbridge doctor`, in three stages: a project, its environment and its endpoint.
//!
//! Each stage first collects facts and then derives findings from them.
//!
//! * The project is left unchanged. If Cargo creates a Cargo.lock, it is removed.
//! * Only the endpoint is contacted over the network, and every request has a timeout.
//! * Keys, header values, and the user and password of a URL are never shown.

pub(crate) mod endpoint;
pub(crate) mod environment;
pub(crate) mod project;

use logbridge::internals::config::Otlp;
use logbridge::internals::finding::{Finding, Severity};

/// The variables that set the endpoint of logs for the stock SDK, in order of precedence.
const STOCK_ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The variables that set the endpoint of logs for logbridge, in order of precedence.
const LOGBRIDGE_ENDPOINTS: [&str; 3] = [STOCK_ENDPOINTS[0], STOCK_ENDPOINTS[1], "HYPERDX_API_ENDPOINT"];

/// Returns the OTLP settings for a URL from the command line. A URL that ends in `/v1/logs` is used unchanged;
/// otherwise the path is appended.
pub(crate) fn otlp_to(url: &str) -> Otlp {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if path.ends_with("/v1/logs") { Otlp::to_url(url) } else { Otlp::to(url) }
}

/// The result of one stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageReport {
    pub(crate) stage: &'static str,
    /// What was checked, one fact per line.
    pub(crate) observations: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// Why the stage was skipped, if it was.
    pub(crate) skipped: Option<String>,
}

impl StageReport {
    pub(crate) fn has_only_notes(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}
