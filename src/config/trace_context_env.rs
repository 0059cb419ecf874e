//! Reads a trace context from environment variables.
//!
//! Follows OpenTelemetry's specification "Environment Variables as Context Propagation Carriers": a variable is named
//! like the field of a propagator, in upper case.

use std::str::FromStr as _;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceState;
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::environment::Environment;
use super::propagator::Propagator;
use super::resolver::Resolver;
use crate::finding::{Finding, Severity, kind};

const VARIABLE: &str = "LOGBRIDGE_TRACE_CONTEXT_FROM_ENV";
const PARENT: &str = "TRACEPARENT";
const STATE: &str = "TRACESTATE";
const BAGGAGE: &str = "BAGGAGE";

/// The trace context that the parent process passed on. Invalid variables are excluded.
#[derive(Clone, Debug)]
pub(crate) struct TraceContextEnv {
    environment: Environment,
    invalid: Vec<&'static str>,
}

impl Extractor for TraceContextEnv {
    fn get(&self, key: &str) -> Option<&str> {
        let variable = propagation_variable(key);
        self.environment.get(&variable).filter(|_| !self.invalid.contains(&variable.as_str()))
    }

    /// Returns nothing: most variables are unrelated, and the supported propagators request their fields by name.
    fn keys(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Returns the variable for a propagator's field: `traceparent` becomes `TRACEPARENT`.
pub(crate) fn propagation_variable(field: &str) -> String {
    let mut name: String =
        field.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

impl Resolver<'_> {
    /// Reads the trace context if code or environment requests it.
    pub(super) fn trace_context_env(
        &mut self,
        code: Option<&Option<Environment>>,
        propagators: &[Propagator],
    ) -> Option<TraceContextEnv> {
        let wanted = code.map(Option::is_some);
        if !self.bool_setting("trace context from env", wanted, VARIABLE, false) {
            return None;
        }
        // Code that requests the context has read the process environment, even if the builder reads no other
        // variables.
        let environment = code.cloned().flatten().unwrap_or_else(|| self.environment.clone());
        let mut carrier = TraceContextEnv { environment, invalid: Vec::new() };
        if propagators.contains(&Propagator::TraceContext) {
            self.check_parent(&mut carrier);
        } else if carrier.environment.get(PARENT).is_some() {
            let text = "OTEL_PROPAGATORS does not include tracecontext, so it is ignored";
            let finding = Finding::new(&kind::TRACE_CONTEXT, Severity::Warning, PARENT, text);
            self.add_finding(finding.help("add tracecontext to OTEL_PROPAGATORS, or turn off trace_context_from_env"));
        }
        if propagators.contains(&Propagator::Baggage) {
            self.check_baggage(&mut carrier);
        }
        Some(carrier)
    }

    fn check_parent(&mut self, carrier: &mut TraceContextEnv) {
        let Some(parent) = carrier.environment.get(PARENT) else { return };
        if !is_traceparent(parent) {
            let problem =
                format!("`{}` is not a W3C trace context, so this process starts its own traces", shortened(parent));
            let help = "write version, trace id, span id and flags, such as \
                        `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`, or unset it";
            self.add_error(&kind::TRACE_CONTEXT, PARENT, &problem, help);
            carrier.invalid.extend([PARENT, STATE]);
            return;
        }
        if let Some(state) = carrier.environment.get(STATE)
            && TraceState::from_str(state).is_err()
        {
            let problem =
                format!("`{}` is not a W3C trace state; it is ignored, and TRACEPARENT is used", shortened(state));
            self.add_error(&kind::TRACE_CONTEXT, STATE, &problem, "write `vendor=value,other=value`, or unset it");
            carrier.invalid.push(STATE);
        }
    }

    fn check_baggage(&mut self, carrier: &mut TraceContextEnv) {
        let Some(baggage) = carrier.environment.get(BAGGAGE) else { return };
        if BaggagePropagator::new().extract(carrier).baggage().is_empty() {
            let problem = format!("`{}` is not W3C baggage; it is ignored", shortened(baggage));
            self.add_error(&kind::TRACE_CONTEXT, BAGGAGE, &problem, "write `key=value,other=value`, or unset it");
            carrier.invalid.push(BAGGAGE);
        }
    }
}

/// Returns whether a value is valid according to W3C's recommendation.
///
/// The SDK's propagator also accepts shorter ids, which would then refer to another trace.
pub(crate) fn is_traceparent(value: &str) -> bool {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let mut parts = value.split('-');
    let mut next = || parts.next().unwrap_or_default();
    let (version, trace_id, span_id, flags) = (next(), next(), next(), next());
    is_hex(version, 2)
        && version != "ff"
        && is_id(trace_id, 32)
        && is_id(span_id, 16)
        && is_hex(flags, 2)
        // Later versions may append fields.
        && (version != "00" || parts.next().is_none())
}

/// Shortens a long value for display.
fn shortened(value: &str) -> String {
    const MAX_CHARS: usize = 100;
    match value.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BuilderSettings;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carrier(vars: &[(&str, &str)]) -> (Option<TraceContextEnv>, Vec<Finding>) {
        let environment: Environment =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = BuilderSettings::default().resolve(&environment).expect("resolves");
        (config.trace_context_env, config.findings)
    }

    #[test]
    fn names_of_fields_become_names_of_variables() {
        for (field, variable) in [
            ("traceparent", "TRACEPARENT"),
            ("tracestate", "TRACESTATE"),
            ("baggage", "BAGGAGE"),
            ("X-B3-TraceId", "X_B3_TRACEID"),
            ("9é", "_9_"),
        ] {
            assert_eq!(propagation_variable(field), variable);
        }
    }

    #[test]
    fn only_valid_traceparents_are_accepted() {
        let rest = GOOD.strip_prefix("00-").expect("version 00");
        for good in [GOOD, &format!("01-{rest}"), &format!("cc-{rest}-what-ever"), &GOOD.replace("-01", "-00")] {
            assert!(is_traceparent(good), "{good}");
        }
        for bad in [
            "",
            "-",
            "00",
            "nonsense",
            &format!("{GOOD}-"),
            &format!("{GOOD}-more"),
            &format!("ff-{rest}"),
            &format!("0-{rest}"),
            &GOOD.to_uppercase(),
            &GOOD.replace("4bf9", "+bf9"),
            &GOOD.replace("4736", ""),
            &GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("-01", "-1"),
            &GOOD.replace("4bf92f35", "4bf92f3é"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }

    #[test]
    fn nothing_is_read_unless_requested() {
        let (carrier, findings) = carrier(&[(PARENT, "nonsense")]);
        assert!(carrier.is_none() && findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn invalid_variables_are_reported_and_ignored() {
        let long = "é".repeat(500);
        for (vars, left, places) in [
            (vec![(PARENT, GOOD), (STATE, "a=b")], vec!["traceparent", "tracestate"], vec![]),
            (vec![(PARENT, GOOD), (STATE, "nonsense")], vec!["traceparent"], vec![STATE]),
            (vec![(PARENT, long.as_str()), (STATE, "a=b"), (BAGGAGE, "k=v")], vec!["baggage"], vec![PARENT]),
            (vec![(PARENT, GOOD), (BAGGAGE, "nonsense")], vec!["traceparent"], vec![BAGGAGE]),
            (vec![(PARENT, GOOD), ("OTEL_PROPAGATORS", "baggage")], vec!["traceparent"], vec![PARENT]),
            (vec![(PARENT, "")], vec![], vec![]),
        ] {
            let vars: Vec<_> = vars.into_iter().chain([(VARIABLE, "true")]).collect();
            let (carrier, findings) = carrier(&vars);
            let carrier = carrier.expect("requested");
            for field in ["traceparent", "tracestate", "baggage"] {
                assert_eq!(carrier.get(field).is_some(), left.contains(&field), "{field} of {vars:?}");
            }
            let found: Vec<&str> = findings.iter().map(|finding| finding.place.as_str()).collect();
            assert_eq!(found, places, "{findings:?}");
            assert!(findings.iter().all(|finding| finding.text.chars().count() < 250), "{findings:?}");
        }
    }
}
