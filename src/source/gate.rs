//! The gate behind the module stage: which destinations take a record, and the count of each decision.

use log::Level;

use super::buffers;
use super::engine::Engine;
use super::pipeline::{Pipeline, Source};
use super::repetition::Similar;
use crate::ledger::Count;
use crate::levels::{CachedLevels, Stage};
use crate::thread;

/// What the gate decided for one record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    pub(super) console: bool,
    /// Accepted by the otlp destination.
    pub(super) otlp: bool,
    /// Shown by the mirror: what passes otlp's threshold, also while the destination is off.
    pub(super) mirror: bool,
}

/// How far a record goes on the otlp side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reach {
    pub(super) otlp: bool,
    pub(super) mirror: bool,
}

/// What of the context a record was written in keeps it from the otlp side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances {
    suppressed: bool,
    unsampled: bool,
    /// It is similar to too many others.
    repeated: bool,
}

impl Circumstances {
    /// What is kept back for another reason is not asked whether it repeats.
    #[inline]
    fn or_repeated(self, is_repeated: impl FnOnce() -> bool) -> Self {
        Self { repeated: !self.suppressed && !self.unsampled && is_repeated(), ..self }
    }
}

/// The bit of the trace flags that says so.
pub(super) const SAMPLED: u8 = 1;

impl Pipeline {
    /// Counts a record that has passed the module stage at every other one, and says where it goes.
    #[inline]
    pub(super) fn gate<S: Source + ?Sized>(
        &self,
        engine: &Engine,
        shard: usize,
        source: &S,
        look: CachedLevels,
        may_enter: bool,
    ) -> Verdict {
        let ledger = &engine.ledger;
        let (target, level) = (source.target(), source.level());
        ledger.count(shard, Count::Offered);
        ledger.count(shard, Count::ModulePassed);
        let (console, counted) = match &self.terminal {
            None => (false, Count::ConsoleOff),
            Some(_) if source.skips_console() || shard == thread::INTERNAL => (false, Count::ConsoleOff),
            Some(_) if !look.allows(Stage::Console, level) => {
                ledger.count_filtered(shard, self.levels.cause(look, Stage::Console, target), level);
                (false, Count::ConsoleBelow)
            }
            Some(_) if !may_enter => (false, Count::ConsoleSuppressed),
            Some(_) => (true, Count::ConsoleAccepted),
        };
        ledger.count(shard, counted);
        let reach = self.gate_otlp(engine, shard, look, target, level, || {
            let circumstances = Circumstances {
                suppressed: !may_enter || buffers::is_suppressed(),
                unsampled: self.trace_based && source.trace(self.root).is_some_and(|trace| trace.flags & SAMPLED == 0),
                repeated: false,
            };
            // The canary repeats itself, and is meant to.
            circumstances
                .or_repeated(|| shard != thread::INTERNAL && self.is_repeated(engine, shard, || source.similar()))
        });
        Verdict { console, otlp: reach.otlp, mirror: reach.mirror }
    }

    /// The otlp destination's part of the gate, which also decides what the mirror shows: what would be shipped, also
    /// while the destination is off.
    #[inline]
    fn gate_otlp(
        &self,
        engine: &Engine,
        shard: usize,
        look: CachedLevels,
        target: &str,
        level: Level,
        circumstances: impl FnOnce() -> Circumstances,
    ) -> Reach {
        let passes = look.allows(Stage::Otlp, level);
        let Circumstances { suppressed, unsampled, repeated } =
            if passes { circumstances() } else { Circumstances::default() };
        let counted = match () {
            () if !self.otlp_on => Count::OtlpOff,
            () if !passes => {
                engine.ledger.count_filtered(shard, self.levels.cause(look, Stage::Otlp, target), level);
                Count::OtlpBelow
            }
            () if suppressed => Count::OtlpSuppressed,
            () if unsampled => Count::OtlpUnsampled,
            () if repeated => Count::OtlpRepeated,
            () => Count::OtlpAccepted,
        };
        engine.ledger.count(shard, counted);
        let wanted = passes && !suppressed && !unsampled && !repeated;
        Reach { otlp: wanted && self.otlp_on, mirror: wanted && self.mirror.is_some() }
    }

    /// Counts a record that somebody's provider hands to our processor, where no stage but the destination's decides.
    /// `flags` are those of its trace.
    pub(super) fn admit_from_provider<'s>(
        &self,
        target: &str,
        level: Level,
        flags: Option<u8>,
        similar: impl FnOnce() -> Similar<'s>,
    ) -> Option<Reach> {
        let engine = self.engines.current();
        let (ledger, shard) = (&engine.ledger, thread::number());
        if thread::is_internal() {
            ledger.count(shard, Count::Internal);
            return None;
        }
        ledger.count(shard, Count::Offered);
        ledger.count(shard, Count::ModulePassed);
        ledger.count(shard, Count::ConsoleOff);
        let look = self.levels.lookup(target);
        let reach = self.gate_otlp(engine, shard, look, target, level, || {
            let unsampled = self.trace_based && flags.is_some_and(|flags| flags & SAMPLED == 0);
            let circumstances = Circumstances { unsampled, ..Circumstances::default() };
            circumstances.or_repeated(|| self.is_repeated(engine, shard, similar))
        });
        (reach.otlp || reach.mirror).then_some(reach)
    }

    /// Where a record goes that no gate concerns.
    pub(super) fn own_verdict(&self) -> Verdict {
        Verdict { console: false, otlp: self.otlp_on, mirror: self.mirror.is_some() }
    }
}
