//! What `logbridge doctor` looks at: a project, the environment, an endpoint. Facts are gathered first, and findings follow
//! from them.
//!
//! Constraints: nothing is changed (a lock file that cargo writes where there is none is removed), nothing but the endpoint is asked over
//! the network, everything has a deadline; no key, header value, or user and password of a URL is in what it says.

pub(crate) mod endpoint;
pub(crate) mod environment;
pub(crate) mod project;

use logbridge::internals::config::Otlp;
use logbridge::internals::finding::{Finding, Severity};

/// Where a URL sends that somebody gives by hand: one that already has the path of logs is used as it is.
pub(crate) fn otlp_to(url: &str) -> Otlp {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if path.ends_with("/v1/logs") { Otlp::to_url(url) } else { Otlp::to(url) }
}

/// What one stage has to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageReport {
    pub(crate) stage: &'static str,
    /// What was looked at, in a few words.
    pub(crate) observations: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// Why nothing was looked at.
    pub(crate) skipped: Option<String>,
}

impl StageReport {
    /// Whether anything is more than good to know.
    pub(crate) fn has_only_notes(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}
