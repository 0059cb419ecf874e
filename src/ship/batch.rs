//! Collects queued records into one request.
//!
//! Records are grouped by scope, in the order in which they were appended. Each record is copied once and not decoded.

use std::collections::HashMap;

use crate::ledger::ScopeCounts;
use crate::otlp::{nested_len, put_log_record, put_resource_logs_header, put_scope_logs_header};
use crate::outbox::{InOrder, Offsets, Segment};

/// One request, made of the start of the queue.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Vec<u8>,
    pub(super) records: u64,
    /// The number of groups that are completely in the request.
    pub(super) groups: usize,
    /// Where the next request begins in the following group.
    pub(super) offsets: Offsets,
    /// How many records of each scope are in the request.
    pub(super) scopes: Vec<(Box<[u8]>, ScopeCounts)>,
}

struct ScopeRecords<'a> {
    scope: &'a [u8],
    records: Vec<&'a [u8]>,
    /// How many of them have a trace id.
    traced: u64,
    /// Length of the `ScopeLogs` message.
    length: usize,
}

/// Collects records from the queue, starting at `offsets` in its first group, until the request would exceed
/// `max_bytes` or `max_records`. A single record may be longer. `body` is a buffer for reuse.
pub(super) fn gather<'a>(
    queue: impl IntoIterator<Item = [Option<&'a Segment>; 2]>,
    offsets: Offsets,
    resource: &[u8],
    max_bytes: usize,
    max_records: u64,
    mut body: Vec<u8>,
) -> Batch {
    let mut scopes: Vec<ScopeRecords<'_>> = Vec::new();
    let mut index: HashMap<&[u8], usize> = HashMap::new();
    let mut batch = Batch { body: Vec::new(), records: 0, groups: 0, offsets, scopes: Vec::new() };
    let mut total = resource.len() + 32;
    let mut last: usize = usize::MAX;
    'queue: for lanes in queue {
        for (lane, frame) in InOrder::from(lanes, batch.offsets) {
            let length = nested_len(frame.record.len());
            let is_full = batch.records >= max_records || total + length + frame.scope.len() + 16 > max_bytes;
            if batch.records > 0 && is_full {
                break 'queue;
            }
            if scopes.get(last).is_none_or(|group| group.scope != frame.scope) {
                last = *index.entry(frame.scope).or_insert_with(|| {
                    total += frame.scope.len() + 16;
                    let length = frame.scope.len();
                    scopes.push(ScopeRecords { scope: frame.scope, records: Vec::new(), traced: 0, length });
                    scopes.len() - 1
                });
            }
            if let Some(group) = scopes.get_mut(last) {
                group.records.push(frame.record);
                group.traced += u64::from(frame.traced);
                group.length += length;
            }
            total += length;
            batch.records += 1;
            batch.offsets[lane] += frame.length;
        }
        batch.groups += 1;
        batch.offsets = [0; 2];
    }
    let resource_logs = resource.len() + scopes.iter().map(|group| nested_len(group.length)).sum::<usize>();
    body.clear();
    body.reserve(nested_len(resource_logs));
    put_resource_logs_header(&mut body, resource_logs);
    body.extend_from_slice(resource);
    for group in &scopes {
        put_scope_logs_header(&mut body, group.length);
        body.extend_from_slice(group.scope);
        for record in &group.records {
            put_log_record(&mut body, record);
        }
    }
    batch.body = body;
    let counts = |group: &ScopeRecords<'_>| ScopeCounts { records: group.records.len() as u64, traced: group.traced };
    batch.scopes = scopes.iter().map(|group| (group.scope.into(), counts(group))).collect();
    batch
}
