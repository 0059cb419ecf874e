//! The levels of one pipeline: the thresholds of all stages, which may change while records are logged.
//!
//! Each record is judged by one version of all stages.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter};

use super::filter_causes::FilterCauses;
use super::lookup_cache::{self, CachedLevels};
use super::seen_targets::SeenTargets;
use super::span_callsites::SpanCallsites;
use super::stage::Stage;
use super::table::{LevelSet, Table};
use super::threshold::Threshold;
use super::variables::LevelVariables;
use super::versions::{Versions, VersionsExhausted};
use crate::os::PerProcess;

/// The thresholds that were set for each stage.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct LevelSets {
    pub(crate) module: LevelSet,
    pub(crate) otlp: LevelSet,
    pub(crate) console: LevelSet,
    pub(crate) span: LevelSet,
}

impl LevelSets {
    pub(crate) fn of(&mut self, stage: Stage) -> &mut LevelSet {
        match stage {
            Stage::Module => &mut self.module,
            Stage::Otlp => &mut self.otlp,
            Stage::Console => &mut self.console,
            Stage::Span => &mut self.span,
        }
    }

    /// Returns whether no threshold is set for records.
    fn is_empty_for_records(&self) -> bool {
        self.module.is_empty() && self.otlp.is_empty() && self.console.is_empty()
    }

    fn compile(&self, has_module_stage: bool) -> LevelTables {
        // Under a logger provider of the application, the module stage lets everything through.
        let module_root = if has_module_stage { Threshold::ROOT_NOT_SET } else { Threshold::NotSet };
        let module = if has_module_stage { self.module.clone() } else { LevelSet::default() };
        LevelTables {
            module: module.compile(Stage::Module, module_root),
            otlp: self.otlp.compile(Stage::Otlp, Threshold::NotSet),
            console: self.console.compile(Stage::Console, Threshold::NotSet),
            span: self.span.compile_spans(),
        }
    }
}

/// The compiled thresholds of all stages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct LevelTables {
    pub(crate) module: Table,
    pub(crate) otlp: Table,
    pub(crate) console: Table,
    pub(crate) span: Table,
}

impl LevelTables {
    pub(crate) fn of(&self, stage: Stage) -> &Table {
        match stage {
            Stage::Module => &self.module,
            Stage::Otlp => &self.otlp,
            Stage::Console => &self.console,
            Stage::Span => &self.span,
        }
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Version {
    sets: LevelSets,
    tables: LevelTables,
}

/// The current levels of one pipeline, and what is known about the records that they filtered.
#[derive(Debug)]
pub(crate) struct LevelState {
    /// Distinguishes the pipelines in the cache of a thread; never 0.
    id: u32,
    versions: Versions<Version>,
    /// Allows one change at a time. A forked child has its own lock, because a thread of its parent may hold the other.
    changes: PerProcess<Mutex<()>>,
    has_module_stage: bool,
    pub(crate) variables: LevelVariables,
    /// Records down to this level are counted even if they are filtered.
    count_below: LevelFilter,
    /// Whether the first filtered record is to be reported.
    reports_first_filtered: AtomicBool,
    pub(crate) causes: FilterCauses,
    pub(super) seen: SeenTargets,
    /// The callsites of spans that were below the span threshold when tracing registered them.
    pub(crate) filtered_spans: SpanCallsites,
}

impl LevelState {
    pub(crate) fn new(sets: LevelSets, has_module_stage: bool, count_below: LevelFilter) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed).max(1),
            versions: Versions::new(Version { tables: sets.compile(has_module_stage), sets }),
            changes: PerProcess::new(),
            has_module_stage,
            variables: LevelVariables::default(),
            count_below,
            reports_first_filtered: AtomicBool::new(false),
            causes: FilterCauses::default(),
            seen: SeenTargets::default(),
            filtered_spans: SpanCallsites::new(),
        }
    }

    /// Sets the environment variables that the levels were read from.
    pub(crate) fn with_variables(self, variables: &LevelVariables) -> Self {
        Self { variables: variables.clone(), ..self }
    }

    pub(crate) fn tables(&self) -> Option<&LevelTables> {
        self.numbered_tables().map(|(_, tables)| tables)
    }

    /// Returns the current tables with the number of their version.
    fn numbered_tables(&self) -> Option<(u32, &LevelTables)> {
        self.versions.current().map(|(number, version)| (number, &version.tables))
    }

    /// Returns whether no thread is changing the levels at this moment.
    pub(crate) fn are_settled(&self) -> bool {
        self.changes.get().try_lock().is_ok()
    }

    /// Waits until no other thread changes the levels, and keeps others from changing them.
    pub(crate) fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changes.get().lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sets(&self) -> LevelSets {
        self.versions.current().map(|(_, version)| version.sets.clone()).unwrap_or_default()
    }

    /// Replaces the thresholds of all stages. The caller must hold [`lock_changes`](Self::lock_changes).
    pub(crate) fn publish(&self, sets: LevelSets) -> Result<(), VersionsExhausted> {
        if !sets.is_empty_for_records() {
            self.reports_first_filtered.store(false, Ordering::Relaxed);
        }
        let tables = sets.compile(self.has_module_stage);
        self.versions.publish(Version { sets, tables })
    }

    /// Requests a report of the first filtered record, if no threshold is set.
    pub(crate) fn report_first_filtered(&self) {
        if self.sets().is_empty_for_records() {
            self.reports_first_filtered.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether a filtered record of this level is the first one and is to be reported. Returns `true` at most
    /// once.
    #[inline]
    pub(crate) fn is_first_filtered(&self, level: Level) -> bool {
        level <= Level::Info
            && self.reports_first_filtered.load(Ordering::Relaxed)
            && self.reports_first_filtered.swap(false, Ordering::Relaxed)
    }

    /// Returns the most verbose level that `log` and tracing must hand over.
    pub(crate) fn facade_filter(&self) -> LevelFilter {
        let passing = self.tables().map_or(LevelFilter::Trace, |tables| tables.module.max());
        let reported =
            if self.reports_first_filtered.load(Ordering::Relaxed) { LevelFilter::Info } else { LevelFilter::Off };
        passing.max(self.count_below).max(reported)
    }

    /// Returns whether a record passes the module stage.
    #[inline]
    pub(crate) fn allows(&self, target: &str, level: Level) -> bool {
        self.lookup(target).allows(Stage::Module, level)
    }

    /// Returns whether a tracing span of this name is exported.
    pub(crate) fn allows_span(&self, target: &str, name: &str, level: Level) -> bool {
        self.tables().is_none_or(|tables| level <= tables.span.decide_span(target, name).filter())
    }

    /// Returns whether a span of this target and of some name is exported.
    pub(crate) fn may_allow_span(&self, target: &str, level: Level) -> bool {
        self.tables().is_none_or(|tables| tables.span.allows(target, level))
    }

    /// Returns whether calls of this level are counted even if they are filtered.
    pub(crate) fn counts_below(&self, level: Level) -> bool {
        level <= self.count_below
    }

    pub(crate) fn max_span(&self) -> LevelFilter {
        self.tables().map_or(LevelFilter::Trace, |tables| tables.span.max())
    }

    fn cache_version(&self, number: u32) -> u64 {
        u64::from(self.id) << 32 | u64::from(number)
    }

    /// Returns the decisions of all stages about a target.
    #[inline]
    pub(crate) fn lookup(&self, target: &str) -> CachedLevels {
        let version = self.cache_version(self.versions.number());
        match lookup_cache::get_newest(version, target) {
            Some(levels) => levels,
            None => self.lookup_older(version, target),
        }
    }

    /// Not inlined, so that a hit of the newest entry needs no call.
    #[inline(never)]
    fn lookup_older(&self, version: u64, target: &str) -> CachedLevels {
        match lookup_cache::get_older(version, target) {
            Some(levels) => levels,
            None => self.decide(target),
        }
    }

    #[cold]
    fn decide(&self, target: &str) -> CachedLevels {
        let Some((number, tables)) = self.numbered_tables() else { return CachedLevels::ALLOW_ALL };
        self.seen.insert(target);
        let levels = Stage::FOR_RECORDS.iter().fold(CachedLevels::ALLOW_ALL, |levels, stage| {
            levels.with_filter(*stage, tables.of(*stage).decide(target).filter())
        });
        lookup_cache::insert(self.cache_version(number), target, levels);
        levels
    }

    /// Returns the number under which the records of a target that a stage filters are counted.
    #[inline]
    pub(crate) fn cause(&self, levels: CachedLevels, stage: Stage, target: &str) -> u8 {
        match levels.cause(stage) {
            Some(cause) => cause,
            None => self.number_cause(stage, target),
        }
    }

    #[cold]
    fn number_cause(&self, stage: Stage, target: &str) -> u8 {
        let Some((number, tables)) = self.numbered_tables() else { return FilterCauses::OTHERS };
        let cause = self.causes.number(stage, target, || tables.of(stage).decide(target).describe(stage));
        // If the lock was held, the cache stays without a cause, and the next record tries again.
        if let Some(cause) = cause {
            let levels = self.lookup(target).with_cause(stage, cause);
            lookup_cache::insert(self.cache_version(number), target, levels);
        }
        cause.unwrap_or(FilterCauses::OTHERS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::directive::parse;
    use super::super::table::Origin;
    use super::*;

    fn levels(spec: &str) -> LevelState {
        let mut sets = LevelSets::default();
        sets.module.extend(parse(spec).directives(), Origin::Environment, "RUST_LOG");
        LevelState::new(sets, true, LevelFilter::Off)
    }

    #[test]
    fn cached_levels_follow_every_change_and_every_pipeline() {
        let (one, other) = (levels("info"), levels("trace"));
        for _ in 0..2 {
            assert!(one.allows("app", Level::Info) && !one.allows("app", Level::Debug));
            assert!(other.allows("app", Level::Trace));
        }
        let mut sets = one.sets();
        sets.module.set("app", Threshold::Debug, Origin::RunTime, "run time");
        one.publish(sets.clone()).expect("there is room for a version");
        assert!(one.allows("app", Level::Debug) && !one.allows("other", Level::Debug));
        sets.module.clear(Origin::RunTime);
        one.publish(sets).expect("there is room for a version");
        assert!(!one.allows("app", Level::Debug));
    }

    #[test]
    fn targets_of_the_same_address_or_of_great_length_are_judged_by_their_text() {
        let levels = levels("off,a=info,b=debug");
        let long = "b".repeat(1_000);
        // A target that is built for each call may have the address of another one.
        let mut text = String::from("a");
        for (target, level) in [("a", LevelFilter::Info), ("b", LevelFilter::Debug), ("c", LevelFilter::Off)] {
            text.replace_range(.., target);
            for _ in 0..2 {
                let cached = levels.lookup(&text);
                let most = Level::iter().filter(|level| cached.allows(Stage::Module, *level)).max();
                assert_eq!(most.map_or(LevelFilter::Off, |level| level.to_level_filter()), level);
            }
        }
        assert!(levels.allows(&long, Level::Debug) && !levels.allows(&long, Level::Trace));
    }

    #[test]
    fn targets_of_every_length_are_looked_up() {
        let levels = levels("info");
        for length in 0..100 {
            assert!(levels.allows(&"x".repeat(length), Level::Info));
        }
    }

    #[test]
    fn the_first_filtered_record_is_reported_once_and_only_if_no_level_is_set() {
        let unset = levels("");
        unset.report_first_filtered();
        assert_eq!(unset.facade_filter(), LevelFilter::Info);
        assert!(!unset.is_first_filtered(Level::Debug), "DEBUG and TRACE never trigger it");
        assert!(unset.is_first_filtered(Level::Info) && !unset.is_first_filtered(Level::Info));
        assert_eq!(unset.facade_filter(), LevelFilter::Warn);
        let set = levels("warn");
        set.report_first_filtered();
        assert!(!set.is_first_filtered(Level::Info));
        let set_later = levels("");
        set_later.report_first_filtered();
        let mut sets = set_later.sets();
        sets.otlp.set("", Threshold::Warn, Origin::RunTime, "run time");
        set_later.publish(sets).expect("there is room for a version");
        assert!(!set_later.is_first_filtered(Level::Info), "a level was set meanwhile");
    }
}
