//! Puts a pipeline together: the only place in this module that knows all of its parts.

use std::sync::{Arc, Weak};

use opentelemetry_sdk::logs::LogProcessor;

use super::lifecycle::{self, watch_signals_in_child};
use super::log_processor::ChainEnd;
use super::pipeline::{Hooks, Parts, Pipeline};
use super::process_state::{ProcessConfig, StatePerProcess};
use super::processor_chain::ProcessorChain;
use super::record_path::RecordPath;
use crate::config::Config;
use crate::otlp::TraceIds;

/// The inputs of a pipeline besides its configuration.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// Whether records pass through a module stage and a console. Records of a provider of the application do not.
    pub(crate) has_module_stage: bool,
    /// Log processors of the application.
    pub(crate) processors: Vec<Box<dyn LogProcessor>>,
    /// Whether records pass through the official appenders.
    pub(crate) official_appenders: bool,
    /// The ids of records outside of any span.
    pub(crate) root: Option<TraceIds>,
    pub(crate) hooks: Hooks,
}

/// Returns the per-process state of a pipeline with this configuration. It is not started yet.
pub(crate) fn state_per_process(config: &Config) -> StatePerProcess {
    StatePerProcess::new(ProcessConfig::new(config, lifecycle::each_second))
}

/// Puts a pipeline together.
pub(crate) fn assemble(config: &Config, processes: StatePerProcess, assembly: Assembly) -> Arc<Pipeline> {
    let Assembly { has_module_stage, processors, official_appenders, root, hooks } = assembly;
    let official = official_appenders && has_module_stage;
    Arc::new_cyclic(|me: &Weak<Pipeline>| {
        let path = if !has_module_stage || (processors.is_empty() && !official) {
            RecordPath::Direct
        } else {
            let chain = ProcessorChain::new(config.resource.build(), processors, ChainEnd(me.clone()));
            RecordPath::through(chain, official)
        };
        let child = me.clone();
        let processes = processes.with_child_hook(move || {
            if let Some(pipeline) = child.upgrade() {
                watch_signals_in_child();
                pipeline.schedule_in_child();
            }
        });
        let parts = Parts { has_module_stage, path, processes, root, hooks, at_exit: lifecycle::at_exit };
        Pipeline::new(config, parts, me.clone())
    })
}
