//! The values set on the builder.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_sdk::trace::ShouldSample;

use super::destination::{Console, LineFormat, Otlp};
use super::environment::Environment;
use super::mirror::Mirror;
use super::network_capture::NetworkCapture;
use super::overload::Overload;
use super::redact::Redact;
use super::repetition::Repetition;
use super::report::ReportTo;
use super::spool::Spool;
use crate::finding::Finding;
use crate::levels::{LevelSet, LevelVariables, MessageFilter, Origin, ParsedFilter, lint_parsed, parse};

/// The settings made in code. `None` leaves a setting to the environment.
#[derive(Clone, Debug, Default)]
pub struct BuilderSettings {
    pub console: Option<Console>,
    pub count_below: Option<log::LevelFilter>,
    pub exception_events: Option<bool>,
    pub exit_timeout: Option<Duration>,
    pub first_cut_notice: Option<bool>,
    pub flush_on_signals: Option<bool>,
    pub format: LineFormat,
    pub levels: LevelSet,
    pub levels_file: Option<PathBuf>,
    pub max_bytes: Option<usize>,
    pub max_request: Option<usize>,
    /// The message filter, and the name of its origin.
    pub message_filter: Option<(MessageFilter, String)>,
    pub max_spans: Option<usize>,
    pub mirror: Option<Mirror>,
    pub network_capture: Option<NetworkCapture>,
    pub otlp: Option<Otlp>,
    pub overload: Option<Overload>,
    pub panic_hook: Option<bool>,
    /// Problems found in RUST_LOG.
    pub findings: Vec<Finding>,
    /// Filter strings in code that could not be parsed. They make `try_init` fail.
    pub problems: Vec<String>,
    pub record_ids: Option<bool>,
    pub redact: Redact,
    pub repetition: Option<Repetition>,
    pub report: Option<ReportTo>,
    pub report_on_signal: Option<bool>,
    pub resource: Vec<(String, opentelemetry::Value)>,
    pub sampler: Option<Box<dyn ShouldSample>>,
    pub schedule_delay: Option<Duration>,
    pub service_name: Option<String>,
    pub span_levels: LevelSet,
    pub spool: Option<Spool>,
    /// The variables to read the parent context from. `Some(None)` turns this off.
    pub trace_context_from_env: Option<Option<Environment>>,
    /// The variables that levels are read from.
    pub variables: LevelVariables,
}

impl BuilderSettings {
    /// Adds the filter string of an environment variable without linting it. Ignores invalid directives.
    pub fn read_filter_without_lint(&mut self, variable: &str, spec: &str) {
        self.add_filter(variable, &parse(spec), Origin::Environment);
    }

    /// Adds a filter string from a variable. Invalid directives become findings; the others take effect.
    pub(crate) fn read_filter(&mut self, by: &str, spec: &str, origin: Origin) {
        let parsed = parse(spec);
        self.findings.extend(lint_parsed(by, &parsed));
        self.add_filter(by, &parsed, origin);
    }

    fn add_filter(&mut self, by: &str, parsed: &ParsedFilter<'_>, origin: Origin) {
        self.levels.extend(parsed.directives(), origin, by);
        if let Some(Ok(filter)) = parsed.message.map(MessageFilter::new) {
            self.message_filter = Some((filter, by.to_owned()));
        }
    }

    /// Adds a filter string from code. Invalid directives make `try_init` fail.
    pub(crate) fn take_filter(&mut self, spec: &str) {
        let parsed = parse(spec);
        self.levels.extend(parsed.directives(), Origin::Code, "code");
        self.problems.extend(parsed.problems.into_iter().map(|problem| format!("`{}`: {}", problem.text, problem.why)));
        match parsed.message.map(|message| (MessageFilter::new(message), message)) {
            Some((Ok(filter), _)) => self.message_filter = Some((filter, "code".to_owned())),
            Some((Err(why), message)) => self.problems.push(format!("`/{message}`: {why}")),
            None => {}
        }
    }
}
