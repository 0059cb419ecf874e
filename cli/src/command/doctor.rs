//! `logbridge doctor`: what keeps logs from arriving.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::terminal::{self, Look, paint, plain, print};
use super::{Problem, Verdict, findings};
use crate::doctor::{StageReport, endpoint, environment, project};
use logbridge::internals::config::Environment;
use logbridge::internals::finding::{Finding, Severity, kind};

/// Looks for what keeps logs from arriving: in a project, in the environment, at an endpoint.
///
/// project: what Cargo.toml, the features of all dependencies and the project's own source say. It is for projects with
/// logbridge and for those with the stock SDK of OpenTelemetry. It leaves the project as it was: cargo is asked without
/// the network, and the Cargo.lock that it writes where there is none is removed. It runs nothing of the project:
/// `cargo metadata` and `rustc` of an installed toolchain only, outside of the project, without the compiler, wrappers,
/// variables and toolchain that its `.cargo/config.toml` and `rust-toolchain.toml` name. Nothing is compiled.
///
/// environment: RUST_LOG, OTEL_*, HYPERDX_*, LOGBRIDGE_* and the proxies, as a program that is started here sees them.
///
/// endpoint: name, address, TLS, protocol, path, key, and a request without records, where the environment or --endpoint
/// says; records are sent with --send, and to this machine.
///
/// No key, header or password is printed. Exits with 0 where nothing is found but notes, with 1 where something is, with 2
/// where it was asked in the wrong way. `logbridge explain LB045` tells more about a code.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// What to look at [default: all of them]
    #[arg(value_enum)]
    stages: Vec<Stage>,
    /// The Cargo.toml of the project [default: that of this folder, or of one above it]
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Only this package of a workspace
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// Only release builds [default: debug and release]
    #[arg(long, conflicts_with = "profile")]
    release: bool,
    /// Only builds of this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The features that are switched on, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// All features are switched on
    #[arg(long)]
    all_features: bool,
    /// The default features are switched off
    #[arg(long)]
    no_default_features: bool,
    /// The endpoint: a base URL, or one that ends in /v1/logs [default: as the environment says]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Use no network
    #[arg(long)]
    offline: bool,
    /// Send one record, and a large request, to an endpoint on another machine too
    #[arg(long)]
    send: bool,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Stage {
    Project,
    Environment,
    Endpoint,
}

/// What the stage `project` has loaded.
struct Project {
    loaded: project::Loaded,
    sources: project::Sources,
}

impl Doctor {
    /// Looks at everything, and prints what was found.
    #[must_use]
    pub(crate) fn run(self) -> Verdict {
        terminal::listen();
        let environment = Environment::process();
        match self.examine(&environment) {
            Ok(checkups) => {
                let has_only_notes = checkups.iter().all(StageReport::has_only_notes);
                print(&match self.json {
                    true => terminal::json(&format!("{:#}\n", as_json(&checkups))),
                    false => checkups.iter().map(text).chain([summary(&checkups)]).collect::<String>(),
                });
                Verdict::good_if(has_only_notes)
            }
            Err(problem) => problem.tell(),
        }
    }

    fn wants(&self, stage: Stage) -> bool {
        self.stages.is_empty() || self.stages.contains(&stage)
    }

    fn examine(&self, environment: &Environment) -> Result<Vec<StageReport>, Problem> {
        let spinner = Spinner::new(environment.get("TERM") == Some("dumb"));
        spinner.says("reading the project");
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
        let mut checkups = Vec::new();
        if self.wants(Stage::Project) {
            checkups.push(match (&project, &facts) {
                (Ok(project), Some(facts)) => self.project(project, facts),
                (Err(why), _) => skipped("project", why.clone()),
                _ => skipped("project", String::new()),
            });
        }
        let decided = environment::check(environment, self.endpoint.as_deref(), facts.as_ref());
        if let Some(problem) = decided.endpoint_error {
            return Err(Problem::usage(problem, "write a URL such as http://localhost:4318"));
        }
        // What decides the URL belongs to the endpoint, too, where the variables are not looked at.
        let of_url = [&kind::BAD_URL, &kind::DOUBLED_PATH, &kind::MISSING_PATH].map(|kind| kind.code);
        let mut of_endpoint = decided.report.findings.clone();
        of_endpoint.retain(|finding| of_url.contains(&finding.code));
        if self.wants(Stage::Environment) {
            checkups.push(decided.report);
            of_endpoint.clear();
        }
        if self.wants(Stage::Endpoint) {
            spinner.says("asking the endpoint");
            let stock = facts.as_ref().filter(|facts| facts.uses.stock_logs && !facts.uses.logbridge);
            // A project that sends nothing may have others beside it that do.
            let read = match stock {
                Some(facts) => environment::effective_environment(environment, Some(facts)),
                None => environment.clone(),
            };
            let asked = endpoint::EndpointOptions {
                environment: &read,
                named: self.endpoint.as_deref(),
                is_explicit: self.stages.contains(&Stage::Endpoint),
                may_send: self.send,
                has_stock: stock.is_some(),
                in_code: stock.map_or((None, false), |facts| {
                    (project::endpoint_in_code(facts), facts.uses.grpc && !facts.uses.http)
                }),
            };
            let mut checkup = match self.offline {
                true => skipped("endpoint", "--offline says so".to_owned()),
                false => endpoint::check(&asked)
                    .map_err(|why| Problem::usage(why, "write a URL such as http://localhost:4318"))?,
            };
            checkup.findings.splice(0..0, of_endpoint);
            checkups.push(checkup);
        }
        Ok(checkups)
    }

    /// The project; the inner error says why there is none to look at.
    fn load(&self, environment: &Environment) -> Result<Result<Project, String>, Problem> {
        // Who asks for nothing else asks for the project.
        let is_all = self.stages.is_empty() && self.endpoint.is_none();
        let is_named = self.manifest_path.is_some() || self.package.is_some();
        let is_explicit = is_all || is_named || self.stages.contains(&Stage::Project);
        let none = |why: String, help: &str| match is_explicit {
            true => Err(Problem::usage(why, help)),
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
                        let help = "name one by --manifest-path, or ask for `environment` or `endpoint` alone";
                        return none("there is no Cargo.toml here or above".to_owned(), help);
                    }
                }
            }
        };
        let manifest = std::path::absolute(&manifest).unwrap_or(manifest);
        let mut loaded = match project::load(environment, &manifest) {
            Ok(loaded) => loaded,
            Err(why) => {
                let help = match () {
                    () if why.contains("is no TOML") => "mend that line of it",
                    () if why.contains("`cargo metadata` failed") => {
                        "run `cargo fetch` where there is a network: the doctor uses none for it"
                    }
                    () => "name a Cargo.toml by --manifest-path",
                };
                return none(why, help);
            }
        };
        if let Some(profile) = self.profile.as_ref().filter(|profile| !loaded.profiles.contains(profile)) {
            return Err(Problem::usage(format!("there is no profile `{profile}`"), "name one that Cargo.toml has"));
        }
        if let Some(name) = &self.package {
            let graph = &mut loaded.graph;
            graph.members.retain(|at| graph.packages.get(*at).is_some_and(|package| package.name == *name));
            if graph.members.is_empty() {
                return Err(Problem::usage(format!("the project has no package `{name}`"), "name one of its members"));
            }
        }
        let has = |name: &String| {
            let feature = name.rsplit('/').next().unwrap_or(name);
            let mut members = loaded.graph.members.iter().filter_map(|at| loaded.graph.packages.get(*at));
            members.any(|package| package.features.contains_key(feature))
        };
        if let Some(name) = self.features.iter().find(|name| !has(name)) {
            let members = loaded.graph.members.iter().filter_map(|at| loaded.graph.packages.get(*at));
            let mut there: Vec<&str> = members.flat_map(|p| p.features.keys().map(String::as_str)).collect();
            // Cargo's convention: features with an underscore are nobody else's business.
            there.retain(|name| !name.starts_with('_'));
            there.sort_unstable();
            there.dedup();
            let help = match there.is_empty() {
                true => "leave --features out: its Cargo.toml has none".to_owned(),
                false => format!("there are: {}", there.join(", ")),
            };
            return Err(Problem::usage(format!("the project has no feature `{name}`"), help));
        }
        let sources = project::Sources::read(&loaded.graph);
        Ok(Ok(Project { loaded, sources }))
    }

    fn project(&self, project: &Project, facts: &project::Facts<'_>) -> StageReport {
        let mut seen = project::observations(facts, &project.loaded.graph.root);
        if let Some(why) = &project.loaded.cargo_failed {
            seen.push(format!("Cargo.lock was read instead, since `cargo metadata` failed: {why}"));
        }
        StageReport { stage: "project", observations: seen, findings: project::check(facts), skipped: None }
    }
}

fn skipped(stage: &'static str, why: String) -> StageReport {
    StageReport { stage, skipped: Some(why), ..StageReport::default() }
}

fn text(checkup: &StageReport) -> String {
    let mut text = format!("{}\n", paint(Look::Bold, checkup.stage));
    if let Some(why) = &checkup.skipped {
        text.push_str(&format!("  {}\n", paint(Look::Dim, &format!("not looked at: {}", plain(why)))));
    }
    for line in &checkup.observations {
        text.push_str(&format!("  {}\n", paint(Look::Dim, &plain(line))));
    }
    for finding in &checkup.findings {
        for line in findings::shown(finding).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if checkup.findings.is_empty() && checkup.skipped.is_none() {
        text.push_str(&format!("  {}\n", paint(Look::Good, "nothing found")));
    }
    text.push('\n');
    text
}

/// Errors, warnings and notes.
fn counts(checkups: &[StageReport]) -> [usize; 3] {
    let all = || checkups.iter().flat_map(|checkup| &checkup.findings);
    [Severity::Error, Severity::Warning, Severity::Note]
        .map(|severity| all().filter(|finding| finding.severity == severity).count())
}

fn summary(checkups: &[StageReport]) -> String {
    let counted = counts(checkups);
    let words = ["error", "warning", "note"].into_iter().zip(counted).filter(|(_, number)| *number > 0);
    let words: Vec<String> =
        words.map(|(word, number)| format!("{number} {word}{}", if number == 1 { "" } else { "s" })).collect();
    // The first of the worst.
    let findings = checkups.iter().flat_map(|checkup| &checkup.findings);
    match findings.min_by_key(|finding| std::cmp::Reverse(finding.severity)) {
        Some(worst) => format!("{}; `logbridge explain {}` tells more about a code\n", words.join(", "), worst.code),
        None => String::new(),
    }
}

fn as_json(checkups: &[StageReport]) -> Value {
    let [errors, warnings, notes] = counts(checkups);
    let stages = checkups.iter().map(|checkup| {
        json!({
            "stage": checkup.stage,
            "skipped": checkup.skipped,
            "seen": checkup.observations,
            "findings": checkup.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    });
    json!({ "stages": stages.collect::<Vec<_>>(), "errors": errors, "warnings": warnings, "notes": notes })
}

/// Says on a terminal what goes on.
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

    fn says(&self, text: &'static str) {
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
