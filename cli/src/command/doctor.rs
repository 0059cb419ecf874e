//! `logbridge doctor`: checks for causes of missing logs.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::exit_status::{CommandError, ExitStatus};
use super::findings;
use super::terminal::{self, Style, paint, print, sanitize};
use crate::doctor::{StageReport, endpoint, environment, project};
use logbridge::internals::config::Environment;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind};

/// Check a project, its environment and its endpoint for causes of missing logs
///
/// Works for projects with logbridge and for projects with the stock OpenTelemetry SDK.
///
/// Nothing of the project is compiled or run, and its files are left unchanged. Cargo and rustc are run offline and
/// outside the project, so that its compiler, wrappers, environment variables and toolchain settings have no effect.
/// Keys, headers and passwords are never printed.
///
/// Exits with 0 if there are no findings other than notes, and with 1 otherwise. `logbridge explain LB045` explains a
/// finding.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// What to check [default: everything]
    #[arg(value_enum)]
    stages: Vec<Stage>,
    /// Path to Cargo.toml [default: searched for in this directory and its parents]
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Check only this package of a workspace
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// Check only release builds [default: debug and release]
    #[arg(long, conflicts_with = "profile")]
    release: bool,
    /// Check only builds with this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Comma-separated list of features to activate
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// Activate all features
    #[arg(long)]
    all_features: bool,
    /// Do not activate the default features
    #[arg(long)]
    no_default_features: bool,
    /// Endpoint: a base URL, or one that ends in /v1/logs [default: from the environment]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Do not use the network
    #[arg(long)]
    offline: bool,
    /// Also send a record and a large request to an endpoint on another machine
    #[arg(long)]
    send: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Stage {
    /// Cargo.toml, the features of all dependencies, and the source code
    Project,
    /// RUST_LOG, OTEL_*, HYPERDX_*, LOGBRIDGE_* and the proxy variables
    Environment,
    /// Name, address, TLS, protocol, path and key, by an empty request; an endpoint on this machine also gets a record
    Endpoint,
}

/// A project with its source code.
struct Project {
    loaded: project::Loaded,
    sources: project::Sources,
}

impl Doctor {
    #[must_use]
    pub(crate) fn run(self) -> ExitStatus {
        terminal::divert_notices();
        let environment = Environment::process();
        match self.check(&environment) {
            Ok(reports) => {
                let is_success = reports.iter().all(StageReport::has_only_notes);
                print(&match self.json {
                    true => terminal::json(&format!("{:#}\n", as_json(&reports))),
                    false => reports.iter().map(text).chain([summary(&reports)]).collect::<String>(),
                });
                ExitStatus::success_if(is_success)
            }
            Err(error) => error.report(),
        }
    }

    fn wants(&self, stage: Stage) -> bool {
        self.stages.is_empty() || self.stages.contains(&stage)
    }

    fn check(&self, environment: &Environment) -> Result<Vec<StageReport>, CommandError> {
        let spinner = Spinner::new(environment.get("TERM") == Some("dumb"));
        spinner.set_message("reading the project");
        let project = self.load(environment)?;
        let features = project::FeatureSelection {
            all: self.all_features,
            no_default: self.no_default_features,
            named: self.features.clone(),
        };
        let profile = if self.release { Some("release") } else { self.profile.as_deref() };
        let facts = project.as_ref().ok().map(|project| {
            let Project { loaded, sources } = project;
            project::Facts::new(&loaded.graph, &loaded.profiles, profile, sources, environment, &features)
        });
        let mut reports = Vec::new();
        if self.wants(Stage::Project) {
            reports.push(match (&project, &facts) {
                (Ok(project), Some(facts)) => self.project(project, facts),
                (Err(why), _) => skipped("project", why.clone()),
                _ => skipped("project", String::new()),
            });
        }
        let environment_report = environment::check(environment, self.endpoint.as_deref(), facts.as_ref());
        if let Some(why) = environment_report.endpoint_error {
            return Err(CommandError::usage(why, "write a URL such as http://localhost:4318"));
        }
        // Findings about the URL are shown with the endpoint if the environment is not checked.
        let url_codes = [&kind::BAD_URL, &kind::DOUBLED_PATH, &kind::MISSING_PATH].map(|kind| kind.code);
        let mut url_findings = environment_report.report.findings.clone();
        url_findings.retain(|finding| url_codes.contains(&finding.code));
        if self.wants(Stage::Environment) {
            reports.push(environment_report.report);
            url_findings.clear();
        }
        if self.wants(Stage::Endpoint) {
            spinner.set_message("checking the endpoint");
            let stock = facts.as_ref().filter(|facts| facts.uses.stock_logs && !facts.uses.logbridge);
            // A project without the stock SDK may send nothing itself. The variables are then meant for other programs.
            let effective = match stock {
                Some(facts) => environment::effective_environment(environment, Some(facts)),
                None => environment.clone(),
            };
            let options = endpoint::EndpointOptions {
                environment: &effective,
                named: self.endpoint.as_deref(),
                is_explicit: self.stages.contains(&Stage::Endpoint),
                may_send: self.send,
                has_stock: stock.is_some(),
                in_code: stock.map_or((None, false), |facts| {
                    (project::endpoint_in_code(facts), facts.uses.grpc && !facts.uses.http)
                }),
            };
            let mut report = match self.offline {
                true => skipped("endpoint", "--offline is set".to_owned()),
                false => endpoint::check(&options)
                    .map_err(|why| CommandError::usage(why, "write a URL such as http://localhost:4318"))?,
            };
            report.findings.splice(0..0, url_findings);
            reports.push(report);
        }
        Ok(reports)
    }

    /// Loads the project. The inner error is why there is none, if the user did not ask for one explicitly.
    fn load(&self, environment: &Environment) -> Result<Result<Project, String>, CommandError> {
        // Without any stage or endpoint, the project is required.
        let is_all = self.stages.is_empty() && self.endpoint.is_none();
        let is_named = self.manifest_path.is_some() || self.package.is_some();
        let is_explicit = is_all || is_named || self.stages.contains(&Stage::Project);
        let none = |why: String, help: &str| match is_explicit {
            true => Err(CommandError::usage(why, help)),
            false => Ok(Err(why)),
        };
        let manifest = match &self.manifest_path {
            Some(path) if path.is_dir() => path.join("Cargo.toml"),
            Some(path) => path.clone(),
            None => {
                let found = std::path::absolute(".").ok().and_then(|folder| project::find_manifest(&folder));
                match found {
                    Some(found) => found,
                    None => {
                        let help = "pass --manifest-path, or check only `environment` or `endpoint`";
                        return none("no Cargo.toml in this directory or its parents".to_owned(), help);
                    }
                }
            }
        };
        let manifest = std::path::absolute(&manifest).unwrap_or(manifest);
        let mut loaded = match project::load(environment, &manifest) {
            Ok(loaded) => loaded,
            Err(error) => return none(error.text, error.help),
        };
        if let Some(profile) = self.profile.as_ref().filter(|profile| !loaded.profiles.contains(profile)) {
            return Err(CommandError::usage(
                format!("unknown profile `{profile}`"),
                "use a built-in profile or one from Cargo.toml",
            ));
        }
        if let Some(name) = &self.package {
            let graph = &mut loaded.graph;
            graph.members.retain(|at| graph.packages.get(*at).is_some_and(|package| package.name == *name));
            if graph.members.is_empty() {
                return Err(CommandError::usage(
                    format!("the project has no package `{name}`"),
                    "use the name of a workspace member",
                ));
            }
        }
        let has = |name: &String| {
            let feature = name.rsplit('/').next().unwrap_or(name);
            let mut members = loaded.graph.members.iter().filter_map(|at| loaded.graph.packages.get(*at));
            members.any(|package| package.features.contains_key(feature))
        };
        if let Some(name) = self.features.iter().find(|name| !has(name)) {
            let members = loaded.graph.members.iter().filter_map(|at| loaded.graph.packages.get(*at));
            let mut available: Vec<&str> = members.flat_map(|p| p.features.keys().map(String::as_str)).collect();
            // By Cargo's convention, a feature with an underscore is private.
            available.retain(|name| !name.starts_with('_'));
            available.sort_unstable();
            available.dedup();
            let help = match available.is_empty() {
                true => "remove --features: the project declares no features".to_owned(),
                false => format!("available features: {}", available.join(", ")),
            };
            return Err(CommandError::usage(format!("the project has no feature `{name}`"), help));
        }
        let sources = project::Sources::read(&loaded.graph);
        Ok(Ok(Project { loaded, sources }))
    }

    fn project(&self, project: &Project, facts: &project::Facts<'_>) -> StageReport {
        let mut observations = project::observations(facts, &project.loaded.graph.root);
        if let Some(why) = &project.loaded.cargo_failed {
            observations.push(format!("Cargo.lock was read instead because `cargo metadata` failed: {why}"));
        }
        StageReport { stage: "project", observations, findings: project::check(facts), skipped: None }
    }
}

fn skipped(stage: &'static str, why: String) -> StageReport {
    StageReport { stage, skipped: Some(why), ..StageReport::default() }
}

fn text(report: &StageReport) -> String {
    let mut text = format!("{}\n", paint(Style::Bold, report.stage));
    if let Some(why) = &report.skipped {
        text.push_str(&format!("  {}\n", paint(Style::Dim, &format!("not checked: {}", sanitize(why)))));
    }
    for line in &report.observations {
        text.push_str(&format!("  {}\n", paint(Style::Dim, &sanitize(line))));
    }
    for finding in &report.findings {
        for line in findings::render(finding).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if report.findings.is_empty() && report.skipped.is_none() {
        text.push_str(&format!("  {}\n", paint(Style::Success, "no findings")));
    }
    text.push('\n');
    text
}

/// Returns the numbers of errors, warnings and notes.
fn counts(reports: &[StageReport]) -> [usize; 3] {
    let all = || reports.iter().flat_map(|report| &report.findings);
    [Severity::Error, Severity::Warning, Severity::Note]
        .map(|severity| all().filter(|finding| finding.severity == severity).count())
}

fn summary(reports: &[StageReport]) -> String {
    let counted = counts(reports);
    let words = ["error", "warning", "note"].into_iter().zip(counted).filter(|(_, number)| *number > 0);
    let words: Vec<String> =
        words.map(|(word, number)| format!("{number} {word}{}", if number == 1 { "" } else { "s" })).collect();
    // The first of the most severe findings.
    let findings = reports.iter().flat_map(|report| &report.findings);
    match findings.min_by_key(|finding| std::cmp::Reverse(finding.severity)) {
        Some(worst) => format!("{}; `logbridge explain {}` explains a finding\n", words.join(", "), worst.code),
        None => String::new(),
    }
}

fn as_json(reports: &[StageReport]) -> Value {
    let [errors, warnings, notes] = counts(reports);
    let stages = reports.iter().map(|report| {
        json!({
            "stage": report.stage,
            "skipped": report.skipped,
            "seen": report.observations,
            "findings": report.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    });
    json!({ "stages": stages.collect::<Vec<_>>(), "errors": errors, "warnings": warnings, "notes": notes })
}

/// A spinner with a message, shown on terminals only.
struct Spinner(Option<ProgressBar>);

impl Spinner {
    fn new(is_dumb: bool) -> Self {
        let bar = (io::stderr().is_terminal() && !is_dumb).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self(bar)
    }

    fn set_message(&self, text: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
