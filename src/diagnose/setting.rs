//! Where a setting is changed: code wins over variables, so that a variable is no help against it.

use crate::config::{Setting, Source};
use crate::source::Pipeline;

fn source(pipeline: &Pipeline, setting: &str) -> Source {
    let found = pipeline.setup.settings.iter().rev().find(|kept| kept.name == setting);
    found.map_or(Source::BuiltIn, |kept| kept.source)
}

/// The variable, the call, or both: whichever has an effect. `variable` may have its value behind it.
pub(super) fn place_of(pipeline: &Pipeline, setting: &str, variable: &str, call: &str) -> String {
    match source(pipeline, setting) {
        Source::Code => format!("{call} in code"),
        _ if !pipeline.levels.variables.others => format!("{call} in code"),
        _ => format!("{variable}, or {call} in code"),
    }
}

/// Whether code gives the key that requests carry.
pub(super) fn has_key_in_code(pipeline: &Pipeline) -> bool {
    let is_key = |setting: &&Setting| setting.value.to_ascii_lowercase().starts_with("authorization");
    let mut headers = pipeline.setup.settings.iter().filter(is_key);
    headers.any(|setting| setting.source == Source::Code)
}

/// What switches the otlp destination on.
pub(super) fn turn_on(pipeline: &Pipeline) -> String {
    match source(pipeline, "logs") {
        Source::Code => {
            "in code, leave out Otlp::off(): code wins over every variable but OTEL_SDK_DISABLED".to_owned()
        }
        Source::Variable("OTEL_SDK_DISABLED") => "unset OTEL_SDK_DISABLED, which switches everything off".to_owned(),
        Source::Variable(name) | Source::SignalVariable(name) => {
            format!("set {name}=otlp, or Builder::otlp in code, which wins over it")
        }
        Source::BuiltIn if pipeline.levels.variables.others => {
            "set OTEL_EXPORTER_OTLP_ENDPOINT where this very process sees it, or Builder::otlp in code".to_owned()
        }
        Source::BuiltIn => "Builder::otlp in code: this builder reads no variables".to_owned(),
    }
}
