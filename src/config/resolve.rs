//! Resolves builder settings and environment into a [`Config`].

use log::LevelFilter;

use super::builder_settings::BuilderSettings;
use super::defaults;
use super::destination::{ConsoleTarget, Otlp};
use super::environment::{Environment, parse_bool};
use super::lint::lint;
use super::mirror::Mirror;
use super::resolved::{Config, ConsoleConfig, LogDelivery, OtlpConfig};
use super::resolver::Resolver;
use super::resource::ResourceConfig;
use super::setting::{SettingSource, on_off, on_or_off};
use crate::error::Error;
use crate::finding::{Finding, Severity, kind};
use crate::levels::{LevelSet, LevelSets, Origin, Stage, Threshold, lint_parsed, parse};
use crate::notice::{Notice, Verbosity};
use crate::os;
use crate::signal::Signal;

impl BuilderSettings {
    /// Resolves every setting. Invalid environment variables become findings.
    ///
    /// # Errors
    ///
    /// Returns an error if a value set in code is invalid.
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
        let trace_context_env = resolver.trace_context_env(self.trace_context_from_env.as_ref(), &span.propagators);
        let console = resolver.console(self, mirror);
        let levels = resolver.level_sets(self);
        let count_below = resolver.count_below(self);
        let limits = resolver.limits();
        let record_ids = resolver.bool_setting("record ids", self.record_ids, "LOGBRIDGE_RECORD_IDS", false);
        let redaction = resolver.redaction(&self.redact)?;
        let http = resolver.http(self.network_capture.as_ref(), redaction.as_ref());
        let repetition = resolver.repetition(self.repetition)?;
        let verbosity = resolver.verbosity();
        let first_cut_notice =
            resolver.bool_setting("first cut notice", self.first_cut_notice, "LOGBRIDGE_FIRST_CUT", true);
        let flush_on_signals =
            resolver.bool_setting("flush on signals", self.flush_on_signals, "LOGBRIDGE_FLUSH_ON_SIGNALS", false);
        let report = resolver.report(self.report.as_ref(), self.report_on_signal);
        let show_levels = resolver.bool_variable("LOGBRIDGE_SHOW_LEVELS").is_some_and(|(wanted, _)| wanted);
        let exit_timeout = resolver.duration_setting(
            "exit timeout",
            self.exit_timeout,
            &["LOGBRIDGE_EXIT_TIMEOUT"],
            defaults::EXIT_TIMEOUT,
        );
        let panic_hook = self.panic_hook.unwrap_or(true);
        resolver.add_setting("panic hook", on_off(panic_hook), SettingSource::code_or_built_in(self.panic_hook));
        for finding in lint(environment) {
            resolver.add_finding(finding);
        }
        Ok(Config {
            trace_context_env,
            console,
            count_below,
            exit_timeout,
            findings: resolver.findings,
            first_cut_notice,
            flush_on_signals,
            http,
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

impl Resolver<'_> {
    fn resource(&mut self, settings: &BuilderSettings) -> ResourceConfig {
        const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = ResourceConfig::default();
        for problem in resource.read(self.environment) {
            self.add_error(&kind::BAD_VALUE, VARIABLE, &problem, "write key=value,key=value, values percent-encoded");
        }
        let mut source = match (&resource.service_name, resource.service_name_attribute()) {
            (Some(_), _) => SettingSource::Variable("OTEL_SERVICE_NAME"),
            (None, Some(_)) => SettingSource::Variable(VARIABLE),
            (None, None) => SettingSource::BuiltIn,
        };
        let counts = [
            (resource.attributes.len(), SettingSource::Variable(VARIABLE)),
            (settings.resource.len(), SettingSource::Code),
        ];
        resource.attributes.extend(settings.resource.iter().cloned());
        let named = settings.resource.iter().any(|(key, _)| key == "service.name") && resource.service_name.is_none();
        if settings.service_name.is_some() {
            resource.service_name.clone_from(&settings.service_name);
        }
        if settings.service_name.is_some() || named {
            source = SettingSource::Code;
        }
        self.add_setting("service name", resource.service_name(), source);
        if resource.attributes.is_empty() {
            self.add_setting("resource attributes", "none", SettingSource::BuiltIn);
        }
        for (count, source) in counts.into_iter().filter(|(count, _)| *count > 0) {
            self.add_setting("resource attributes", count.to_string(), source);
        }
        resource
    }

    fn stage_levels(&mut self, code: &LevelSet, variable: &'static str) -> LevelSet {
        let mut set = code.clone();
        if let Some(spec) = self.environment.get(variable) {
            let parsed = parse(spec);
            for finding in lint_parsed(variable, &parsed) {
                self.add_finding(finding);
            }
            set.extend(parsed.directives(), Origin::Environment, variable);
            if parsed.message.is_some() {
                self.add_error(
                    &kind::MESSAGE_FILTER,
                    variable,
                    "a filter on the text of records works in RUST_LOG only",
                    "unset it",
                );
            }
        }
        set
    }

    fn level_sets(&mut self, settings: &BuilderSettings) -> LevelSets {
        let otlp = settings.otlp.as_ref().map(|otlp| otlp.levels.clone()).unwrap_or_default();
        let console = settings.console.as_ref().map(|console| console.levels.clone()).unwrap_or_default();
        LevelSets {
            module: settings.levels.clone(),
            otlp: self.stage_levels(&otlp, Stage::Otlp.variable()),
            console: self.stage_levels(&console, Stage::Console.variable()),
            span: self.stage_levels(&settings.span_levels, Stage::Span.variable()),
        }
    }

    /// Reads `OTEL_LOG_LEVEL`, the specification's level for the SDK's own messages.
    fn verbosity(&mut self) -> Verbosity {
        const VARIABLE: &str = "OTEL_LOG_LEVEL";
        let Some(value) = self.environment.get(VARIABLE) else { return Verbosity::default() };
        match value.to_ascii_lowercase().as_str() {
            "none" | "off" | "error" | "fatal" => Verbosity::Silent,
            "warn" | "warning" => Verbosity::Warnings,
            "info" | "debug" | "trace" | "verbose" | "all" => Verbosity::All,
            _ => {
                let problem = format!("`{value}` is not a level; all messages of logbridge are printed");
                self.add_error(
                    &kind::BAD_VALUE,
                    VARIABLE,
                    &problem,
                    "write none, warn or info; the application's levels are in RUST_LOG",
                );
                Verbosity::default()
            }
        }
    }

    fn count_below(&mut self, settings: &BuilderSettings) -> LevelFilter {
        const VARIABLE: &str = "LOGBRIDGE_COUNT_BELOW";
        if let Some(filter) = settings.count_below {
            return filter;
        }
        let Some(value) = self.environment.get(VARIABLE) else { return LevelFilter::Off };
        let filter = value.parse().ok().and_then(|threshold: Threshold| threshold.filter());
        filter.unwrap_or_else(|| {
            let problem = format!("`{value}` is not a level, so it is ignored");
            self.add_error(&kind::BAD_VALUE, VARIABLE, &problem, "write a level, such as debug");
            LevelFilter::Off
        })
    }

    /// Resolves the debug mirrors of records and of spans.
    fn mirrors(&mut self, code: Option<Mirror>) -> (Mirror, Mirror) {
        let (logs, spans) = self.mirrors_with_sources(code);
        self.add_setting("mirror of logs", logs.0.name(), logs.1);
        self.add_setting("mirror of spans", spans.0.name(), spans.1);
        (logs.0, spans.0)
    }

    fn mirrors_with_sources(&mut self, code: Option<Mirror>) -> ((Mirror, SettingSource), (Mirror, SettingSource)) {
        if let Some(mirror) = code {
            return ((mirror, SettingSource::Code), (mirror, SettingSource::Code));
        }
        let (by, items, mirrors) = if self.debug() == Some(true) {
            let mirror = (Mirror::Text, SettingSource::Variable("DEBUG"));
            ("DEBUG", "record and span", (mirror, mirror))
        } else {
            let [logs, traces] = ["OTEL_LOGS_EXPORTER", "OTEL_TRACES_EXPORTER"].map(|variable| {
                match self.exporters(variable).is_some_and(|exporters| exporters.contains(&"console")) {
                    true => (Mirror::Text, SettingSource::Variable(variable)),
                    false => (Mirror::Off, SettingSource::BuiltIn),
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
                format!("debug mirror is on ({by}): each {items} is printed on stdout as it is exported"),
            )
            .help(format!("unset {by} to print console lines only")),
        );
        mirrors
    }

    /// Reads `DEBUG`. Other libraries use this variable too, so an unknown value is only a warning.
    fn debug(&mut self) -> Option<bool> {
        let value = self.environment.get("DEBUG")?;
        let wanted = parse_bool(value);
        if wanted.is_none() {
            let problem = format!("`{value}` is neither true nor false, so the debug mirror stays off");
            self.add_finding(
                Finding::new(&kind::DEBUG_OTHER, Severity::Warning, "DEBUG", problem)
                    .help("write DEBUG=true to print each record and span as it is exported"),
            );
        }
        wanted
    }

    fn console(&mut self, settings: &BuilderSettings, mirror: Mirror) -> ConsoleConfig {
        let code = settings.console.clone();
        let (target, source) = match &code {
            Some(console) => (console.target.clone(), SettingSource::Code),
            None => self.console_target(),
        };
        let wanted = format!("{target:?}");
        let target = match target {
            // The mirror prints the same records to the same place, with more detail.
            ConsoleTarget::Stdout if mirror != Mirror::Off => ConsoleTarget::Off,
            ConsoleTarget::Stderr if mirror != Mirror::Off && os::stdout_is_stderr() => ConsoleTarget::Off,
            target => target,
        };
        let is_replaced = matches!(target, ConsoleTarget::Off) && wanted != "off";
        let value = if is_replaced { format!("off: replaced by the mirror on {wanted}") } else { wanted };
        self.add_setting("console", value, source);
        ConsoleConfig { format: settings.format.clone(), target }
    }

    fn console_target(&mut self) -> (ConsoleTarget, SettingSource) {
        const VARIABLE: &str = "LOGBRIDGE_CONSOLE";
        match self.environment.get(VARIABLE).map(str::to_ascii_lowercase).as_deref() {
            None => (ConsoleTarget::Stderr, SettingSource::BuiltIn),
            Some("stderr") => (ConsoleTarget::Stderr, SettingSource::Variable(VARIABLE)),
            Some("stdout") => (ConsoleTarget::Stdout, SettingSource::Variable(VARIABLE)),
            Some("off" | "none") => (ConsoleTarget::Off, SettingSource::Variable(VARIABLE)),
            Some(other) => {
                let problem = format!("`{other}` is not a console target; stderr is used");
                self.add_error(&kind::UNKNOWN_VALUE, VARIABLE, &problem, "write stderr, stdout or off");
                (ConsoleTarget::Stderr, SettingSource::BuiltIn)
            }
        }
    }

    fn otlp(&mut self, settings: &BuilderSettings) -> Result<OtlpConfig, Error> {
        let code = settings.otlp.clone();
        self.check_disabled();
        let (off_because, source) = self.otlp_off(code.as_ref());
        self.add_setting("logs", on_or_off(off_because), source);
        let trace_based = code.as_ref().is_some_and(|otlp| otlp.trace_based);
        self.add_setting(
            "trace based",
            on_off(trace_based),
            SettingSource::code_or_built_in(trace_based.then_some(())),
        );
        let delivery = match off_because {
            Some(_) => None,
            None => Some(self.delivery(settings, &code.unwrap_or_default())?),
        };
        Ok(OtlpConfig { delivery, off_because, trace_based })
    }

    fn check_disabled(&mut self) {
        if let Some(value) = self.environment.get("OTEL_SDK_DISABLED")
            && !["true", "false"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            let problem = format!("`{}` is neither true nor false; false is used", value.to_ascii_lowercase());
            self.add_error(&kind::BAD_VALUE, "OTEL_SDK_DISABLED", &problem, "write true or false");
        }
    }

    fn otlp_off(&mut self, code: Option<&Otlp>) -> (Option<&'static str>, SettingSource) {
        const EXPORTER: &str = "OTEL_LOGS_EXPORTER";
        if self.is_disabled() {
            return (Some("OTEL_SDK_DISABLED is true"), SettingSource::Variable("OTEL_SDK_DISABLED"));
        }
        if let Some(otlp) = code {
            return (otlp.off.then_some("code says Otlp::off()"), SettingSource::Code);
        }
        if let Some(has_otlp) = self.names_otlp(EXPORTER) {
            let why = (!has_otlp).then_some("OTEL_LOGS_EXPORTER does not name otlp");
            return (why, SettingSource::Variable(EXPORTER));
        }
        let is_mentioned = self.environment.mentions_opentelemetry();
        ((!is_mentioned).then_some("neither code nor environment mentions OpenTelemetry"), SettingSource::BuiltIn)
    }

    fn delivery(&mut self, settings: &BuilderSettings, code: &Otlp) -> Result<LogDelivery, Error> {
        let route = self.route(code, Signal::Logs)?;
        let schedule_delay = self.duration_setting(
            "logs delay",
            settings.schedule_delay,
            &["OTEL_BLRP_SCHEDULE_DELAY"],
            defaults::SCHEDULE_DELAY,
        );
        let max_bytes = self.max_bytes(settings.max_bytes);
        let max_queue = self.optional_count("logs queue", &["OTEL_BLRP_MAX_QUEUE_SIZE"], 1);
        let max_batch = self.optional_count("logs batch", &["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"], 1);
        // A batch cannot be larger than the queue it is taken from.
        let max_batch = max_batch.map(|batch| max_queue.map_or(batch, |queue| batch.min(queue)));
        let overload = self.overload(settings.overload);
        let max_request = self.max_request(settings.max_request);
        let spool = self.spool(settings.spool.as_ref());
        Ok(LogDelivery { route, max_batch, max_queue, max_bytes, max_request, overload, schedule_delay, spool })
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
