//! The thresholds of one stage: as they were set, and compiled into a table.
//!
//! The longest target prefix with a threshold decides.

use std::fmt;

use log::{Level, LevelFilter};

use super::directive::Directive;
use super::request_spans::{BUILT_IN, REQUEST_SPANS, RequestSpan};
use super::stage::Stage;
use super::threshold::Threshold;
use crate::escape::{OneLine, WIDEST_COLUMN};

/// The source of a threshold. If several sources set one for the same target, the later variant wins.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    /// `Env::default_filter_or` and other `default_*` setters.
    Default,
    /// An environment variable.
    Environment,
    /// A call of the builder.
    Code,
    /// The levels file.
    File,
    /// `Bridge::levels` while the program runs.
    RunTime,
}

/// A threshold as it was set.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct SetThreshold {
    /// The prefix of the targets; empty for the root.
    target: String,
    threshold: Threshold,
    origin: Origin,
    /// The source as text: `RUST_LOG`, `code`, or a file with its line.
    by: String,
}

/// The thresholds of one stage as they were set, in order.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct LevelSet {
    thresholds: Vec<SetThreshold>,
}

impl LevelSet {
    /// Sets a threshold. It replaces the one of the same target and origin.
    pub(crate) fn set(&mut self, target: &str, threshold: Threshold, origin: Origin, by: impl Into<String>) {
        self.thresholds.retain(|set| set.target != target || set.origin != origin);
        self.thresholds.push(SetThreshold { target: target.to_owned(), threshold, origin, by: by.into() });
    }

    pub(crate) fn extend<'d>(&mut self, directives: impl IntoIterator<Item = &'d Directive>, origin: Origin, by: &str) {
        for directive in directives {
            self.set(&directive.target, directive.threshold, origin, by);
        }
    }

    /// Removes the threshold of a target and an origin. Returns whether there was one.
    pub(crate) fn remove(&mut self, target: &str, origin: Origin) -> bool {
        let before = self.thresholds.len();
        self.thresholds.retain(|set| set.target != target || set.origin != origin);
        before != self.thresholds.len()
    }

    /// Removes all thresholds of an origin.
    pub(crate) fn clear(&mut self, origin: Origin) {
        self.thresholds.retain(|set| set.origin != origin);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.thresholds.is_empty()
    }

    /// Compiles the thresholds into a table. `root` is the default threshold of the root.
    pub(crate) fn compile(&self, stage: Stage, root: Threshold) -> Table {
        let winners = self.winners();
        Table::of(stage, winners.iter().filter(|winner| !winner.threshold.is_not_set()), root)
    }

    /// Compiles the thresholds of spans into a table, together with the built-in thresholds of request spans.
    ///
    /// A directive that names the target of a request span overrides its threshold, and a directive for the root that is
    /// stricter than INFO overrides all of them.
    pub(crate) fn compile_spans(&self) -> Table {
        let winners = self.winners();
        let mut table =
            Table::of(Stage::Span, winners.iter().filter(|winner| !winner.threshold.is_not_set()), SPAN_ROOT);
        let root = table.root.filter();
        if root < LevelFilter::Info {
            return table;
        }
        // At its own target, NOTSET overrides it, too. The target then inherits.
        let is_named = |span: &RequestSpan| {
            let names = |set: &&SetThreshold| match set.threshold.is_not_set() {
                true => set.target == span.target,
                false => !set.target.is_empty() && span.target.starts_with(&set.target),
            };
            winners.iter().any(names)
        };
        let spans = REQUEST_SPANS.iter().filter(|span| span.threshold.filter() > Some(root) && !is_named(span));
        table.rows.extend(spans.map(Row::of_request_span));
        table.sort();
        table
    }

    /// Returns the threshold that takes precedence for each target.
    fn winners(&self) -> Vec<&SetThreshold> {
        let mut winners: Vec<&SetThreshold> = Vec::new();
        for candidate in &self.thresholds {
            match winners.iter_mut().find(|winner| winner.target == candidate.target) {
                Some(winner) if winner.origin <= candidate.origin => *winner = candidate,
                Some(_) => {}
                None => winners.push(candidate),
            }
        }
        winners
    }
}

/// The default threshold of spans.
const SPAN_ROOT: Threshold = Threshold::Info;

/// How [`Row::describe`] begins for a root that is not set.
pub(crate) const NOT_SET: &str = "not set";

/// A row of a table: the threshold of all targets with a prefix.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Row {
    /// Empty for the root.
    pub(crate) target: String,
    pub(crate) threshold: Threshold,
    /// The source as text; `None` for the default of the root.
    pub(crate) by: Option<String>,
    pub(crate) origin: Option<Origin>,
    /// The name of the only spans that the row applies to. `None` for all spans, and for records.
    pub(crate) span: Option<&'static str>,
}

impl Row {
    fn of(set: &SetThreshold) -> Self {
        Self {
            target: set.target.clone(),
            threshold: set.threshold,
            by: Some(set.by.clone()),
            origin: Some(set.origin),
            span: None,
        }
    }

    fn of_request_span(span: &RequestSpan) -> Self {
        Self {
            target: span.target.to_owned(),
            threshold: span.threshold,
            by: Some(BUILT_IN.to_owned()),
            origin: Some(Origin::Default),
            span: Some(span.name),
        }
    }

    /// Returns the most verbose level that passes. If no threshold is set, everything passes.
    pub(crate) fn filter(&self) -> LevelFilter {
        self.threshold.filter().unwrap_or(LevelFilter::Trace)
    }

    /// Returns the source with its directive, or the meaning of a root that is not set.
    pub(crate) fn describe(&self, stage: Stage) -> String {
        let shown = match (&self.by, self.target.as_str(), self.threshold) {
            (None, _, Threshold::NotSet) => format!("{NOT_SET}, so the module stage decides"),
            (None, _, threshold) if stage == Stage::Span => format!("{NOT_SET}, so it is {threshold}"),
            (None, _, threshold) => format!("{NOT_SET}: at the root, NOTSET means {threshold}"),
            (Some(by), "", threshold) => format!("{by}: {threshold}"),
            (Some(by), target, threshold) => format!("{by}: {target}={threshold}"),
        };
        match self.span {
            Some(span) => format!("{shown}, for spans named `{span}`"),
            None => shown,
        }
    }
}

/// The compiled thresholds of one stage.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Table {
    stage: Stage,
    /// Longest target first.
    rows: Vec<Row>,
    root: Row,
}

impl Table {
    /// `thresholds` has each target once.
    fn of<'s>(stage: Stage, thresholds: impl Iterator<Item = &'s &'s SetThreshold>, root: Threshold) -> Self {
        let (mut roots, rows): (Vec<Row>, Vec<Row>) =
            thresholds.map(|set| Row::of(set)).partition(|row| row.target.is_empty());
        let unset = || Row { target: String::new(), threshold: root, by: None, origin: None, span: None };
        let mut table = Self { stage, rows, root: roots.pop().unwrap_or_else(unset) };
        table.sort();
        table
    }

    fn sort(&mut self) {
        self.rows.sort_by(|a, b| b.target.len().cmp(&a.target.len()).then_with(|| a.target.cmp(&b.target)));
    }

    /// Returns the row that decides about a target. At the stage of spans, this is the row for the spans of the target
    /// that pass most easily.
    #[inline]
    pub(crate) fn decide(&self, target: &str) -> &Row {
        self.rows.iter().find(|row| target.starts_with(row.target.as_str())).unwrap_or(&self.root)
    }

    /// Returns the row that decides about spans of this target and name.
    pub(crate) fn decide_span(&self, target: &str, name: &str) -> &Row {
        let applies = |row: &&Row| {
            target.starts_with(row.target.as_str()) && row.span.is_none_or(|of_this_name| of_this_name == name)
        };
        self.rows.iter().find(applies).unwrap_or(&self.root)
    }

    /// Returns whether a record passes.
    #[inline]
    pub(crate) fn allows(&self, target: &str, level: Level) -> bool {
        level <= self.decide(target).filter()
    }

    /// Returns the most verbose level that passes for any target.
    pub(crate) fn max(&self) -> LevelFilter {
        self.rows.iter().map(Row::filter).fold(self.root.filter(), Ord::max)
    }

    /// Returns the root, then the other rows in the order of their targets.
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

    fn spans(spec: &str) -> Table {
        let mut set = LevelSet::default();
        set.extend(parse(spec).directives(), Origin::Environment, "LOGBRIDGE_SPAN_LEVEL");
        set.compile_spans()
    }

    /// The most verbose spans that pass: the request span of tower-http, another span there, kube's, and any other.
    fn pass(table: &Table) -> [LevelFilter; 4] {
        let request = "tower_http::trace::make_span";
        let spans = [
            (request, "request"),
            (request, "other"),
            ("kube_client::client::builder", "HTTP"),
            ("app::db", "request"),
        ];
        spans.map(|(target, name)| table.decide_span(target, name).filter())
    }

    #[test]
    fn request_spans_pass_unless_a_directive_names_them_or_the_root_is_stricter_than_info() {
        use LevelFilter::{Debug, Error, Info, Off, Trace, Warn};
        for (spec, expected) in [
            ("", [Debug, Info, Debug, Info]),
            ("info", [Debug, Info, Debug, Info]),
            ("notset", [Debug, Info, Debug, Info]),
            ("app=debug", [Debug, Info, Debug, Debug]),
            ("app=off", [Debug, Info, Debug, Off]),
            ("warn", [Warn; 4]),
            ("error", [Error; 4]),
            ("off", [Off; 4]),
            ("warn,app=debug", [Warn, Warn, Warn, Debug]),
            ("debug", [Debug; 4]),
            ("trace", [Trace; 4]),
            ("tower_http=info", [Info, Info, Debug, Info]),
            ("tower_http=off", [Off, Off, Debug, Info]),
            ("tower_http=trace", [Trace, Trace, Debug, Info]),
            ("tower_http::trace=warn", [Warn, Warn, Debug, Info]),
            ("tower_http::trace::make_span=warn", [Warn, Warn, Debug, Info]),
            ("tower_http::trace=notset", [Info, Info, Debug, Info]),
            ("tower_http=notset", [Debug, Info, Debug, Info]),
            ("tower=error", [Error, Error, Debug, Info]),
            ("kube_client=off", [Debug, Info, Off, Info]),
            ("tower_http::services=off", [Debug, Info, Debug, Info]),
            ("off,tower_http=debug", [Debug, Debug, Off, Off]),
        ] {
            assert_eq!(pass(&spans(spec)), expected, "{spec:?}");
        }
    }

    #[test]
    fn every_source_overrides_a_request_span() {
        for origin in [Origin::Default, Origin::Environment, Origin::Code, Origin::File, Origin::RunTime] {
            let mut set = LevelSet::default();
            set.set("tower_http", Threshold::Warn, origin, "");
            assert_eq!(pass(&set.compile_spans())[0], LevelFilter::Warn, "{origin:?}");
            set.remove("tower_http", origin);
            assert_eq!(pass(&set.compile_spans())[0], LevelFilter::Debug, "{origin:?}");
            set.set("", Threshold::Warn, origin, "");
            assert_eq!(pass(&set.compile_spans())[0], LevelFilter::Warn, "{origin:?}");
        }
    }

    #[test]
    fn a_target_alone_means_its_most_verbose_span() {
        assert_eq!(spans("").decide("tower_http::trace::make_span").threshold, Threshold::Debug);
        assert_eq!((spans("").max(), spans("warn").max()), (LevelFilter::Debug, LevelFilter::Warn));
    }

    fn module_stage(spec: &str) -> Table {
        let mut set = LevelSet::default();
        set.extend(parse(spec).directives(), Origin::Environment, "RUST_LOG");
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
            set.set("app", threshold, origin, format!("{origin:?}"));
        }
        set.set("app::db", Threshold::Off, Origin::Default, "default");
        for (origin, threshold) in origins.into_iter().zip(thresholds) {
            let table = set.compile(Stage::Module, Threshold::ROOT_NOT_SET);
            let row = table.decide("app");
            assert_eq!((row.threshold, row.by.as_deref()), (threshold, Some(format!("{origin:?}").as_str())));
            assert!(!table.allows("app::db", Level::Error), "the longest target wins first");
            assert!(set.remove("app", origin) && !set.remove("app", origin));
        }
    }

    #[test]
    fn the_last_threshold_of_an_origin_wins() {
        let mut set = LevelSet::default();
        set.set("app", Threshold::Trace, Origin::Code, "code");
        set.set("app", Threshold::Warn, Origin::Code, "code");
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
    fn the_table_shows_the_source_of_each_row() {
        assert_eq!(
            module_stage("shop::db=debug").to_string(),
            "  (root)    WARN    not set: at the root, NOTSET means WARN\n  \
             shop::db  DEBUG   RUST_LOG: shop::db=DEBUG\n"
        );
    }
}
