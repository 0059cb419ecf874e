//! What the ship thread has seen beside the fates of records: the endpoint's answers, and what was sent of each target.
//! For the report; no law holds for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::signal::Signal;

/// How many targets are told apart; the others count as one without a name.
const MAX_TARGETS: usize = 512;

/// What became of the requests of one signal. A record may be in several, since failed ones are sent again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Requests {
    /// Answered with an OTLP success, a partial one included.
    pub confirmed: u64,
    /// Failed in a way that may pass, and are tried again.
    pub failed: u64,
    /// Refused for good.
    pub refused: u64,
    /// Answered with a success that is no OTLP answer.
    pub unconfirmed: u64,
    /// When an answer last confirmed something.
    pub last_confirmed: Option<SystemTime>,
    /// When the last one ended otherwise, and why in words.
    pub last_trouble: Option<(SystemTime, String)>,
    /// How many seconds the endpoint's `Date` is ahead of this machine's clock, by its last answer that had one;
    /// negative where it is behind.
    pub clock_offset: Option<i64>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestResult {
    Confirmed,
    Failed,
    Refused,
    Unconfirmed,
}

/// How many records of a scope were sent, and how many of them in a trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ScopeCounts {
    pub(crate) records: u64,
    pub(crate) traced: u64,
}

#[derive(Debug, Default)]
pub(crate) struct DeliveryStats {
    /// For each signal.
    requests: [Mutex<Requests>; 2],
    /// By the bytes of the scope.
    sent: Mutex<HashMap<Box<[u8]>, ScopeCounts>>,
    restarts: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DeliveryStats {
    /// A request has ended; `trouble` says why, where that was not well.
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

    /// The thread that sends, or a part of it, has ended and begins anew.
    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self, signal: Signal) -> Requests {
        lock(&self.requests[signal as usize]).clone()
    }

    /// Records of this scope have met their fates.
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

    /// By the bytes of the scope, the largest number first.
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
    fn more_scopes_than_are_told_apart_count_as_one() {
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
