//! What a pipeline has counted, for the report.

use log::Level;

use super::pipeline::Pipeline;
use crate::ledger::Counters;
use crate::levels::{FilterCause, Stage};
use crate::outbox::Loss;

impl Pipeline {
    /// What was cut, most often cut first.
    pub(crate) fn cuts(&self) -> Vec<(FilterCause, Level, u64)> {
        let Some(engine) = self.engines.existing() else { return Vec::new() };
        let names = self.levels.causes.all();
        let others = |by: &str| FilterCause { stage: Stage::Module, target: String::new(), by: by.to_owned() };
        let mut cuts: Vec<_> = engine
            .ledger
            .filtered()
            .into_iter()
            .map(|(number, level, records)| {
                let name = usize::from(number).checked_sub(1).and_then(|index| names.get(index)).cloned();
                (name.unwrap_or_else(|| others("more targets than are told apart")), level, records)
            })
            .collect();
        cuts.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.target.cmp(&b.0.target)));
        cuts
    }

    /// What was dropped for want of room, the largest number first.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        let outbox = self.engines.existing().and_then(|engine| engine.outbox.as_ref());
        outbox.map(|outbox| outbox.losses()).unwrap_or_default()
    }

    /// The counters of this process.
    pub(crate) fn counters(&self) -> Counters {
        self.engines.existing().map(|engine| engine.ledger.snapshot()).unwrap_or_default()
    }
}
