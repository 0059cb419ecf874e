//! Code and environment become a [`Config`].

use std::time::Duration;

use log::LevelFilter;

use super::environment::{Environment, parse_bool};
use super::lint::lint;
use super::setting::{on_off, sent, time};
use super::time::bounded;
use super::{
    Config, ConsoleConfig, ConsoleTarget, Delivery, Mirror, Otlp, OtlpConfig, ResourceConfig, Setting, Settings,
    Source, defaults,
};
use crate::error::Error;
use crate::finding::{Finding, Kind, Severity, kind};
use crate::levels::{LevelSet, LevelSets, Origin, Stage, Threshold, lint_parsed, parse};
use crate::notice::{Notice, Verbosity};
use crate::os;
use crate::signal::Signal;

impl Settings {
    /// Decides everything. An error is a value given in code that cannot be used; what cannot be used in the
    /// environment becomes a finding of the result.
    pub fn resolve(&self, environment: &Environment) -> Result<Config, Error> {
        if let Some(problem) = self.problems.first() {
            return Err(Error::configuration(problem.clone())
                .with_help("directives are written as in RUST_LOG: `info,my_crate::module=debug`"));
        }
        let mut resolver =
            Resolver { environment, findings: self.findings.clone(), notices: Vec::new(), settings: Vec::new() };
        let resource = resolver.resource(self);
        let (mirror, span_mirror) = resolver.mirrors(self.mirror);
        let otlp = resolver.otlp(self)?;
        let span = resolver.spans(self, span_mirror)?;
        let carrier = resolver.carrier(self, &span.propagators);
        let console = resolver.console(self, mirror);
        let levels = resolver.level_sets(self);
        let count_below = resolver.count_below(self);
        let limits = resolver.limits();
        let (record_ids, source) = match self.record_ids {
            Some(wanted) => (wanted, Source::Code),
            None => resolver.boolean("LOGBRIDGE_RECORD_IDS").unwrap_or((false, Source::BuiltIn)),
        };
        resolver.keep("record ids", on_off(record_ids), source);
        let redaction = resolver.redaction(&self.redact)?;
        let repetition = resolver.repetition(self.repetition)?;
        let verbosity = resolver.verbosity();
        let first_cut = resolver.switch("first cut notice", self.first_cut, "LOGBRIDGE_FIRST_CUT", true);
        let flush_on_signals =
            resolver.switch("flush on signals", self.flush_on_signals, "LOGBRIDGE_FLUSH_ON_SIGNALS", false);
        let report = resolver.report(self);
        let show_levels = resolver.boolean("LOGBRIDGE_SHOW_LEVELS").is_some_and(|(wanted, _)| wanted);
        let exit_timeout =
            resolver.time("exit timeout", self.exit_timeout, &["LOGBRIDGE_EXIT_TIMEOUT"], defaults::EXIT_TIMEOUT);
        let panic_hook = self.panic_hook.unwrap_or(true);
        resolver.keep("panic hook", on_off(panic_hook), Source::code_or_built_in(self.panic_hook));
        for finding in lint(environment) {
            resolver.find(finding);
        }
        Ok(Config {
            carrier,
            console,
            count_below,
            exit_timeout,
            findings: resolver.findings,
            first_cut,
            flush_on_signals,
            limits,
            verbosity,
            message_filter: self.message_filter.clone(),
            mirror,
            levels,
            levels_file: self
                .levels_file
                .clone()
                .or_else(|| environment.get("LOGBRIDGE_LEVELS_FILE").map(std::path::PathBuf::from)),
            notices: resolver.notices,
            otlp,
            panic_hook,
            record_ids,
            redaction,
            repetition,
            report,
            resource,
            settings: resolver.settings,
            show_levels,
            span,
            variables: self.variables.clone(),
        })
    }
}

pub(super) struct Resolver<'a> {
    pub(super) environment: &'a Environment,
    findings: Vec<Finding>,
    notices: Vec<Notice>,
    settings: Vec<Setting>,
}

impl Resolver<'_> {
    /// Keeps a finding, unless it was kept already for the other signal.
    pub(super) fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// What cannot be used, and is ignored.
    pub(super) fn error(&mut self, kind: &'static Kind, variable: &str, problem: &str, help: &str) {
        self.find(Finding::new(kind, Severity::Error, variable, problem).help(help));
    }

    /// Keeps what was decided, for those who ask why.
    pub(super) fn keep(&mut self, name: &'static str, value: impl Into<String>, source: Source) {
        self.settings.push(Setting { name, value: value.into(), source });
    }

    fn resource(&mut self, settings: &Settings) -> ResourceConfig {
        const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = ResourceConfig::default();
        for problem in resource.read(self.environment) {
            self.error(&kind::BAD_VALUE, VARIABLE, &problem, "write key=value,key=value, values percent-encoded");
        }
        let mut source = match (&resource.service_name, resource.name_among_attributes()) {
            (Some(_), _) => Source::Variable("OTEL_SERVICE_NAME"),
            (None, Some(_)) => Source::Variable(VARIABLE),
            (None, None) => Source::BuiltIn,
        };
        let counts = [(resource.attributes.len(), Source::Variable(VARIABLE)), (settings.resource.len(), Source::Code)];
        resource.attributes.extend(settings.resource.iter().cloned());
        let named = settings.resource.iter().any(|(key, _)| key == "service.name") && resource.service_name.is_none();
        if settings.service_name.is_some() {
            resource.service_name.clone_from(&settings.service_name);
        }
        if settings.service_name.is_some() || named {
            source = Source::Code;
        }
        self.keep("service name", resource.service_name(), source);
        if resource.attributes.is_empty() {
            self.keep("resource attributes", "none", Source::BuiltIn);
        }
        for (count, source) in counts.into_iter().filter(|(count, _)| *count > 0) {
            self.keep("resource attributes", count.to_string(), source);
        }
        resource
    }

    pub(super) fn levels(&mut self, code: &LevelSet, variable: &'static str) -> LevelSet {
        let mut set = code.clone();
        if let Some(spec) = self.environment.get(variable) {
            let parsed = parse(spec);
            for finding in lint_parsed(variable, &parsed) {
                self.find(finding);
            }
            set.extend(parsed.directives, Origin::Environment, variable);
            if parsed.message.is_some() {
                self.error(
                    &kind::MESSAGE_FILTER,
                    variable,
                    "a filter on the text of records belongs to RUST_LOG",
                    "unset it",
                );
            }
        }
        set
    }

    fn level_sets(&mut self, settings: &Settings) -> LevelSets {
        let otlp = settings.otlp.as_ref().map(|otlp| otlp.levels.clone()).unwrap_or_default();
        let console = settings.console.as_ref().map(|console| console.levels.clone()).unwrap_or_default();
        LevelSets {
            module: settings.levels.clone(),
            otlp: self.levels(&otlp, Stage::Otlp.variable()),
            console: self.levels(&console, Stage::Console.variable()),
            span: self.levels(&settings.span_levels, Stage::Span.variable()),
        }
    }

    /// The specification's level of the SDK's own voice.
    fn verbosity(&mut self) -> Verbosity {
        const VARIABLE: &str = "OTEL_LOG_LEVEL";
        let Some(value) = self.environment.get(VARIABLE) else { return Verbosity::default() };
        match value.to_ascii_lowercase().as_str() {
            "none" | "off" | "error" | "fatal" => Verbosity::Silent,
            "warn" | "warning" => Verbosity::Warnings,
            "info" | "debug" | "trace" | "verbose" | "all" => Verbosity::All,
            _ => {
                let problem = format!("`{value}` is no level, so logbridge says what it has to say");
                self.error(
                    &kind::BAD_VALUE,
                    VARIABLE,
                    &problem,
                    "write none, warn or info; the application's levels are in RUST_LOG",
                );
                Verbosity::default()
            }
        }
    }

    fn count_below(&mut self, settings: &Settings) -> LevelFilter {
        const VARIABLE: &str = "LOGBRIDGE_COUNT_BELOW";
        if let Some(filter) = settings.count_below {
            return filter;
        }
        let Some(value) = self.environment.get(VARIABLE) else { return LevelFilter::Off };
        let filter = value.parse().ok().and_then(|threshold: Threshold| threshold.filter());
        filter.unwrap_or_else(|| {
            let problem = format!("`{value}` is no level, so nothing more is counted");
            self.error(&kind::BAD_VALUE, VARIABLE, &problem, "write a level, such as debug");
            LevelFilter::Off
        })
    }

    /// The debug mirror of records, and that of spans.
    fn mirrors(&mut self, code: Option<Mirror>) -> (Mirror, Mirror) {
        let (logs, spans) = self.mirrors_with_sources(code);
        self.keep("mirror of logs", shown(logs.0), logs.1);
        self.keep("mirror of spans", shown(spans.0), spans.1);
        (logs.0, spans.0)
    }

    fn mirrors_with_sources(&mut self, code: Option<Mirror>) -> ((Mirror, Source), (Mirror, Source)) {
        if let Some(mirror) = code {
            return ((mirror, Source::Code), (mirror, Source::Code));
        }
        let (by, items, mirrors) = if self.debug() == Some(true) {
            let mirror = (Mirror::Text, Source::Variable("DEBUG"));
            ("DEBUG", "record and span", (mirror, mirror))
        } else {
            let [logs, traces] = ["OTEL_LOGS_EXPORTER", "OTEL_TRACES_EXPORTER"].map(|variable| {
                match self.exporters(variable).is_some_and(|exporters| exporters.contains(&"console")) {
                    true => (Mirror::Text, Source::Variable(variable)),
                    false => (Mirror::Off, Source::BuiltIn),
                }
            });
            match (logs.0, traces.0) {
                (Mirror::Off, Mirror::Off) => return (logs, traces),
                (_, Mirror::Off) => ("OTEL_LOGS_EXPORTER", "record", (logs, traces)),
                (Mirror::Off, _) => ("OTEL_TRACES_EXPORTER", "span", (logs, traces)),
                _ => ("OTEL_LOGS_EXPORTER, OTEL_TRACES_EXPORTER", "record and span", (logs, traces)),
            }
        };
        self.notices.push(
            Notice::information(
                "mirror",
                format!("debug mirror is on ({by}): each {items} is printed on stdout as it is shipped"),
            )
            .help(format!("unset {by} to print the console's lines only")),
        );
        mirrors
    }

    /// DEBUG is a variable of many: another library may know what to do with a value that is none of ours.
    fn debug(&mut self) -> Option<bool> {
        let value = self.environment.get("DEBUG")?;
        let wanted = parse_bool(value);
        if wanted.is_none() {
            let problem = format!("`{value}` is neither true nor false, so the debug mirror stays off");
            self.find(
                Finding::new(&kind::DEBUG_OTHER, Severity::Warning, "DEBUG", problem)
                    .help("write DEBUG=true to print each record and span as it is shipped"),
            );
        }
        wanted
    }

    /// `true 1 yes on`, `false 0 no off`.
    pub(super) fn boolean(&mut self, variable: &'static str) -> Option<(bool, Source)> {
        let value = self.environment.get(variable)?;
        let wanted = parse_bool(value);
        if wanted.is_none() {
            let problem = format!("`{value}` is neither true nor false, so it has no effect");
            self.error(&kind::BAD_VALUE, variable, &problem, "write true or false");
        }
        Some((wanted?, Source::Variable(variable)))
    }

    /// Decides something that is on or off, and keeps who did.
    pub(super) fn switch(
        &mut self,
        name: &'static str,
        code: Option<bool>,
        variable: &'static str,
        built_in: bool,
    ) -> bool {
        let (decided, source) = match code {
            Some(wanted) => (wanted, Source::Code),
            None => self.boolean(variable).unwrap_or((built_in, Source::BuiltIn)),
        };
        self.keep(name, on_off(decided), source);
        decided
    }

    /// The entries of a variable that names exporters, where it is set.
    fn exporters(&self, variable: &str) -> Option<Vec<&str>> {
        self.environment.get(variable).map(|list| list.split(',').map(str::trim).collect())
    }

    /// Whether that variable names otlp, where it is set.
    pub(super) fn names_otlp(&mut self, variable: &'static str) -> Option<bool> {
        let exporters = self.exporters(variable)?;
        let known = ["otlp", "console", "none"];
        let unknown: Vec<String> =
            exporters.iter().filter(|name| !known.contains(name)).map(|name| (*name).to_owned()).collect();
        let has_otlp = exporters.contains(&"otlp") || unknown.len() == exporters.len();
        for name in unknown {
            let problem = format!("`{name}` is no exporter that logbridge knows");
            self.error(&kind::UNKNOWN_VALUE, variable, &problem, "write otlp, console, none or a list of them");
        }
        Some(has_otlp)
    }

    fn console(&mut self, settings: &Settings, mirror: Mirror) -> ConsoleConfig {
        let code = settings.console.clone();
        let (target, source) = match &code {
            Some(console) => (console.target.clone(), Source::Code),
            None => self.console_target(),
        };
        let wanted = format!("{target:?}");
        let target = match target {
            // The mirror shows the same records in the same place, with more in each line.
            ConsoleTarget::Stdout if mirror != Mirror::Off => ConsoleTarget::Off,
            ConsoleTarget::Stderr if mirror != Mirror::Off && os::stdout_is_stderr() => ConsoleTarget::Off,
            target => target,
        };
        let is_replaced = matches!(target, ConsoleTarget::Off) && wanted != "off";
        let value = if is_replaced { format!("off: the mirror has its place on {wanted}") } else { wanted };
        self.keep("console", value, source);
        ConsoleConfig { format: settings.format.clone(), target }
    }

    fn console_target(&mut self) -> (ConsoleTarget, Source) {
        const VARIABLE: &str = "LOGBRIDGE_CONSOLE";
        match self.environment.get(VARIABLE).map(str::to_ascii_lowercase).as_deref() {
            None => (ConsoleTarget::Stderr, Source::BuiltIn),
            Some("stderr") => (ConsoleTarget::Stderr, Source::Variable(VARIABLE)),
            Some("stdout") => (ConsoleTarget::Stdout, Source::Variable(VARIABLE)),
            Some("off" | "none") => (ConsoleTarget::Off, Source::Variable(VARIABLE)),
            Some(other) => {
                let problem = format!("`{other}` is no console, so it stays on stderr");
                self.error(&kind::UNKNOWN_VALUE, VARIABLE, &problem, "write stderr, stdout or off");
                (ConsoleTarget::Stderr, Source::BuiltIn)
            }
        }
    }

    fn otlp(&mut self, settings: &Settings) -> Result<OtlpConfig, Error> {
        let code = settings.otlp.clone();
        self.check_disabled();
        let (off_because, source) = self.otlp_off(code.as_ref());
        self.keep("logs", sent(off_because), source);
        let trace_based = code.as_ref().is_some_and(|otlp| otlp.trace_based);
        self.keep("trace based", on_off(trace_based), Source::code_or_built_in(trace_based.then_some(())));
        let delivery = match off_because {
            Some(_) => None,
            None => Some(self.delivery(settings, &code.unwrap_or_default())?),
        };
        Ok(OtlpConfig { delivery, off_because, trace_based })
    }

    /// Whether the whole SDK is switched off.
    pub(super) fn is_disabled(&self) -> bool {
        self.environment.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn check_disabled(&mut self) {
        if let Some(value) = self.environment.get("OTEL_SDK_DISABLED")
            && !["true", "false"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            let problem = format!("`{}` is neither true nor false, so it counts as false", value.to_ascii_lowercase());
            self.error(&kind::BAD_VALUE, "OTEL_SDK_DISABLED", &problem, "write true or false");
        }
    }

    fn otlp_off(&mut self, code: Option<&Otlp>) -> (Option<&'static str>, Source) {
        const EXPORTER: &str = "OTEL_LOGS_EXPORTER";
        if self.is_disabled() {
            return (Some("OTEL_SDK_DISABLED is true"), Source::Variable("OTEL_SDK_DISABLED"));
        }
        if let Some(otlp) = code {
            return (otlp.off.then_some("code says Otlp::off()"), Source::Code);
        }
        if let Some(has_otlp) = self.names_otlp(EXPORTER) {
            let why = (!has_otlp).then_some("OTEL_LOGS_EXPORTER does not name otlp");
            return (why, Source::Variable(EXPORTER));
        }
        let is_mentioned = self.environment.mentions_opentelemetry();
        ((!is_mentioned).then_some("neither code nor environment mentions OpenTelemetry"), Source::BuiltIn)
    }

    fn delivery(&mut self, settings: &Settings, code: &Otlp) -> Result<Delivery, Error> {
        let route = self.route(code, Signal::Logs)?;
        let schedule_delay =
            self.time("logs delay", settings.schedule_delay, &["OTEL_BLRP_SCHEDULE_DELAY"], defaults::SCHEDULE_DELAY);
        let max_bytes = self.max_bytes(settings);
        let max_queue = self.optional("logs queue", &["OTEL_BLRP_MAX_QUEUE_SIZE"], 1);
        let max_batch = self.optional("logs batch", &["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"], 1);
        // A batch is no larger than the queue it is taken from.
        let max_batch = max_batch.map(|batch| max_queue.map_or(batch, |queue| batch.min(queue)));
        let overload = self.overload(settings);
        let max_request = self.max_request(settings);
        let spool = self.spool(settings);
        Ok(Delivery { route, max_batch, max_queue, max_bytes, max_request, overload, schedule_delay, spool })
    }

    /// Decides a time, and keeps who did.
    pub(super) fn time(
        &mut self,
        name: &'static str,
        code: Option<Duration>,
        variables: &[&'static str],
        built_in: Duration,
    ) -> Duration {
        let (decided, source) = match code {
            Some(code) => (code, Source::Code),
            None => self.duration(variables).unwrap_or((built_in, Source::BuiltIn)),
        };
        let decided = bounded(decided);
        self.keep(name, time(decided), source);
        decided
    }

    /// A bound that is none unless a variable says so.
    pub(super) fn optional(&mut self, name: &'static str, variables: &[&'static str], least: usize) -> Option<usize> {
        let (variable, value) = self.environment.first(variables)?;
        let Some(number) = value.parse::<usize>().ok().filter(|number| *number >= least) else {
            // The words of the limits of spans, so that a variable for both is spoken of once.
            let (what, help) = match least {
                0 => ("number", "write a whole number, such as 128"),
                _ => ("number above 0", "write a whole number, such as 2048"),
            };
            self.error(&kind::BAD_VALUE, variable, &format!("`{value}` is no {what}; the default is used"), help);
            return None;
        };
        self.keep(name, number.to_string(), Source::of(variables, variable));
        Some(number)
    }

    /// Milliseconds, or a number with `ms` or `s` behind it.
    pub(super) fn duration(&mut self, variables: &[&'static str]) -> Option<(Duration, Source)> {
        let (variable, value) = self.environment.first(variables)?;
        let duration = parse_time(value);
        if duration.is_none() {
            let problem = format!("`{value}` is no time; the default is used");
            self.error(&kind::BAD_VALUE, variable, &problem, "write milliseconds as a whole number, such as 10000");
        }
        let (duration, source) = (duration?, Source::of(variables, variable));
        self.check_time(variable, duration);
        Some((bounded(duration), source))
    }
}

fn shown(mirror: Mirror) -> &'static str {
    match mirror {
        Mirror::Off => "off",
        Mirror::Text => "text",
        Mirror::Json => "json",
    }
}

/// Milliseconds, or a number with `ms` or `s` behind it.
pub(super) fn parse_time(value: &str) -> Option<Duration> {
    let (number, unit) = split_unit(value);
    match (number.parse::<u64>(), unit) {
        (Ok(ms), "" | "ms") => Some(Duration::from_millis(ms)),
        (Ok(s), "s") => Some(Duration::from_secs(s)),
        _ => None,
    }
}

pub(super) fn split_unit(value: &str) -> (&str, &str) {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
