//! Collects a report from the counters, the levels, the configuration and the endpoint's answers.

use super::data::{Configuration, Cut, Dropped, FilteredSpan, Report, Traced, TracedThread};
use super::findings::findings;
use crate::ledger::{Ledger, NamedThreads, ScopeCounts};
use crate::levels::FilterCause;
use crate::otlp::ScopeView;
use crate::outbox::Loss;
use crate::signal::Signal;
use crate::source::Pipeline;
use crate::telemetry::tracer_is_given;
use crate::{notice, output, thread};

impl Configuration {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        Self {
            settings: pipeline.setup.settings.clone(),
            findings: pipeline.levels.not_refuted(&pipeline.setup.findings),
        }
    }
}

impl Report {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let counters = pipeline.counters();
        let engine = pipeline.processes().existing();
        let requests = |signal, endpoint: &Option<String>| {
            endpoint.as_ref().map(|_| engine.map(|engine| engine.ledger.stats.requests(signal)).unwrap_or_default())
        };
        let mut report = Self {
            complete_to: pipeline.complete_to(),
            endpoint: pipeline.setup.endpoint.clone(),
            off_because: pipeline.setup.off_because,
            spool: pipeline.setup.spool.clone(),
            span_endpoint: pipeline.setup.span_endpoint.clone(),
            spans_off_because: match tracer_is_given() && counters.spans.ended + counters.spans.open == 0 {
                true => Some("your own tracer provider creates the spans; `Bridge::span_processor` exports them"),
                false => pipeline.setup.spans_off_because,
            },
            cuts: pipeline
                .cuts()
                .into_iter()
                .map(|(FilterCause { stage, target, by }, level, records)| Cut { stage, target, level, records, by })
                .collect(),
            dropped: pipeline
                .losses()
                .into_iter()
                .map(|Loss { reason, target, level, records }| Dropped { reason, target, level, records })
                .collect(),
            traced: engine.map(|engine| traced(engine.ledger.stats.sent_by_scope())).unwrap_or_default(),
            traced_threads: engine.map(|engine| traced_threads(&engine.ledger)).unwrap_or_default(),
            filtered_spans: FilteredSpan::all(pipeline),
            requests: requests(Signal::Logs, &pipeline.setup.endpoint),
            span_requests: requests(Signal::Traces, &pipeline.setup.span_endpoint),
            restarts: engine.map_or(0, |engine| engine.ledger.stats.restarts()),
            elapsed: pipeline.setup.started.elapsed(),
            configuration: Configuration::of(pipeline),
            findings: Vec::new(),
            counters,
            lines_not_written: output::lines_not_written(),
            notices: notice::history(),
        };
        report.findings = findings(pipeline, &report);
        report
    }
}

fn traced(shares: Vec<(Box<[u8]>, ScopeCounts)>) -> Vec<Traced> {
    let name = |scope: &[u8]| ScopeView::read(scope).name.into_owned();
    let row = |(scope, share): (Box<[u8]>, ScopeCounts)| Traced {
        target: name(&scope),
        records: share.records,
        with_trace: share.traced,
    };
    shares.into_iter().map(row).collect()
}

fn traced_threads(ledger: &Ledger) -> Vec<TracedThread> {
    let row = |(number, NamedThreads { without_trace, with_trace }): (usize, NamedThreads)| TracedThread {
        name: thread::name_of_number(number).map(str::to_owned),
        records: without_trace + with_trace,
        with_trace,
    };
    let mut rows: Vec<TracedThread> = ledger.by_name().map(row).filter(|row| row.records > 0).collect();
    rows.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.name.cmp(&b.name)));
    rows
}
