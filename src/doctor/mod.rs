//! What `logbridge doctor` looks at: a project, the environment, an endpoint. Facts are gathered first, and findings follow
//! from them.
//!
//! Constraints: nothing is changed (cargo writes a lock file where there is none), nothing but the endpoint is asked over
//! the network, everything has a deadline; no key, header value, or user and password of a URL is in what it says.

pub(crate) mod endpoint;
pub(crate) mod environment;
pub(crate) mod project;

use crate::finding::{Finding, Severity};

/// What one stage has to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkup {
    pub(crate) stage: &'static str,
    /// What was looked at, in a few words.
    pub(crate) seen: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// Why nothing was looked at.
    pub(crate) skipped: Option<String>,
}

impl Checkup {
    /// Whether anything is more than good to know.
    pub(crate) fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}
