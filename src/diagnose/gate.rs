//! A gate: one decision on the path of a record, with its reason and the settings that would change it.

use std::fmt;

use log::Level;

use super::facade::Facade;
use crate::escape::OneLine;
use crate::levels::{LevelVariables, Row, Stage};

/// A gate on the path of a record, and its decision.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gate {
    /// The name of the gate.
    pub name: &'static str,
    /// The facade whose records pass this gate; `None` if the records of both do.
    pub facade: Option<Facade>,
    /// Whether the record passes, provided that it meets the [`condition`](Self::condition).
    pub passes: bool,
    /// The condition for passing if target and level alone do not decide, such as a text filter.
    pub condition: Option<String>,
    /// The reason for the decision, and where it was set.
    pub why: String,
    /// Changes that would let the record pass; any one of them is enough. Empty if it passes.
    pub changes: Vec<String>,
}

impl Gate {
    pub(super) fn new(
        name: &'static str,
        passes: bool,
        why: impl Into<String>,
        change: impl FnOnce() -> String,
    ) -> Self {
        Self::with_changes(name, passes, why, || vec![change()])
    }

    pub(super) fn with_changes(
        name: &'static str,
        passes: bool,
        why: impl Into<String>,
        changes: impl FnOnce() -> Vec<String>,
    ) -> Self {
        let changes = if passes { Vec::new() } else { changes() };
        Self { name, facade: None, passes, condition: None, why: why.into(), changes }
    }

    pub(super) fn conditional(name: &'static str, condition: impl Into<String>, why: impl Into<String>) -> Self {
        Self { condition: Some(condition.into()), ..Self::new(name, true, why, String::new) }
    }

    /// Builds the gate of the row that decides in the table of a stage.
    pub(super) fn of_row(
        name: &'static str,
        row: &Row,
        stage: Stage,
        target: &str,
        level: Level,
        variables: &LevelVariables,
    ) -> Self {
        let changes = || variables.suggestions(stage, row, target, level);
        Self::with_changes(name, level <= row.filter(), row.describe(stage), changes)
    }

    pub(super) fn for_facade(self, facade: Facade) -> Self {
        Self { facade: Some(facade), ..self }
    }

    pub(super) fn applies_to(&self, facade: Facade) -> bool {
        self.facade.is_none_or(|of| of == facade)
    }

    /// Writes one line for the decision and one for each change. Pads names to `width`.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        self.show_decision(f, width)?;
        self.show_changes(f, width)
    }

    pub(super) fn show_decision(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        let word = match (self.passes, &self.condition) {
            (false, _) => "STOP",
            (true, Some(_)) => "if",
            (true, None) => "pass",
        };
        writeln!(f, "  {word:<4}  {:<width$}  {}", self.name, OneLine(&self.why))
    }

    pub(super) fn show_changes(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        self.changes.iter().enumerate().try_for_each(|(index, change)| {
            let word = if index == 0 { "change:" } else { "or:" };
            writeln!(f, "        {word:>width$}  {}", OneLine(change))
        })
    }
}
