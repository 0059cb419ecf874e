//! The report as JSON. Its keys are a stable interface.

use serde_json::{Value, json};

use super::outcomes::flows;
use super::report::RunReport;
use crate::command::intake::LevelCounts;
use logbridge::internals::finding::{Finding, FindingExt as _};

pub(super) fn to_json(report: &RunReport) -> Value {
    let RunReport { command, ended, upstream, observations, programs, findings, .. } = report;
    let tally = &observations.tally;
    let [logs, spans, points] = tally.items();
    let lost = observations.sent_and_lost().map(|[_, lost]| lost);
    let arrived = observations.services.iter().flat_map(|(service, scopes)| {
        scopes.iter().map(move |(scope, numbers)| {
            json!({
                "service": service,
                "scope": scope,
                "taken": levels(&numbers.accepted),
                "refused": levels(&numbers.refused),
                "taken_in_part": levels(&numbers.partly),
                "spans": numbers.spans,
                "data_points": numbers.points,
            })
        })
    });
    let programs = programs.iter().map(|program| {
        let otlp = &program.otlp;
        json!({
            "pid": program.pid,
            "service": program.service,
            "offered": program.offered,
            "below": program.below_levels(),
            "unmatched": program.unmatched(),
            "accepted": otlp.accepted,
            "delivered": otlp.delivered,
            "unconfirmed": otlp.unconfirmed,
            "rejected": counted(&otlp.rejected),
            "dropped": counted(&otlp.dropped),
            "pending": otlp.pending,
            "cuts": program.filtered.iter().map(|stopped| json!({
                "stage": stopped.stage, "target": stopped.target, "level": stopped.level, "records": stopped.records,
                "by": stopped.by,
            })).collect::<Vec<_>>(),
        })
    });
    let flows = flows(report);
    json!({
        "command": command,
        "exit_code": ended.code,
        "signal": ended.signal,
        "seconds": ended.took.as_secs_f64(),
        "upstream": upstream,
        "log_records": logs,
        "spans": spans,
        "data_points": points,
        "arrived": arrived.collect::<Vec<_>>(),
        "not_read": tally.malformed,
        "answers": tally.answers,
        "not_taken": { "log_records": lost[0], "spans": lost[1], "data_points": lost[2] },
        "programs": programs.collect::<Vec<_>>(),
        "flows": flows.iter().map(|flow| json!({
            "target": flow.target, "level": flow.level, "fate": flow.outcome.words(), "records": flow.records,
        })).collect::<Vec<_>>(),
        "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}

fn levels(levels: &LevelCounts) -> Value {
    let named = LevelCounts::NAMES.into_iter().zip(levels.0).filter(|(_, number)| *number > 0);
    named.map(|(name, number)| (name.to_owned(), json!(number))).collect::<serde_json::Map<_, _>>().into()
}

fn counted(all: &[(String, u64)]) -> Value {
    all.iter().map(|(reason, number)| (reason.clone(), json!(number))).collect::<serde_json::Map<_, _>>().into()
}
