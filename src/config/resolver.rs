//! Reads settings from code and environment, and collects findings and resolved values.

use std::time::Duration;

use super::environment::{Environment, parse_bool};
use super::setting::{Setting, SettingSource, format_duration, on_off};
use super::time::{LONGEST, bounded};
use crate::finding::{Finding, Kind, Severity, kind};
use crate::notice::Notice;

/// The names of a signal's own variable and of the general one, in order of precedence.
macro_rules! signal_variables {
    ($signal:ident, $what:literal) => {
        match $signal {
            Signal::Logs => [concat!("OTEL_EXPORTER_OTLP_LOGS_", $what), concat!("OTEL_EXPORTER_OTLP_", $what)],
            Signal::Traces => [concat!("OTEL_EXPORTER_OTLP_TRACES_", $what), concat!("OTEL_EXPORTER_OTLP_", $what)],
        }
    };
}

pub(super) use signal_variables;

/// Collects resolved settings and the findings made on the way.
pub(super) struct Resolver<'a> {
    pub(super) environment: &'a Environment,
    pub(super) findings: Vec<Finding>,
    pub(super) notices: Vec<Notice>,
    pub(super) settings: Vec<Setting>,
}

impl Resolver<'_> {
    /// Adds a finding unless the other signal has already added the same one.
    pub(super) fn add_finding(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Adds a finding about an invalid variable, which is ignored.
    pub(super) fn add_error(&mut self, kind: &'static Kind, variable: &str, problem: &str, help: &str) {
        self.add_finding(Finding::new(kind, Severity::Error, variable, problem).help(help));
    }

    /// Adds a resolved value to the table of settings.
    pub(super) fn add_setting(&mut self, name: &'static str, value: impl Into<String>, source: SettingSource) {
        self.settings.push(Setting { name, value: value.into(), source });
    }

    /// Parses a boolean variable: `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`.
    pub(super) fn bool_variable(&mut self, variable: &'static str) -> Option<(bool, SettingSource)> {
        let value = self.environment.get(variable)?;
        let wanted = parse_bool(value);
        if wanted.is_none() {
            let problem = format!("`{value}` is neither true nor false, so it is ignored");
            self.add_error(&kind::BAD_VALUE, variable, &problem, "write true or false");
        }
        Some((wanted?, SettingSource::Variable(variable)))
    }

    /// Resolves a boolean setting.
    pub(super) fn bool_setting(
        &mut self,
        name: &'static str,
        code: Option<bool>,
        variable: &'static str,
        built_in: bool,
    ) -> bool {
        let (decided, source) = match code {
            Some(wanted) => (wanted, SettingSource::Code),
            None => self.bool_variable(variable).unwrap_or((built_in, SettingSource::BuiltIn)),
        };
        self.add_setting(name, on_off(decided), source);
        decided
    }

    /// Returns the entries of a list of exporters, or `None` if the variable is unset.
    pub(super) fn exporters(&self, variable: &str) -> Option<Vec<&str>> {
        self.environment.get(variable).map(|list| list.split(',').map(str::trim).collect())
    }

    /// Returns whether a list of exporters includes `otlp`, or `None` if the variable is unset.
    pub(super) fn names_otlp(&mut self, variable: &'static str) -> Option<bool> {
        let exporters = self.exporters(variable)?;
        let known = ["otlp", "console", "none"];
        let unknown: Vec<String> =
            exporters.iter().filter(|name| !known.contains(name)).map(|name| (*name).to_owned()).collect();
        let has_otlp = exporters.contains(&"otlp") || unknown.len() == exporters.len();
        for name in unknown {
            let problem = format!("`{name}` is not an exporter that logbridge knows");
            self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, "write otlp, console, none or a list of them");
        }
        Some(has_otlp)
    }

    /// Returns whether `OTEL_SDK_DISABLED` turns off all exporting.
    pub(super) fn is_disabled(&self) -> bool {
        self.environment.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Resolves a duration. Durations of more than a year are shortened to a year.
    pub(super) fn duration_setting(
        &mut self,
        name: &'static str,
        code: Option<Duration>,
        variables: &[&'static str],
        built_in: Duration,
    ) -> Duration {
        let (decided, source) = match code {
            Some(code) => (code, SettingSource::Code),
            None => self.duration_variable(variables).unwrap_or((built_in, SettingSource::BuiltIn)),
        };
        let decided = bounded(decided);
        self.add_setting(name, format_duration(decided), source);
        decided
    }

    /// Parses the first variable that is set: milliseconds, or a number followed by `ms` or `s`.
    pub(super) fn duration_variable(&mut self, variables: &[&'static str]) -> Option<(Duration, SettingSource)> {
        let (variable, value) = self.environment.first(variables)?;
        let duration = parse_duration(value);
        if duration.is_none() {
            let problem = format!("`{value}` is not a duration; the default is used");
            self.add_error(&kind::BAD_VALUE, variable, &problem, "write milliseconds as a whole number, such as 10000");
        }
        let (duration, source) = (duration?, SettingSource::of(variables, variable));
        self.check_duration(variable, duration);
        Some((bounded(duration), source))
    }

    /// Adds a finding if the duration in a variable is longer than a year.
    pub(super) fn check_duration(&mut self, variable: &'static str, duration: Duration) {
        if duration > LONGEST {
            let value = self.environment.get(variable).unwrap_or_default();
            let problem = format!("`{value}` is more than a year; one year is used");
            let finding = Finding::new(&kind::BAD_VALUE, Severity::Warning, variable, problem);
            self.add_finding(finding.help("write a shorter duration"));
        }
    }

    /// Resolves a limit that only variables can set. Without a valid value of at least `least`, there is no limit.
    pub(super) fn optional_count(
        &mut self,
        name: &'static str,
        variables: &[&'static str],
        least: usize,
    ) -> Option<usize> {
        let (variable, value) = self.environment.first(variables)?;
        let Some(number) = value.parse::<usize>().ok().filter(|number| *number >= least) else {
            // The span limits use the same words, so a variable that applies to both signals is reported once.
            let (what, help) = match least {
                0 => ("number", "write a whole number, such as 128"),
                _ => ("number above 0", "write a whole number, such as 2048"),
            };
            self.add_error(
                &kind::BAD_VALUE,
                variable,
                &format!("`{value}` is not a {what}; the default is used"),
                help,
            );
            return None;
        };
        self.add_setting(name, number.to_string(), SettingSource::of(variables, variable));
        Some(number)
    }

    /// Parses a whole number above 0.
    pub(super) fn positive_number(&mut self, variable: &'static str) -> Option<(usize, SettingSource)> {
        let value = self.environment.get(variable)?;
        let number = value.parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            let problem = format!("`{value}` is not a number above 0; the default is used");
            self.add_error(&kind::BAD_VALUE, variable, &problem, "write a whole number, such as 2048");
        }
        Some((number?, SettingSource::Variable(variable)))
    }
}

/// Parses milliseconds, or a number followed by `ms` or `s`.
pub(super) fn parse_duration(value: &str) -> Option<Duration> {
    let (number, unit) = split_unit(value);
    match (number.parse::<u64>(), unit) {
        (Ok(ms), "" | "ms") => Some(Duration::from_millis(ms)),
        (Ok(s), "s") => Some(Duration::from_secs(s)),
        _ => None,
    }
}

/// Splits a value into its leading digits and its unit.
pub(super) fn split_unit(value: &str) -> (&str, &str) {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    (number, unit.trim())
}
