//! The environment variables that levels are read from.

use super::stage::Stage;

/// The environment variable of the module stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FilterVariable {
    pub(crate) name: String,
    /// The value of the variable, or else its default.
    pub(crate) filter: Option<String>,
    /// Whether the filter is the value of the variable.
    pub(crate) is_set: bool,
}

/// The environment variables that levels are read from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LevelVariables {
    /// The variable of the module stage, if one is read.
    pub(crate) module: Option<FilterVariable>,
    /// Whether the variables of the other stages are read.
    pub(crate) others: bool,
}

impl LevelVariables {
    /// Returns the variable that sets the thresholds of a stage.
    pub(crate) fn of(&self, stage: Stage) -> Option<&str> {
        match stage {
            Stage::Module => self.module.as_ref().map(|variable| variable.name.as_str()),
            stage => self.others.then_some(stage.variable()),
        }
    }
}
