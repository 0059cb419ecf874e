//! The thresholds of one stage: as they were named, and compiled. The longest matching prefix with a threshold of its own
//! decides.

use std::fmt;

use log::{Level, LevelFilter};

use super::directive::Directive;
use super::stage::Stage;
use super::threshold::Threshold;
use crate::escape::{OneLine, WIDEST_COLUMN};

/// Who named a threshold. Where several name one for the same target, the later variant wins.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// `Env::default_filter_or` and other `default_*` setters.
    Default,
    /// A variable, RUST_LOG or one of our own.
    Environment,
    /// A call on the builder.
    Code,
    /// The levels file.
    File,
    /// `Bridge::levels` while the program runs.
    RunTime,
}

/// A threshold as it was named.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct NamedThreshold {
    /// The prefix it applies to; empty for the root.
    target: String,
    threshold: Threshold,
    origin: Origin,
    /// By what, in words: `RUST_LOG`, `code`, a file with its line.
    by: String,
}

/// The thresholds of one stage as they were named, in order.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct LevelSet {
    named: Vec<NamedThreshold>,
}

impl LevelSet {
    /// Names a threshold. The same target named again by the same origin: the last one counts.
    pub(crate) fn name(&mut self, target: &str, threshold: Threshold, origin: Origin, by: impl Into<String>) {
        self.named.retain(|named| named.target != target || named.origin != origin);
        self.named.push(NamedThreshold { target: target.to_owned(), threshold, origin, by: by.into() });
    }

    pub(crate) fn extend(&mut self, directives: Vec<Directive>, origin: Origin, by: &str) {
        for directive in directives {
            self.name(&directive.target, directive.threshold, origin, by);
        }
    }

    /// Takes back what this origin named for the target; says whether there was anything.
    pub(crate) fn remove(&mut self, target: &str, origin: Origin) -> bool {
        let before = self.named.len();
        self.named.retain(|named| named.target != target || named.origin != origin);
        before != self.named.len()
    }

    /// Takes back all that this origin named.
    pub(crate) fn clear(&mut self, origin: Origin) {
        self.named.retain(|named| named.origin != origin);
    }

    /// Whether nobody has named anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Compiles what was named. `root` stands for a root that is not set.
    pub(crate) fn compile(&self, stage: Stage, root: Threshold) -> Table {
        let mut winners: Vec<&NamedThreshold> = Vec::new();
        for candidate in &self.named {
            match winners.iter_mut().find(|winner| winner.target == candidate.target) {
                Some(winner) if winner.origin <= candidate.origin => *winner = candidate,
                Some(_) => {}
                None => winners.push(candidate),
            }
        }
        // A target that is not set inherits, which is what no row does.
        winners.retain(|named| !named.threshold.is_not_set());
        let root = match winners.iter().position(|named| named.target.is_empty()) {
            Some(place) => Row::of(winners.remove(place)),
            None => Row { target: String::new(), threshold: root, by: None, origin: None },
        };
        let mut rows: Vec<Row> = winners.into_iter().map(Row::of).collect();
        rows.sort_by(|a, b| b.target.len().cmp(&a.target.len()).then_with(|| a.target.cmp(&b.target)));
        Table { stage, rows, root }
    }
}

/// One threshold of a table.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Row {
    /// Empty for the root.
    pub(crate) target: String,
    pub(crate) threshold: Threshold,
    /// Who set it; `None` for a root that nobody set.
    pub(crate) by: Option<String>,
    pub(crate) origin: Option<Origin>,
}

impl Row {
    fn of(named: &NamedThreshold) -> Self {
        Self {
            target: named.target.clone(),
            threshold: named.threshold,
            by: Some(named.by.clone()),
            origin: Some(named.origin),
        }
    }

    /// The most that it lets through. What is not set lets everything through.
    pub(crate) fn filter(&self) -> LevelFilter {
        self.threshold.filter().unwrap_or(LevelFilter::Trace)
    }

    /// The directive that it stands for, or what a root that nobody set means.
    pub(crate) fn describe(&self, stage: Stage) -> String {
        match (&self.by, self.target.as_str(), self.threshold) {
            (None, _, Threshold::NotSet) => "not set, so the module stage decides".to_owned(),
            (None, _, threshold) if stage == Stage::Span => format!("not set, so it is {threshold}"),
            (None, _, threshold) => format!("not set by anything: at the root, NOTSET means {threshold}"),
            (Some(by), "", threshold) => format!("{by}: {threshold}"),
            (Some(by), target, threshold) => format!("{by}: {target}={threshold}"),
        }
    }
}

/// The thresholds of one stage, ready to be asked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Table {
    stage: Stage,
    /// Longest target first.
    rows: Vec<Row>,
    root: Row,
}

impl Table {
    /// The row that decides about a target.
    #[inline]
    pub(crate) fn decide(&self, target: &str) -> &Row {
        self.rows.iter().find(|row| target.starts_with(row.target.as_str())).unwrap_or(&self.root)
    }

    /// Whether a record passes. A stage whose root is not set lets through what no row decides.
    #[inline]
    pub(crate) fn allows(&self, target: &str, level: Level) -> bool {
        level <= self.decide(target).filter()
    }

    /// The most that any target lets through.
    pub(crate) fn max(&self) -> LevelFilter {
        self.rows.iter().map(Row::filter).fold(self.root.filter(), Ord::max)
    }

    /// The root first, then by target.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by(|a, b| a.target.cmp(&b.target));
        std::iter::once(&self.root).chain(rows)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|row| OneLine(&row.target).to_cow().chars().count())
            .max()
            .unwrap_or(0)
            .clamp("(root)".len(), WIDEST_COLUMN);
        for row in self.rows() {
            let target = if row.target.is_empty() { "(root)" } else { &row.target };
            let (target, why) = (OneLine(target).to_cow(), row.describe(self.stage));
            writeln!(f, "  {target:<width$}  {:<6}  {}", row.threshold, OneLine(&why))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::directive::parse;
    use super::*;

    fn module_stage(spec: &str) -> Table {
        let mut set = LevelSet::default();
        set.extend(parse(spec).directives, Origin::Environment, "RUST_LOG");
        set.compile(Stage::Module, Threshold::ROOT_NOT_SET)
    }

    #[test]
    fn a_very_long_target_is_shown() {
        let long = "a".repeat(70_000);
        assert!(module_stage(&format!("{long}=debug,b=info")).to_string().contains(&format!("  {long}  DEBUG  ")));
    }

    #[test]
    fn root_not_set_means_warn() {
        for table in [module_stage(""), module_stage("notset"), module_stage("app=debug")] {
            assert!(table.allows("other", Level::Warn), "{table}");
            assert!(!table.allows("other", Level::Info), "{table}");
        }
        assert!(module_stage("app=debug").allows("app::db", Level::Debug));
        assert_eq!(module_stage("app=debug").max(), LevelFilter::Debug);
    }

    #[test]
    fn the_longest_target_wins_and_notset_inherits() {
        let table = module_stage("info,app=off,app::db=debug,app::db::pool=notset");
        assert!(!table.allows("app", Level::Error));
        assert!(table.allows("app::db", Level::Debug));
        assert!(table.allows("app::db::pool", Level::Debug));
        assert!(!table.allows("app::db::pool", Level::Trace));
        assert!(table.allows("application", Level::Info) == table.allows("app", Level::Info), "prefix, as env_logger");
    }

    #[test]
    fn run_time_beats_file_beats_code_beats_environment_beats_default_for_the_same_target() {
        let mut set = LevelSet::default();
        let origins = [Origin::RunTime, Origin::File, Origin::Code, Origin::Environment, Origin::Default];
        let thresholds = [Threshold::Trace, Threshold::Debug, Threshold::Info, Threshold::Warn, Threshold::Error];
        for (origin, threshold) in origins.into_iter().zip(thresholds) {
            set.name("app", threshold, origin, format!("{origin:?}"));
        }
        set.name("app::db", Threshold::Off, Origin::Default, "default");
        for (origin, threshold) in origins.into_iter().zip(thresholds) {
            let table = set.compile(Stage::Module, Threshold::ROOT_NOT_SET);
            let row = table.decide("app");
            assert_eq!((row.threshold, row.by.as_deref()), (threshold, Some(format!("{origin:?}").as_str())));
            assert!(!table.allows("app::db", Level::Error), "the longest target wins first");
            assert!(set.remove("app", origin) && !set.remove("app", origin));
        }
    }

    #[test]
    fn of_one_origin_the_last_word_counts() {
        let mut set = LevelSet::default();
        set.name("app", Threshold::Trace, Origin::Code, "code");
        set.name("app", Threshold::Warn, Origin::Code, "code");
        let table = set.compile(Stage::Module, Threshold::ROOT_NOT_SET);
        assert!(table.allows("app", Level::Warn) && !table.allows("app", Level::Info));
    }

    #[test]
    fn a_destination_without_thresholds_lets_everything_through() {
        let table = LevelSet::default().compile(Stage::Otlp, Threshold::NotSet);
        assert!(table.allows("anything", Level::Trace));
        assert_eq!(table.max(), LevelFilter::Trace);
    }

    #[test]
    fn the_table_says_who_set_what() {
        assert_eq!(
            module_stage("shop::db=debug").to_string(),
            "  (root)    WARN    not set by anything: at the root, NOTSET means WARN\n  \
             shop::db  DEBUG   RUST_LOG: shop::db=DEBUG\n"
        );
    }
}
