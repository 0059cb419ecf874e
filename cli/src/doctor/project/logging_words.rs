//! Words in source code that log a record or that suggest that logging is set up.

use super::source::File;

/// Words that, alone or at the end of a name, suggest that logging is set up here.
const SETUP_WORDS: [&str; 20] = [
    "init",
    "setup",
    "set_up",
    "install",
    "telemetry",
    "logging",
    "logger",
    "subscriber",
    "tracing_subscriber",
    "observability",
    "env_logger",
    "logbridge",
    "otel",
    "bootstrap",
    "fern",
    "log4rs",
    "logforth",
    "plugin_log",
    "sentry",
    "simplelog",
];

pub(super) const LOG_MACROS: [&str; 6] = ["error!", "warn!", "info!", "debug!", "trace!", "event!"];

/// Returns whether a name in this code suggests that logging is set up.
pub(super) fn mentions_setup(code: &str) -> bool {
    let names = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    names.into_iter().any(|name| {
        let name = name.to_ascii_lowercase();
        SETUP_WORDS
            .iter()
            .any(|setup| name.split('_').any(|part| part == *setup) || name == *setup || name.ends_with(setup))
    })
}

/// Returns whether a file calls a logging macro.
pub(super) fn logs(file: &File) -> bool {
    LOG_MACROS
        .iter()
        .any(|name| file.code.contains(name) && (file.has(name) || file.code.contains(&format!("::{name}"))))
}
