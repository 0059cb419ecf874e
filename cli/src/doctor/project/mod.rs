//! The stage `project`: what a project is built from, and what its source says, against what is known to lose logs.
//!
//! Pure from [`Facts`] on. A finding is for a project that would lose something: most of what loses records with the stock
//! SDK does no harm with logbridge, and is not found there.

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

/// Everything that the rules are about.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) build: Build,
    pub(crate) profiles: &'a Profiles,
    /// The only profile that is asked about; `None` for the two usual ones.
    pub(crate) profile: Option<&'a str>,
    pub(crate) sources: &'a Sources,
    pub(crate) environment: &'a Environment,
    pub(crate) uses: Uses,
}

/// What the project uses for its logs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) logbridge: bool,
    /// The SDK's own batch processor and exporter.
    pub(crate) stock_logs: bool,
    /// The stock exporter speaks this.
    pub(crate) http: bool,
    pub(crate) grpc: bool,
    /// opentelemetry-appender-tracing and -log, in code.
    pub(crate) tracing_bridge: bool,
    pub(crate) log_bridge: bool,
}

impl<'a> Facts<'a> {
    /// Gathers what follows from the rest.
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
        // A provider whose processor is logbridge's exports by logbridge.
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

    /// The profiles that are asked about.
    pub(crate) fn profiles(&self) -> Vec<&'a str> {
        self.profile.map_or_else(|| vec!["dev", "release"], |profile| vec![profile])
    }

    /// The packages of the build.
    pub(crate) fn active(&self) -> impl Iterator<Item = (usize, &Package)> {
        self.build.active.iter().filter_map(|at| Some((*at, self.graph.packages.get(*at)?)))
    }

    pub(crate) fn is_named(&self, at: usize, name: &str) -> bool {
        self.is_named_by(at, |found| found == name)
    }

    pub(crate) fn is_named_by(&self, at: usize, is: impl Fn(&str) -> bool) -> bool {
        self.graph.packages.get(at).is_some_and(|package| is(&package.name))
    }

    /// Whether `name 1.2.3` is a member.
    pub(crate) fn is_member_named(&self, shown: &str) -> bool {
        self.graph.members.iter().any(|member| self.graph.name_and_version(*member) == shown)
    }

    /// Whether a package has a binary: a library leaves much to those who use it.
    pub(crate) fn is_binary_package(&self, at: usize) -> bool {
        self.graph.packages.get(at).is_some_and(|package| package.targets.iter().any(|target| target.is_binary))
    }

    /// The most that RUST_LOG asks for; nothing where it is not set.
    pub(crate) fn wanted_level(&self) -> LevelFilter {
        let spec = self.environment.get("RUST_LOG").unwrap_or_default();
        parse(spec)
            .directives
            .iter()
            .filter_map(|directive| directive.threshold.filter())
            .max()
            .unwrap_or(LevelFilter::Off)
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
    ];
    rules.into_iter().flat_map(|rule| rule(facts)).collect()
}

/// A few words on what was looked at.
pub(crate) fn observations(facts: &Facts<'_>, root: &Path) -> Vec<String> {
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let mut lines = vec![format!(
        "{}: {} of its own, {} in the build, {} of source",
        OneLine(&root.display().to_string()),
        count(facts.graph.members.len(), "package"),
        count(facts.build.active.len(), "package"),
        count(facts.sources.files.len(), "file"),
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
            (true, false) if !facts.sources.has("logbridge") => "depends on logbridge; no use of it is seen",
            (true, false) => "logs leave by logbridge",
            (true, true) => "logs leave by logbridge and by the stock SDK",
            (false, true) => "logs leave by the stock SDK",
            (false, false) => "nothing here sends logs by OTLP, as far as its source shows",
        }
        .to_owned(),
    );
    if facts.sources.is_truncated {
        lines.push("there is more source than is read".to_owned());
    }
    lines
}
