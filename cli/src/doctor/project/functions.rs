//! The functions that the `main` of a binary reaches, and the calls in them that install logging.
//!
//! Functions are matched by name only, so two functions with one name are both reached. A function that is not reached
//! never runs, but a reached function need not run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Facts;
use super::logging_words::mentions_setup;
use super::source::File;

/// Calls that install a logger or a subscriber.
const INSTALLS: [&str; 15] = [
    "logbridge::init",
    "logbridge::try_init",
    "logbridge::init_from_env",
    "logbridge::try_init_from_env",
    "logbridge::builder",
    "logbridge::Builder",
    "logbridge::bridge",
    "env_logger::",
    "tracing_subscriber::",
    "LogTracer::",
    "set_boxed_logger(",
    "set_logger(",
    "set_global_default(",
    ".try_init()",
    ".init()",
];
/// The same calls after `use logbridge::…`.
const IMPORTED: [&str; 6] = ["init(", "try_init(", "init_from_env(", "try_init_from_env(", "builder(", "Builder::"];

/// The installations of logging that a binary reaches.
#[derive(Debug, Default)]
pub(super) struct ReachedInstalls {
    /// Whether logging is installed, or may be by code outside the project.
    pub(super) installs: bool,
    /// The name of a disabled feature that would install logging, and the place.
    pub(super) behind_feature: Option<(String, String)>,
}

/// The functions of the project by name.
pub(super) struct Functions<'a> {
    by_name: BTreeMap<&'a str, Vec<(&'a File, Range<usize>)>>,
}

impl<'a> Functions<'a> {
    pub(super) fn of(facts: &'a Facts<'_>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<(&File, Range<usize>)>> = BTreeMap::new();
        for file in &facts.sources.files {
            for at in file.find("fn ") {
                let name = identifiers(file.code.get(at + 3..).unwrap_or_default()).next().unwrap_or_default();
                by_name.entry(name).or_default().push((file, file.function(at)));
            }
        }
        Self { by_name }
    }

    /// Returns the functions of the project with this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &(&'a File, Range<usize>)> {
        self.by_name.get(name).into_iter().flatten()
    }

    /// Returns whether the body of any function that this code names matches.
    pub(super) fn any_called(&self, code: &str, matches: impl Fn(&str) -> bool) -> bool {
        identifiers(code)
            .filter(|name| *name != "main")
            .flat_map(|name| self.named(name))
            .any(|(file, range)| matches(file.code(range.clone())))
    }

    /// Returns the installations that the `main` of a file reaches.
    pub(super) fn installs_reached_from(&self, facts: &Facts<'_>, root: &'a File) -> ReachedInstalls {
        let mut reached = ReachedInstalls::default();
        let mains = self.named("main").filter(|(file, _)| std::ptr::eq(*file, root));
        let mut queue: Vec<(&File, Range<usize>)> = mains.cloned().collect();
        // A macro may generate `main`, with unknown contents.
        reached.installs = queue.is_empty();
        let mut seen: BTreeSet<&str> = BTreeSet::from(["main"]);
        while let Some((file, range)) = queue.pop() {
            self.find_installs(facts, file, range.clone(), &mut reached);
            for name in identifiers(file.code(range)).filter(|name| self.by_name.contains_key(name)) {
                if seen.insert(name) {
                    queue.extend(self.named(name).cloned());
                }
            }
        }
        reached
    }

    fn find_installs(&self, facts: &Facts<'_>, file: &File, range: Range<usize>, reached: &mut ReachedInstalls) {
        let is_imported = file.has("use logbridge") || file.code.contains("use logbridge::");
        let imported = if is_imported { &IMPORTED[..] } else { &[] };
        let installing = INSTALLS.iter().chain(imported).flat_map(|word| file.find(word));
        let mut found: Vec<usize> = installing.filter(|at| range.contains(at)).collect();
        found.extend(self.external_setup_calls(file, range));
        for at in found {
            match disabled_feature(facts, file, at) {
                None => reached.installs = true,
                Some(feature) => reached.behind_feature = Some((feature, file.place(at))),
            }
        }
    }

    /// Returns the calls of functions and macros outside the project whose names suggest a setup.
    fn external_setup_calls(&self, file: &File, range: Range<usize>) -> Vec<usize> {
        let code = file.code(range.clone());
        let calls = code.match_indices(['(', '!']).filter_map(|(end, _)| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let path = code.get(..end)?.rsplit(|c| !is_part(c)).next()?;
            let name = path.rsplit(':').next()?;
            let is_foreign = !name.is_empty() && self.named(name).next().is_none();
            (is_foreign && mentions_setup(path)).then_some(range.start + end - path.len())
        });
        calls.collect()
    }
}

/// Returns the identifiers and keywords in code.
fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Returns the disabled feature that this place depends on, if any.
fn disabled_feature(facts: &Facts<'_>, file: &File, at: usize) -> Option<String> {
    let statement = file.statement(at).start;
    // The attributes may be on the statement, the enclosing block or the function.
    let block = file.code.get(..statement)?.rfind('{').map_or(0, |open| file.statement(open).start);
    let function = attributes(file, file.function(at).start);
    let pieces = [statement..at, block..statement, function];
    let mut features = pieces.into_iter().filter_map(|piece| {
        let text = file.text.get(piece)?;
        let after = ["#[cfg(feature", "cfg!(feature"].iter().find_map(|word| text.split_once(word))?.1;
        let name = after.split('"').nth(1)?;
        Some(name.to_owned())
    });
    features.find(|feature| !facts.build.has(file.package, feature))
}

/// Returns the lines with attributes before an item.
fn attributes(file: &File, item: usize) -> Range<usize> {
    let mut start = item;
    while let Some(line) = file.code.get(..start).and_then(|before| before.trim_end().rfind('\n')) {
        match file.code.get(line + 1..start).is_some_and(|line| line.trim_start().starts_with("#[")) {
            true => start = line + 1,
            false => break,
        }
    }
    start..item
}
