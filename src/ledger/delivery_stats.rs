//! Statistics for the report that no conservation law covers: the answers of the endpoint, and the records sent by
//! target.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::signal::Signal;

/// Further targets count together under an empty name.
const MAX_TARGETS: usize = 512;

/// The outcomes of the requests of one signal.
///
/// A record may be in several requests, because failed requests are retried.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Requests {
    /// Requests answered with an OTLP success, including partial success.
    pub confirmed: u64,
    /// Requests that failed with a temporary error and are retried.
    pub failed: u64,
    /// Requests that the endpoint refused for good.
    pub refused: u64,
    /// Requests answered with a success that is not an OTLP response.
    pub unconfirmed: u64,
    /// The time of the last confirmed request.
    pub last_confirmed: Option<SystemTime>,
    /// The time of the last request that ended in another way, and the cause.
    pub last_trouble: Option<(SystemTime, String)>,
    /// The seconds by which the endpoint's clock is ahead of this machine's clock, from the last `Date` header.
    /// Negative if it is behind.
    pub clock_offset: Option<i64>,
}

/// The outcome of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestResult {
    Confirmed,
    Failed,
    Refused,
    Unconfirmed,
}

/// The records of a scope that left the outbox, and those of them that belong to a trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ScopeCounts {
    pub(crate) records: u64,
    pub(crate) traced: u64,
}

/// Counts requests, restarts, and the records sent by scope.
#[derive(Debug, Default)]
pub(crate) struct DeliveryStats {
    /// For each signal.
    requests: [Mutex<Requests>; 2],
    /// The key is the encoded scope.
    sent: Mutex<HashMap<Box<[u8]>, ScopeCounts>>,
    restarts: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DeliveryStats {
    /// Counts a request. `trouble` is the cause if it was not fully confirmed.
    pub(crate) fn count_request(
        &self,
        signal: Signal,
        ended: RequestResult,
        trouble: Option<&str>,
        clock_offset: Option<i64>,
    ) {
        let now = SystemTime::now();
        let mut requests = lock(&self.requests[signal as usize]);
        match ended {
            RequestResult::Confirmed => requests.confirmed += 1,
            RequestResult::Failed => requests.failed += 1,
            RequestResult::Refused => requests.refused += 1,
            RequestResult::Unconfirmed => requests.unconfirmed += 1,
        }
        if ended == RequestResult::Confirmed {
            requests.last_confirmed = Some(now);
        }
        if let Some(trouble) = trouble {
            requests.last_trouble = Some((now, trouble.to_owned()));
        }
        requests.clock_offset = clock_offset.or(requests.clock_offset);
    }

    /// Counts a restart of the exporter thread or of one of its tasks.
    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self, signal: Signal) -> Requests {
        lock(&self.requests[signal as usize]).clone()
    }

    /// Counts records of a scope that left the outbox.
    pub(crate) fn count_sent(&self, scope: &[u8], share: ScopeCounts) {
        let mut sent = lock(&self.sent);
        let known = if sent.contains_key(scope) || sent.len() < MAX_TARGETS { scope } else { &[] };
        let sum = match sent.get_mut(known) {
            Some(sum) => sum,
            None => sent.entry(known.into()).or_default(),
        };
        sum.records += share.records;
        sum.traced += share.traced;
    }

    /// Returns the counts by encoded scope, the largest first.
    pub(crate) fn sent_by_scope(&self) -> Vec<(Box<[u8]>, ScopeCounts)> {
        let mut shares: Vec<_> = lock(&self.sent).iter().map(|(scope, share)| (scope.clone(), *share)).collect();
        shares.sort_by(|(a, x), (b, y)| y.records.cmp(&x.records).then_with(|| a.cmp(b)));
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_beyond_the_limit_count_together() {
        let observed = DeliveryStats::default();
        for scope in 0..MAX_TARGETS as u32 + 10 {
            observed.count_sent(&scope.to_le_bytes(), ScopeCounts { records: 1, traced: 1 });
        }
        observed.count_sent(&0_u32.to_le_bytes(), ScopeCounts { records: 5, traced: 0 });
        let shares = observed.sent_by_scope();
        assert_eq!(shares.len(), MAX_TARGETS + 1);
        assert_eq!(shares[0], (Box::default(), ScopeCounts { records: 10, traced: 10 }));
        assert_eq!(shares[1], (Box::from(0_u32.to_le_bytes()), ScopeCounts { records: 6, traced: 1 }));
    }
}
