//! A fork in the middle of a log call: code of the application runs there (`Display`, processors, a writer of the console),
//! and may do that. Both processes go on with the call; each has the record once, in its own outbox.

use super::engine::Engine;
use super::gate::Verdict;
use super::pipeline::Pipeline;
use crate::ledger::Count;

impl Pipeline {
    /// The engine to go on with after code of the application has run. In a child that was forked by it, the record counts from
    /// the start.
    #[inline]
    pub(super) fn after_user_code<'e>(&'e self, engine: &'e Engine, shard: usize, verdict: Verdict) -> &'e Engine {
        if engine.is_of_this_process() { engine } else { self.begin_again(shard, verdict) }
    }

    #[cold]
    pub(super) fn begin_again(&self, shard: usize, verdict: Verdict) -> &Engine {
        let engine = self.engines.current();
        let console = if verdict.console { Count::ConsoleAccepted } else { Count::ConsoleOff };
        let otlp = if verdict.otlp { Count::OtlpAccepted } else { Count::OtlpOff };
        for count in [Count::Offered, Count::ModulePassed, console, otlp] {
            engine.ledger.count(shard, count);
        }
        engine
    }
}
