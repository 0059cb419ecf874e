//! The account for programs.

use serde_json::{Value, json};

use super::account::Account;
use crate::command::inlet::Levels;
use logbridge::internals::finding::Finding;

pub(super) fn of(account: &Account) -> Value {
    let Account { command, ended, upstream, evidence, programs, findings, .. } = account;
    let tally = &evidence.tally;
    let [logs, spans, points] = tally.items();
    let lost = evidence.sent_and_lost().map(|[_, lost]| lost);
    let arrived = evidence.services.iter().flat_map(|(service, scopes)| {
        scopes.iter().map(move |(scope, numbers)| {
            json!({
                "service": service,
                "scope": scope,
                "taken": levels(&numbers.taken),
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
            "cuts": program.cuts.iter().map(|cut| json!({
                "stage": cut.stage, "target": cut.target, "level": cut.level, "records": cut.records, "by": cut.by,
            })).collect::<Vec<_>>(),
        })
    });
    let flows = account.flows();
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
            "target": flow.target, "level": flow.level, "fate": flow.fate.words(), "records": flow.records,
        })).collect::<Vec<_>>(),
        "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}

fn levels(levels: &Levels) -> Value {
    let named = Levels::NAMES.into_iter().zip(levels.0).filter(|(_, number)| *number > 0);
    named.map(|(name, number)| (name.to_owned(), json!(number))).collect::<serde_json::Map<_, _>>().into()
}

fn counted(all: &[(String, u64)]) -> Value {
    all.iter().map(|(reason, number)| (reason.clone(), json!(number))).collect::<serde_json::Map<_, _>>().into()
}
