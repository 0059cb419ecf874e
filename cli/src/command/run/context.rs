//! Facts from outside the program that explain its findings.

use std::collections::BTreeMap;

use super::environment::disabling_variable;
use logbridge::internals::config::Environment;

/// What the environment of a run says about its telemetry.
#[derive(Clone, Debug, Default)]
pub(super) struct RunContext {
    pub(super) rust_log: Option<String>,
    /// The variable that disables sending, with its value.
    pub(super) disabled_by: Option<String>,
    /// Endpoint variables with an invalid URL, with their values.
    pub(super) invalid_endpoints: BTreeMap<&'static str, String>,
    /// The ports on which this command receives requests.
    pub(super) ports: [u16; 2],
}

impl RunContext {
    pub(super) fn new(
        environment: &Environment,
        invalid_endpoints: BTreeMap<&'static str, String>,
        ports: [u16; 2],
    ) -> Self {
        Self {
            rust_log: environment.get("RUST_LOG").map(str::to_owned),
            disabled_by: disabling_variable(environment),
            invalid_endpoints,
            ports,
        }
    }
}
