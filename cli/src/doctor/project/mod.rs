//! The stage `project`: checks the dependencies and the source code of a project for causes of missing logs.
//!
//! Rules read [`Facts`] and perform no I/O. They report only what loses records in this project: most mistakes with the
//! stock SDK do no harm with logbridge.

mod bridges;
mod call_order;
mod cargo;
mod exit;
mod exporter;
mod files;
mod filters;
mod functions;
mod graph;
mod init;
mod levels;
mod load;
mod logbridge_features;
mod logging_words;
mod profiles;
mod server_layers;
mod source;
mod strip;
mod versions;

use std::path::Path;

use log::LevelFilter;

pub(crate) use self::exporter::endpoint_in_code;
pub(crate) use self::files::find_manifest;
pub(crate) use self::filters::{check_targets, rust_log_unset};
pub(crate) use self::graph::{Build, FeatureSelection, Graph, Package};
pub(crate) use self::load::{Loaded, load};
pub(crate) use self::profiles::Profiles;
pub(crate) use self::source::Sources;
use logbridge::internals::config::Environment;
use logbridge::internals::escape::OneLine;
use logbridge::internals::finding::Finding;
use logbridge::internals::levels::parse;

/// The input of all rules.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) build: Build,
    pub(crate) profiles: &'a Profiles,
    /// The only profile to check. `None` means `dev` and `release`.
    pub(crate) profile: Option<&'a str>,
    pub(crate) sources: &'a Sources,
    pub(crate) environment: &'a Environment,
    pub(crate) uses: Uses,
}

/// The crates that the project uses for its logs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) logbridge: bool,
    /// A log provider of the SDK that exports without logbridge.
    pub(crate) stock_logs: bool,
    /// Whether the stock exporter uses HTTP, and whether it uses gRPC.
    pub(crate) http: bool,
    pub(crate) grpc: bool,
    /// Whether code uses the bridges of opentelemetry-appender-tracing and opentelemetry-appender-log.
    pub(crate) tracing_bridge: bool,
    pub(crate) log_bridge: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(
        graph: &'a Graph,
        profiles: &'a Profiles,
        profile: Option<&'a str>,
        sources: &'a Sources,
        environment: &'a Environment,
        chosen: &FeatureSelection,
    ) -> Self {
        let build = graph.build(chosen);
        let mut facts = Self { graph, build, profiles, profile, sources, environment, uses: Uses::default() };
        facts.uses = facts.find_uses();
        facts
    }

    fn find_uses(&self) -> Uses {
        let logbridge = self.graph.has(&self.build, "logbridge");
        let has = |word: &str| self.sources.has(word);
        let has_provider = has("SdkLoggerProvider") || has("LoggerProvider::builder") || has("BatchLogProcessor");
        // A provider with the processor of logbridge exports with logbridge.
        let is_ours =
            logbridge && (has("logbridge::LogProcessor") || (has("LogProcessor") && !has("BatchLogProcessor")));
        Uses {
            logbridge,
            stock_logs: has_provider && !is_ours && !self.is_logbridge_itself(),
            http: has(".with_http()") || !has(".with_tonic()"),
            grpc: has(".with_tonic()"),
            tracing_bridge: has("OpenTelemetryTracingBridge") && !self.is_logbridge_itself(),
            log_bridge: has("OpenTelemetryLogBridge") && !self.is_logbridge_itself(),
        }
    }

    fn is_logbridge_itself(&self) -> bool {
        self.graph.members.iter().any(|member| self.is_named(*member, "logbridge"))
    }

    /// Returns the names of the profiles to check.
    pub(crate) fn profiles(&self) -> Vec<&'a str> {
        self.profile.map_or_else(|| vec!["dev", "release"], |profile| vec![profile])
    }

    /// Returns the packages of the build, with their indices.
    pub(crate) fn active(&self) -> impl Iterator<Item = (usize, &Package)> {
        self.build.active.iter().filter_map(|at| Some((*at, self.graph.packages.get(*at)?)))
    }

    pub(crate) fn is_named(&self, at: usize, name: &str) -> bool {
        self.is_named_by(at, |found| found == name)
    }

    pub(crate) fn is_named_by(&self, at: usize, is: impl Fn(&str) -> bool) -> bool {
        self.graph.packages.get(at).is_some_and(|package| is(&package.name))
    }

    /// Returns whether `name 1.2.3` is a member.
    pub(crate) fn is_member_named(&self, shown: &str) -> bool {
        self.graph.members.iter().any(|member| self.graph.name_and_version(*member) == shown)
    }

    /// Returns whether a package has a binary. A library leaves the setup of logging to its users.
    pub(crate) fn is_binary_package(&self, at: usize) -> bool {
        self.graph.packages.get(at).is_some_and(|package| package.targets.iter().any(|target| target.is_binary))
    }

    /// Returns the most verbose level in RUST_LOG, or `Off` if it is unset.
    pub(crate) fn wanted_level(&self) -> LevelFilter {
        let spec = self.environment.get("RUST_LOG").unwrap_or_default();
        parse(spec).directives().filter_map(|directive| directive.threshold.filter()).max().unwrap_or(LevelFilter::Off)
    }
}

/// Applies every rule.
pub(crate) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let rules = [
        levels::check,
        versions::check,
        exporter::check,
        logbridge_features::check,
        bridges::check,
        init::check,
        call_order::check,
        exit::check,
        filters::check,
        server_layers::check,
    ];
    rules.into_iter().flat_map(|rule| rule(facts)).collect()
}

/// Returns what was checked, one fact per line.
pub(crate) fn observations(facts: &Facts<'_>, root: &Path) -> Vec<String> {
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let mut lines = vec![format!(
        "{}: {} in the workspace, {} in the build, {} read",
        OneLine(&root.display().to_string()),
        count(facts.graph.members.len(), "package"),
        count(facts.build.active.len(), "package"),
        count(facts.sources.files.len(), "source file"),
    )];
    let names = [
        "logbridge",
        "env_logger",
        "log",
        "tracing",
        "opentelemetry",
        "opentelemetry_sdk",
        "opentelemetry-otlp",
        "tracing-opentelemetry",
    ];
    let found: Vec<String> = names
        .iter()
        .flat_map(|name| facts.graph.named(&facts.build, name))
        .map(|(at, _)| facts.graph.name_and_version(at))
        .collect();
    if !found.is_empty() {
        lines.push(found.join(", "));
    }
    lines.push(
        match (facts.uses.logbridge, facts.uses.stock_logs) {
            (true, false) if !facts.sources.has("logbridge") => "depends on logbridge, but the code does not use it",
            (true, false) => "logs are exported by logbridge",
            (true, true) => "logs are exported by logbridge and by the stock SDK",
            (false, true) => "logs are exported by the stock SDK",
            (false, false) => "no export of logs with OTLP in the source code",
        }
        .to_owned(),
    );
    if facts.sources.is_truncated {
        lines.push("the project has more source code than was read".to_owned());
    }
    lines
}
