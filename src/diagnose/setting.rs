//! Names the setting to change. Code takes precedence, so changing a variable does not help if code sets the value.

use crate::config::{Setting, SettingSource};
use crate::source::Pipeline;

fn source(pipeline: &Pipeline, setting: &str) -> SettingSource {
    let found = pipeline.setup.settings.iter().rev().find(|kept| kept.name == setting);
    found.map_or(SettingSource::BuiltIn, |kept| kept.source)
}

/// Names the variable, the call or both, depending on which has an effect. `variable` may include a value.
pub(super) fn how_to_set(pipeline: &Pipeline, setting: &str, variable: &str, call: &str) -> String {
    match source(pipeline, setting) {
        SettingSource::Code => format!("{call} in code"),
        _ if !pipeline.levels.variables.others => format!("{call} in code"),
        _ => format!("{variable}, or {call} in code"),
    }
}

/// Returns whether code sets the key for requests.
pub(super) fn has_key_in_code(pipeline: &Pipeline) -> bool {
    let is_key = |setting: &&Setting| setting.value.to_ascii_lowercase().starts_with("authorization");
    let mut headers = pipeline.setup.settings.iter().filter(is_key);
    headers.any(|setting| setting.source == SettingSource::Code)
}

/// Names the setting that turns on the otlp destination.
pub(super) fn how_to_turn_on(pipeline: &Pipeline) -> String {
    match source(pipeline, "logs") {
        SettingSource::Code => {
            "remove Otlp::off() from the code, which overrides every variable except OTEL_SDK_DISABLED".to_owned()
        }
        SettingSource::Variable("OTEL_SDK_DISABLED") => {
            "unset OTEL_SDK_DISABLED, which turns everything off".to_owned()
        }
        SettingSource::Variable(name) | SettingSource::SignalVariable(name) => {
            format!("set {name}=otlp, or Builder::otlp in code, which overrides it")
        }
        SettingSource::BuiltIn if pipeline.levels.variables.others => {
            "set OTEL_EXPORTER_OTLP_ENDPOINT in the environment of this process, or Builder::otlp in code".to_owned()
        }
        SettingSource::BuiltIn => "set Builder::otlp in code: this builder reads no variables".to_owned(),
    }
}
