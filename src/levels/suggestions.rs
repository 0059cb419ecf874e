//! Suggestions of settings that let a record through.
//!
//! Each suggestion works in this program: it names the variable that is read, keeps the default of an unset variable,
//! and leaves out settings that a stronger source overrides.

use log::Level;

use super::directive::parse;
use super::stage::Stage;
use super::table::{LevelSet, Origin, Row};
use super::threshold::Threshold;
use super::variables::{FilterVariable, LevelVariables};
use crate::escape::is_unsafe;

impl LevelVariables {
    /// Returns settings, each of which lets records of a target and a level pass a stage.
    ///
    /// `row` is the row that decides about the target now.
    pub(crate) fn suggestions(&self, stage: Stage, row: &Row, target: &str, level: Level) -> Vec<String> {
        let filter = format!("LevelFilter::{:?}", level.to_level_filter());
        // A threshold of the same target overrides those of weaker sources.
        let set_by = row.origin.filter(|_| row.target == target);
        let variable = self.of(stage);
        let is_set_by_variable = set_by.is_some() && row.by.as_deref() == variable;
        let mut suggestions = Vec::new();
        let mut unwritable = None;
        if variable.is_some() && (set_by <= Some(Origin::Environment) || is_set_by_variable) {
            match self.by_variable(stage, target, level) {
                Some(suggestion) => suggestions.push(suggestion),
                None => unwritable = variable,
            }
        }
        if set_by <= Some(Origin::Code) {
            let call = match (stage, target) {
                (Stage::Module, "") => format!("Builder::filter_level({filter})"),
                (Stage::Module, target) => format!("Builder::filter_module({target:?}, {filter})"),
                (Stage::Otlp, "") => format!("Otlp::level({filter})"),
                (Stage::Otlp, target) => format!("Otlp::module_level({target:?}, {filter})"),
                (Stage::Console, "") => format!("Console::level({filter})"),
                (Stage::Console, target) => format!("Console::module_level({target:?}, {filter})"),
                (Stage::Span, "") => format!("Builder::span_level({filter})"),
                (Stage::Span, target) => format!("Builder::span_module_level({target:?}, {filter})"),
            };
            suggestions.push(match unwritable {
                Some(variable) if directive(target, level).is_none() => {
                    format!("in code, since this target cannot be written in {variable}: {call}")
                }
                Some(variable) => {
                    format!("in code, since the value of {variable} cannot be shown as it is written: {call}")
                }
                None => format!("in code: {call}"),
            });
        }
        if let (Some(Origin::File), Some(place)) = (set_by, &row.by) {
            suggestions.extend(directive(target, level).map(|directive| format!("write {directive} in {place}")));
        }
        let of_stage = match stage {
            Stage::Module => "",
            Stage::Otlp => ".of(Stage::Otlp)",
            Stage::Console => ".of(Stage::Console)",
            Stage::Span => ".of(Stage::Span)",
        };
        suggestions.push(format!("at run time: bridge.levels(){of_stage}.set({target:?}, {filter})"));
        suggestions
    }

    /// Returns what to write into the variable of a stage, or `None` if a filter cannot name the target.
    fn by_variable(&self, stage: Stage, target: &str, level: Level) -> Option<String> {
        let directive = directive(target, level)?;
        let name = self.of(stage)?;
        let module = self.module.as_ref().filter(|_| stage == Stage::Module);
        Some(match module.and_then(|variable| Some((variable, variable.filter.as_deref()?))) {
            // The value of a variable replaces its default, and a pattern for the text comes after all directives.
            Some((variable, filter)) if !variable.is_set || filter.contains('/') => {
                format!("set {name}={}", extended(filter, &directive, target, level)?)
            }
            _ => format!("add {directive} to {name}"),
        })
    }

    /// Returns the setting that lets all records of a level pass and the one for a single module, if no level is set.
    pub(crate) fn for_all_and_module(&self, module: &str, level: Level) -> String {
        let word = level.as_str().to_ascii_lowercase();
        let filter = format!("LevelFilter::{:?}", level.to_level_filter());
        let all = match &self.module {
            Some(variable) => format!("{}={word}", variable.name),
            None => format!("Builder::filter_level({filter})"),
        };
        let one = match (&self.module, directive(module, level)) {
            (Some(variable), Some(directive)) => format!("{}={directive}", variable.name),
            _ => format!("Builder::filter_module({module:?}, {filter})"),
        };
        format!("{all} passes all of them, {one} only records of {module}")
    }

    /// Returns how to set the level of a root that is not set.
    pub(crate) fn for_root(&self, level: Level) -> String {
        let word = level.as_str().to_ascii_lowercase();
        let call = format!("`Builder::filter_level(LevelFilter::{:?})`", level.to_level_filter());
        match &self.module {
            None => call,
            Some(FilterVariable { name, filter: None, .. }) => format!("{name}={word}, or {call}"),
            Some(FilterVariable { name, filter: Some(filter), .. }) => match extended(filter, &word, "", level) {
                Some(filter) => format!("{name}={filter}, or {call}"),
                None => format!("{name}={word}, or {call}"),
            },
        }
    }
}

/// Returns the directive for a target, or `None` if the grammar cannot express it or it cannot be shown as it must be
/// written.
fn directive(target: &str, level: Level) -> Option<String> {
    let word = level.as_str().to_ascii_lowercase();
    let directive = if target.is_empty() { word } else { format!("{target}={word}") };
    let parsed = parse(&directive);
    let is_read = !target.contains(is_unsafe)
        && parsed.problems.is_empty()
        && parsed.message.is_none()
        && matches!(parsed.located.as_slice(), [(one, _)] if one.target == target);
    is_read.then_some(directive)
}

/// Returns a filter with one more directive before its pattern. Returns `None` if that does not let the target pass.
fn extended(filter: &str, directive: &str, target: &str, level: Level) -> Option<String> {
    let (directives, message) = match filter.split_once('/') {
        // A second slash makes the whole filter invalid.
        Some((_, message)) if message.contains('/') => ("", String::new()),
        Some((directives, message)) => (directives, format!("/{message}")),
        None => (filter, String::new()),
    };
    let joined: String;
    let directives = match directives.contains(is_unsafe) {
        // The parser ignores line breaks beside commas.
        true => {
            joined = directives.split(',').map(str::trim).collect::<Vec<_>>().join(",");
            joined.as_str()
        }
        false => directives,
    };
    let directives = directives.trim_end_matches([',', ' ']);
    let candidates = match (directives, target) {
        ("", _) => vec![format!("{directive}{message}")],
        // By convention, the root comes first.
        (_, "") => vec![format!("{directive},{directives}{message}"), format!("{directives},{directive}{message}")],
        _ => vec![format!("{directives},{directive}{message}")],
    };
    // A filter that cannot be shown as it must be written is useless.
    candidates.into_iter().filter(|candidate| !candidate.contains(is_unsafe)).find(|candidate| {
        let mut set = LevelSet::default();
        set.extend(parse(candidate).directives(), Origin::Environment, "");
        set.compile(Stage::Module, Threshold::ROOT_NOT_SET).allows(target, level)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str, filter: Option<&str>, is_set: bool) -> LevelVariables {
        let filter = filter.map(str::to_owned);
        LevelVariables { module: Some(FilterVariable { name: name.to_owned(), filter, is_set }), others: true }
    }

    fn row(target: &str, named: Option<(Origin, &str)>) -> Row {
        Row {
            target: target.to_owned(),
            threshold: Threshold::Warn,
            by: named.map(|(_, by)| by.to_owned()),
            origin: named.map(|(origin, _)| origin),
            span: None,
        }
    }

    #[test]
    fn a_variable_keeps_the_default_that_it_replaces() {
        let root = row("", Some((Origin::Default, "default of RUST_LOG")));
        let first =
            |variables: &LevelVariables| variables.suggestions(Stage::Module, &root, "hyper", Level::Info).remove(0);
        for (variables, change) in [
            (variables("RUST_LOG", None, false), "add hyper=info to RUST_LOG"),
            (variables("MY_LOG", Some("warn"), true), "add hyper=info to MY_LOG"),
            (variables("RUST_LOG", Some("warn,me=info"), false), "set RUST_LOG=warn,me=info,hyper=info"),
            (variables("RUST_LOG", Some("info,hyper=warn/paid"), true), "set RUST_LOG=info,hyper=warn,hyper=info/paid"),
            (variables("RUST_LOG", Some("info/a/b"), true), "set RUST_LOG=hyper=info"),
            (LevelVariables::default(), "in code: Builder::filter_module(\"hyper\", LevelFilter::Info)"),
        ] {
            assert_eq!(first(&variables), change);
        }
    }

    #[test]
    fn overridden_sources_are_not_suggested() {
        let variables = variables("RUST_LOG", None, false);
        let words = |row: &Row, target: &str| -> Vec<String> {
            let suggestions = variables.suggestions(Stage::Module, row, target, Level::Info);
            suggestions.iter().map(|suggestion| suggestion.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
        };
        let all = ["add app=info", "in code:", "at run"];
        assert_eq!(words(&row("", None), "app"), all);
        assert_eq!(words(&row("app", Some((Origin::Environment, "RUST_LOG"))), "app"), all);
        assert_eq!(words(&row("app", Some((Origin::Code, "RUST_LOG"))), "app"), all, "read by `parse_env`");
        assert_eq!(words(&row("app", Some((Origin::Code, "code"))), "app"), &all[1..]);
        assert_eq!(words(&row("app", Some((Origin::Code, "code"))), "app::db")[0], "add app::db=info");
        assert_eq!(words(&row("app", Some((Origin::File, "levels:2"))), "app"), ["write app=info", "at run"]);
        assert_eq!(words(&row("app", Some((Origin::RunTime, "run time"))), "app"), &all[2..]);
    }

    #[test]
    fn a_target_that_a_filter_cannot_express_is_set_in_code() {
        let variables = variables("RUST_LOG", None, false);
        for target in ["k=v,x", "a,b", "a=b", "a/b", " a", "a ", "\ta", "a[b{c}]", "a\tb", "a\u{1b}[2Jb", "a\u{202e}b"]
        {
            let suggestions = variables.suggestions(Stage::Module, &row("", None), target, Level::Debug);
            let first = "in code, since this target cannot be written in RUST_LOG: Builder::filter_module(";
            assert!(suggestions[0].starts_with(first), "{target}: {suggestions:?}");
        }
        for target in ["a b", "tenant-1", "é", ""] {
            let suggestions = variables.suggestions(Stage::Module, &row("", None), target, Level::Debug);
            assert!(suggestions[0].starts_with("add "), "{target}: {suggestions:?}");
        }
    }

    #[test]
    fn a_filter_is_suggested_only_if_it_can_be_shown() {
        let first = |filter| {
            let variables = variables("RUST_LOG", Some(filter), false);
            variables.suggestions(Stage::Module, &row("", None), "app", Level::Info).remove(0)
        };
        assert_eq!(first("warn,\n\tdb=info"), "set RUST_LOG=warn,db=info,app=info");
        for filter in ["a\tb=warn", "a\u{1b}b=warn", "warn/\u{202e}"] {
            let expected = "in code, since the value of RUST_LOG cannot be shown as it is written: ";
            assert!(first(filter).starts_with(expected), "{}", first(filter));
        }
        for found in super::super::lint::lint("a\u{1b}b=wran,x; y") {
            assert_eq!(found.corrected, None, "{found}");
        }
    }

    #[test]
    fn the_root_is_set_before_other_directives() {
        for (filter, expected) in [
            (None, "RUST_LOG=info, or "),
            (Some("app=debug"), "RUST_LOG=info,app=debug, or "),
            (Some("app=debug/x"), "RUST_LOG=info,app=debug/x, or "),
            (Some("info/a/b"), "RUST_LOG=info, or "),
            (Some("notset"), "RUST_LOG=notset,info, or "),
        ] {
            let shown = variables("RUST_LOG", filter, filter.is_some()).for_root(Level::Info);
            assert!(shown.starts_with(expected), "{shown}");
        }
    }
}
