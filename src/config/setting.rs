//! Resolved settings, each with the source of its value.

use std::fmt;
use std::time::Duration;

use crate::escape::{OneLine, WIDEST_COLUMN};

/// The source of a setting's value, highest precedence first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SettingSource {
    /// A call on the builder.
    Code,
    /// The environment variable of one signal.
    SignalVariable(&'static str),
    /// A general environment variable.
    Variable(&'static str),
    /// The default.
    BuiltIn,
}

impl SettingSource {
    /// Returns the source for the variable found in a list. The first of several variables belongs to one signal.
    pub(super) fn of(variables: &[&'static str], found: &'static str) -> Self {
        if variables.len() > 1 && variables.first() == Some(&found) {
            Self::SignalVariable(found)
        } else {
            Self::Variable(found)
        }
    }

    /// Returns `Code` if there is a value from code, otherwise `BuiltIn`.
    pub(super) fn code_or_built_in<T>(code: Option<T>) -> Self {
        if code.is_some() { Self::Code } else { Self::BuiltIn }
    }
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Code => "code",
            Self::SignalVariable(name) | Self::Variable(name) => name,
            Self::BuiltIn => "built-in",
        })
    }
}

/// A resolved setting. The value is meant for people and contains no secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    pub name: &'static str,
    pub value: String,
    pub source: SettingSource,
}

/// Formats the settings as a table of names, values and sources.
pub(crate) fn settings_table(settings: &[Setting]) -> String {
    let heading = ("setting", "value".to_owned(), "where from".to_owned());
    let rows =
        settings.iter().map(|setting| (setting.name, OneLine(&setting.value).to_string(), setting.source.to_string()));
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    let width = |of: &dyn Fn(&(&str, String, String)) -> usize| {
        rows.iter().map(of).max().unwrap_or_default().min(WIDEST_COLUMN)
    };
    let (names, values) = (width(&|row| row.0.chars().count()), width(&|row| row.1.chars().count()));
    rows.iter().map(|(name, value, source)| format!("{name:names$}  {value:values$}  {source}\n")).collect()
}

pub(super) fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// Returns `on`, or `off` with the reason.
pub(super) fn on_or_off(off_because: Option<&str>) -> String {
    off_because.map_or_else(|| "on".to_owned(), |why| format!("off: {why}"))
}

pub(super) fn format_duration(duration: Duration) -> String {
    format!("{duration:?}")
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
