//! What was decided, setting by setting, and who decided it.

use std::fmt;
use std::time::Duration;

use crate::escape::{OneLine, WIDEST_COLUMN};

/// Who decided a setting. Those that come earlier here win.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// A call on the builder.
    Code,
    /// A variable for one signal.
    SignalVariable(&'static str),
    /// A variable.
    Variable(&'static str),
    BuiltIn,
}

impl Source {
    /// The name of a list of variables that has a value: the first of several is that of the signal.
    pub(super) fn of(variables: &[&'static str], found: &'static str) -> Self {
        if variables.len() > 1 && variables.first() == Some(&found) {
            Self::SignalVariable(found)
        } else {
            Self::Variable(found)
        }
    }

    /// Who decides where code may, and else nobody does.
    pub(super) fn code_or_built_in<T>(code: Option<T>) -> Self {
        if code.is_some() { Self::Code } else { Self::BuiltIn }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Code => "code",
            Self::SignalVariable(name) | Self::Variable(name) => name,
            Self::BuiltIn => "built-in",
        })
    }
}

/// One setting as it was decided. The value is for people, and has no secret in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    pub name: &'static str,
    pub value: String,
    pub source: Source,
}

/// The settings in three columns: what, which value, and where from.
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

/// Whether a signal is sent, and else why not.
pub(super) fn sent(off_because: Option<&str>) -> String {
    off_because.map_or_else(|| "on".to_owned(), |why| format!("off: {why}"))
}

pub(super) fn time(duration: Duration) -> String {
    format!("{duration:?}")
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
