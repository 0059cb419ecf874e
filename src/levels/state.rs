//! The thresholds of all stages of one pipeline, while they may change.
//!
//! A record is judged by one version of all stages. What a thread has seen decided lately it keeps, by target: most
//! verdicts cost one comparison of a short text.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter};

use super::filter_causes::FilterCauses;
use super::level_findings::SeenTargets;
use super::stage::Stage;
use super::suggestions::LevelVariables;
use super::table::{LevelSet, Table};
use super::threshold::Threshold;
use super::versions::Versions;
use crate::os::PerProcess;

/// What was named for each stage.
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

    /// Whether nobody has named a level for records.
    fn is_silent(&self) -> bool {
        self.module.is_empty() && self.otlp.is_empty() && self.console.is_empty()
    }

    fn compile(&self, has_module_stage: bool) -> LevelTables {
        // Under somebody's provider what is handed over passes.
        let module = if has_module_stage { Threshold::ROOT_NOT_SET } else { Threshold::NotSet };
        let named = if has_module_stage { self.module.clone() } else { LevelSet::default() };
        LevelTables {
            module: named.compile(Stage::Module, module),
            otlp: self.otlp.compile(Stage::Otlp, Threshold::NotSet),
            console: self.console.compile(Stage::Console, Threshold::NotSet),
            span: self.span.compile(Stage::Span, Threshold::Info),
        }
    }
}

/// One version of all stages.
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

/// What was named, with what follows from it.
#[derive(Debug, Eq, PartialEq)]
struct Version {
    sets: LevelSets,
    tables: LevelTables,
}

/// The thresholds of one pipeline.
#[derive(Debug)]
pub(crate) struct LevelState {
    /// Tells this one from others in what threads keep; never 0.
    id: u32,
    versions: Versions<Version>,
    /// One change at a time. A forked child has a lock of its own: its parent may have been changing levels.
    changing: PerProcess<Mutex<()>>,
    has_module_stage: bool,
    /// What the levels were read from.
    pub(crate) variables: LevelVariables,
    /// Records down to this level are to be counted although they are cut.
    count_below: LevelFilter,
    /// The first record that is cut because the root was not set is to be told.
    first_filtered: AtomicBool,
    pub(crate) causes: FilterCauses,
    pub(super) seen: SeenTargets,
}

/// There is no room for another version of the levels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionsExhausted;

impl LevelState {
    pub(crate) fn new(sets: LevelSets, has_module_stage: bool, count_below: LevelFilter) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed).max(1),
            versions: Versions::new(Version { tables: sets.compile(has_module_stage), sets }),
            changing: PerProcess::new(),
            has_module_stage,
            variables: LevelVariables::default(),
            count_below,
            first_filtered: AtomicBool::new(false),
            causes: FilterCauses::default(),
            seen: SeenTargets::default(),
        }
    }

    /// The tables that count now, with their number.
    fn numbered(&self) -> Option<(u32, &LevelTables)> {
        self.versions.current().map(|(number, version)| (number, &version.tables))
    }

    /// The same, with the variables that they were read from.
    pub(crate) fn with_variables(self, variables: &LevelVariables) -> Self {
        Self { variables: variables.clone(), ..self }
    }

    /// The tables that count now.
    pub(crate) fn tables(&self) -> Option<&LevelTables> {
        self.numbered().map(|(_, tables)| tables)
    }

    /// Whether nobody is changing the levels in this moment.
    pub(crate) fn are_settled(&self) -> bool {
        self.changing.get().try_lock().is_ok()
    }

    /// Waits until nobody else changes the levels; as long as this is held, nobody does.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.get().lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was named.
    pub(crate) fn sets(&self) -> LevelSets {
        self.versions.current().map(|(_, version)| version.sets.clone()).unwrap_or_default()
    }

    /// Changes what was named; by who holds [`changing`](Self::changing).
    pub(crate) fn publish(&self, sets: LevelSets) -> Result<(), VersionsExhausted> {
        // Somebody chose levels.
        if !sets.is_silent() {
            self.first_filtered.store(false, Ordering::Relaxed);
        }
        let tables = sets.compile(self.has_module_stage);
        self.versions.publish(Version { sets, tables }).map_err(|_| VersionsExhausted)
    }

    /// Asks for the notice of the first cut, where nobody has named any level.
    pub(crate) fn arm_first_filtered(&self) {
        if self.sets().is_silent() {
            self.first_filtered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this cut is to be told. Once.
    #[inline]
    pub(crate) fn is_first_filtered(&self, level: Level) -> bool {
        level <= Level::Info
            && self.first_filtered.load(Ordering::Relaxed)
            && self.first_filtered.swap(false, Ordering::Relaxed)
    }

    /// How far the facades have to be open.
    pub(crate) fn facades(&self) -> LevelFilter {
        let needed = self.tables().map_or(LevelFilter::Trace, |tables| tables.module.max());
        let told = if self.first_filtered.load(Ordering::Relaxed) { LevelFilter::Info } else { LevelFilter::Off };
        needed.max(self.count_below).max(told)
    }

    /// Whether a record passes the module stage.
    #[inline]
    pub(crate) fn allows(&self, target: &str, level: Level) -> bool {
        self.lookup(target).allows(Stage::Module, level)
    }

    /// Whether a tracing span is wanted.
    pub(crate) fn allows_span(&self, target: &str, level: Level) -> bool {
        self.tables().is_none_or(|tables| tables.span.allows(target, level))
    }

    pub(crate) fn max_span(&self) -> LevelFilter {
        self.tables().map_or(LevelFilter::Trace, |tables| tables.span.max())
    }

    /// What all stages say about a target.
    #[inline]
    pub(crate) fn lookup(&self, target: &str) -> CachedLevels {
        let version = u64::from(self.id) << 32 | u64::from(self.versions.number());
        let kept = KEPT.try_with(|kept| {
            let [first, _] = kept.get(place_of(target))?;
            first.is_kept(version, target).then(|| first.look.get())
        });
        match kept {
            Ok(Some(look)) => look,
            _ => self.lookup_second(version, target),
        }
    }

    /// Apart, so that the first place is looked at without a call.
    #[inline(never)]
    fn lookup_second(&self, version: u64, target: &str) -> CachedLevels {
        let kept = KEPT.try_with(|kept| {
            let [_, second] = kept.get(place_of(target))?;
            second.is_kept(version, target).then(|| second.look.get())
        });
        match kept {
            Ok(Some(look)) => look,
            _ => self.decide_and_cache(target),
        }
    }

    #[cold]
    fn decide_and_cache(&self, target: &str) -> CachedLevels {
        let Some((number, tables)) = self.numbered() else { return CachedLevels(u64::MAX) };
        self.seen.note(target);
        let look = Stage::FOR_RECORDS.iter().fold(CachedLevels::default(), |look, stage| {
            let filter = tables.of(*stage).decide(target).filter() as u8;
            look.with(filter_place(*stage), filter).with(cause_place(*stage), FilterCauses::UNKNOWN)
        });
        keep(u64::from(self.id) << 32 | u64::from(number), target, look);
        look
    }

    /// The number under which this cut is counted.
    #[inline]
    pub(crate) fn cause(&self, look: CachedLevels, stage: Stage, target: &str) -> u8 {
        match look.at(cause_place(stage)) {
            FilterCauses::UNKNOWN => self.name_cause(stage, target),
            cut => cut,
        }
    }

    #[cold]
    fn name_cause(&self, stage: Stage, target: &str) -> u8 {
        let Some((number, tables)) = self.numbered() else { return FilterCauses::OTHERS };
        let cut = self.causes.number(stage, target, || tables.of(stage).decide(target).describe(stage));
        // What was found busy is asked for again.
        if let Some(number_of_cut) = cut {
            let look = self.lookup(target).with(cause_place(stage), number_of_cut);
            keep(u64::from(self.id) << 32 | u64::from(number), target, look);
        }
        cut.unwrap_or(FilterCauses::OTHERS)
    }
}

/// What all stages say about a target: for each the most that it lets through, as `log` numbers levels, and the number
/// under which its cuts are counted. One word, so that it travels in a register.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CachedLevels(u64);

fn filter_place(stage: Stage) -> u32 {
    stage as u32 * 8
}

fn cause_place(stage: Stage) -> u32 {
    24 + stage as u32 * 8
}

impl CachedLevels {
    #[inline]
    const fn at(self, place: u32) -> u8 {
        (self.0 >> place) as u8
    }

    fn with(self, place: u32, value: u8) -> Self {
        Self(self.0 & !(0xff << place) | u64::from(value) << place)
    }

    /// Whether a stage of records lets that level through.
    #[inline]
    pub(crate) fn allows(self, stage: Stage, level: Level) -> bool {
        level as u8 <= self.at(filter_place(stage))
    }
}

/// Longer targets are looked up each time.
const TEXT: usize = 62;
/// As a power of two.
const PLACES: u32 = 6;

/// Cells, and no lock or flag around them: asking must not write.
struct Slot {
    /// 0 while it is empty.
    version: Cell<u64>,
    look: Cell<CachedLevels>,
    length: Cell<u8>,
    /// What [`ends`] gives.
    ends: Cell<(u128, u128)>,
    text: Cell<[u8; TEXT]>,
}

/// The first and the last bytes of a text of usual length: together they are all of it. Compared faster than by a call.
#[inline]
fn ends(text: &[u8]) -> Option<(u128, u128)> {
    match text.len() {
        16..=32 => Some((u128::from_ne_bytes(*text.first_chunk()?), u128::from_ne_bytes(*text.last_chunk()?))),
        8..=15 => {
            let [first, last] = [text.first_chunk()?, text.last_chunk()?].map(|part| u64::from_ne_bytes(*part));
            Some((first.into(), last.into()))
        }
        _ => None,
    }
}

impl Slot {
    const fn empty() -> Self {
        Self {
            version: Cell::new(0),
            look: Cell::new(CachedLevels(0)),
            length: Cell::new(0),
            ends: Cell::new((0, 0)),
            text: Cell::new([0; TEXT]),
        }
    }

    #[inline]
    fn is_of(&self, target: &[u8]) -> bool {
        usize::from(self.length.get()) == target.len()
            && match ends(target) {
                Some(ends) => self.ends.get() == ends,
                None => self.text.get().get(..target.len()) == Some(target),
            }
    }

    #[inline]
    fn is_kept(&self, version: u64, target: &str) -> bool {
        self.version.get() == version && self.is_of(target.as_bytes())
    }

    fn copy(&self, other: &Self) {
        self.text.set(other.text.get());
        self.ends.set(other.ends.get());
        self.length.set(other.length.get());
        self.look.set(other.look.get());
        self.version.set(other.version.get());
    }

    fn keep(&self, version: u64, target: &[u8], look: CachedLevels) {
        let mut text = [0; TEXT];
        let Some(room) = text.get_mut(..target.len()) else { return };
        room.copy_from_slice(target);
        self.text.set(text);
        self.ends.set(ends(target).unwrap_or_default());
        self.length.set(target.len() as u8);
        self.look.set(look);
        self.version.set(version);
    }
}

thread_local! {
    /// Without a destructor, so that it works while the thread is ending.
    static KEPT: [[Slot; 2]; 1 << PLACES] = const { [const { [const { Slot::empty() }; 2] }; 1 << PLACES] };
}

/// The same literal has the same address in most calls; where it has not, it takes another place. Literals lie side by
/// side, so that each of their bits counts.
#[inline]
fn place_of(target: &str) -> usize {
    ((target.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES)) as usize
}

/// Two targets of one place both stay; a third one takes the turn of the one that was looked up longest ago.
fn keep(version: u64, target: &str, look: CachedLevels) {
    let _ending = KEPT.try_with(|kept| {
        if let Some([first, second]) = kept.get(place_of(target)) {
            if !first.is_of(target.as_bytes()) {
                second.copy(first);
            }
            first.keep(version, target.as_bytes(), look);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::directive::parse;
    use super::super::table::Origin;
    use super::*;

    fn live(spec: &str) -> LevelState {
        let mut sets = LevelSets::default();
        sets.module.extend(parse(spec).directives, Origin::Environment, "RUST_LOG");
        LevelState::new(sets, true, LevelFilter::Off)
    }

    #[test]
    fn what_a_thread_keeps_follows_every_change_and_every_pipeline() {
        let (one, other) = (live("info"), live("trace"));
        for _ in 0..2 {
            assert!(one.allows("app", Level::Info) && !one.allows("app", Level::Debug));
            assert!(other.allows("app", Level::Trace));
        }
        let mut sets = one.sets();
        sets.module.name("app", Threshold::Debug, Origin::RunTime, "run time");
        one.publish(sets.clone()).expect("room");
        assert!(one.allows("app", Level::Debug) && !one.allows("other", Level::Debug));
        sets.module.clear(Origin::RunTime);
        one.publish(sets).expect("room");
        assert!(!one.allows("app", Level::Debug));
    }

    #[test]
    fn targets_that_share_a_slot_or_are_too_long_are_judged_by_their_text() {
        let live = live("off,a=info,b=debug");
        let long = "b".repeat(TEXT + 1);
        // The same address with another text, as a target that is made up for each call has it.
        let mut text = String::from("a");
        for (target, level) in [("a", LevelFilter::Info), ("b", LevelFilter::Debug), ("c", LevelFilter::Off)] {
            text.replace_range(.., target);
            for _ in 0..2 {
                let look = live.lookup(&text);
                let most = Level::iter().filter(|level| look.allows(Stage::Module, *level)).max();
                assert_eq!(most.map_or(LevelFilter::Off, |level| level.to_level_filter()), level);
            }
        }
        assert!(live.allows(&long, Level::Debug) && !live.allows(&long, Level::Trace));
    }

    #[test]
    fn texts_of_every_length_are_told_apart() {
        let live = live("info");
        for length in 0..TEXT + 3 {
            let text = "x".repeat(length);
            assert!(live.allows(&text, Level::Info));
            for place in 0..length {
                let mut other = text.clone();
                other.replace_range(place..=place, "y");
                let slot = Slot::empty();
                slot.keep(1, text.as_bytes(), CachedLevels::default());
                assert!(!slot.is_of(other.as_bytes()), "{length}, {place}");
                assert!(slot.is_of(text.as_bytes()) || length > TEXT);
            }
        }
    }

    #[test]
    fn the_first_cut_is_told_once_and_only_where_nobody_has_named_a_level() {
        let silent = live("");
        silent.arm_first_filtered();
        assert_eq!(silent.facades(), LevelFilter::Info);
        assert!(!silent.is_first_filtered(Level::Debug), "DEBUG and TRACE never trigger it");
        assert!(silent.is_first_filtered(Level::Info) && !silent.is_first_filtered(Level::Info));
        assert_eq!(silent.facades(), LevelFilter::Warn);
        let chosen = live("warn");
        chosen.arm_first_filtered();
        assert!(!chosen.is_first_filtered(Level::Info));
        let later = live("");
        later.arm_first_filtered();
        let mut sets = later.sets();
        sets.otlp.name("", Threshold::Warn, Origin::RunTime, "run time");
        later.publish(sets).expect("room");
        assert!(!later.is_first_filtered(Level::Info), "somebody chose levels");
    }
}
