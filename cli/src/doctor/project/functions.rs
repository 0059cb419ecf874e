//! What a binary comes to: the functions that its `main` names, those that they name, and so on; and what in them installs
//! logging.
//!
//! Names alone are compared: of two functions of one name both are looked into. So more is reached than will run, and what is
//! not reached does not run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Facts;
use super::logging_words::mentions_setup;
use super::source::File;

/// Calls that install something for `log` or tracing, whatever else is around them.
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
/// The same by the names that `use logbridge::…` gives them.
const IMPORTED: [&str; 6] = ["init(", "try_init(", "init_from_env(", "try_init_from_env(", "builder(", "Builder::"];

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct ReachedInstalls {
    /// Something is installed, or may be by code that is not the project's.
    pub(super) installs: bool,
    /// What would be, by a feature that is off: its name, and the place.
    pub(super) behind_feature: Option<(String, String)>,
}

/// Every function of the project by its name.
pub(super) struct Functions<'a> {
    by_name: BTreeMap<&'a str, Vec<(&'a File, Range<usize>)>>,
}

impl<'a> Functions<'a> {
    pub(super) fn of(facts: &'a Facts<'_>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<(&File, Range<usize>)>> = BTreeMap::new();
        for file in &facts.sources.files {
            for at in file.find("fn ") {
                let name = words(file.code.get(at + 3..).unwrap_or_default()).next().unwrap_or_default();
                by_name.entry(name).or_default().push((file, file.function(at)));
            }
        }
        Self { by_name }
    }

    /// Where a function of this name is, if it is the project's.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &(&'a File, Range<usize>)> {
        self.by_name.get(name).into_iter().flatten()
    }

    /// Whether a function that this code names is one of those.
    pub(super) fn any_called(&self, code: &str, is_one: impl Fn(&str) -> bool) -> bool {
        words(code)
            .filter(|name| *name != "main")
            .flat_map(|name| self.named(name))
            .any(|(file, range)| is_one(file.code(range.clone())))
    }

    /// What the `main` of this file comes to.
    pub(super) fn installs_reached_from(&self, facts: &Facts<'_>, root: &'a File) -> ReachedInstalls {
        let mut reached = ReachedInstalls::default();
        let mains = self.named("main").filter(|(file, _)| std::ptr::eq(*file, root));
        let mut waiting: Vec<(&File, Range<usize>)> = mains.cloned().collect();
        // A `main` that a macro writes may do anything.
        reached.installs = waiting.is_empty();
        let mut seen: BTreeSet<&str> = BTreeSet::from(["main"]);
        while let Some((file, range)) = waiting.pop() {
            self.find_installs(facts, file, range.clone(), &mut reached);
            for name in words(file.code(range)).filter(|name| self.by_name.contains_key(name)) {
                if seen.insert(name) {
                    waiting.extend(self.named(name).cloned());
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

    /// Calls of functions and macros that are not the project's, with names that say that they set something up.
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

/// The words of a piece of code.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The feature that this place is behind, where it is off.
fn disabled_feature(facts: &Facts<'_>, file: &File, at: usize) -> Option<String> {
    let statement = file.statement(at).start;
    // What is in front of the block that it stands in, and of the function.
    let block = file.code.get(..statement)?.rfind('{').map_or(0, |open| file.statement(open).start);
    let function = attributes(file, file.function(at).start);
    let pieces = [statement..at, block..statement, function];
    let features = pieces.into_iter().filter_map(|piece| {
        let text = file.text.get(piece)?;
        let after = ["#[cfg(feature", "cfg!(feature"].iter().find_map(|word| text.split_once(word))?.1;
        let name = after.split('"').nth(1)?;
        Some(name.to_owned())
    });
    let mut features = features;
    features.find(|feature| !facts.build.has(file.package, feature))
}

/// The lines of attributes in front of an item.
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
