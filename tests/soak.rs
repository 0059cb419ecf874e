//! Random faults against several logging threads, both facades and spans, for LOGBRIDGE_SOAK_SECONDS (default: 3). At
//! the end of each round, the endpoint recovers, and every record must be accounted for.
//!
//! The seed is printed; LOGBRIDGE_SOAK_SEED repeats the same faults. The test has its own process, because it takes
//! both global slots.

#![allow(clippy::expect_used, clippy::print_stderr, clippy::disallowed_methods)] // A test may panic, print and be told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use logbridge::testing::{Answer, ReceivedRequest, Receiver};
use logbridge::{Bridge, Builder, Console, Counters, LevelFilter, Otlp, RejectReason};

const ROUND: Duration = Duration::from_secs(3);
/// Only a failing test waits for it.
const LONG: Duration = Duration::from_secs(60);
/// How much later than asked for a flush may return on a loaded machine.
const SLACK: Duration = Duration::from_secs(10);
const WRITERS: u64 = 4;
/// More than are sent in a round.
const ANSWERS: usize = 20_000;
const POISON: &str = "poison";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn whatever_the_endpoint_does_the_account_balances_to_the_record() {
    let seed = number("LOGBRIDGE_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    let until = Instant::now() + Duration::from_secs(number("LOGBRIDGE_SOAK_SECONDS").unwrap_or(3));
    eprintln!("LOGBRIDGE_SOAK_SEED={seed}");
    let receiver = Receiver::start().expect("a receiver");
    let bridge = Builder::new()
        .service_name("soak")
        .filter_level(LevelFilter::Off)
        .filter_module("soak", LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()).timeout(LONG))
        .console(Console::off())
        .schedule_delay(Duration::from_millis(20))
        // Small, so that both overflow now and then.
        .max_bytes(4 << 20)
        .max_spans(4_000)
        .try_init()
        .expect("free slots");
    let mut rng = Rng::with_seed(seed);
    let mut rounds = 0;
    loop {
        let time = ROUND.min(until.saturating_duration_since(Instant::now()));
        if time.is_zero() && rounds > 0 {
            break;
        }
        rounds += 1;
        round(&bridge, &receiver, &mut rng, time);
    }
    bridge.shutdown(LONG).expect("nothing is left");
    let Counters { otlp, spans, .. } = bridge.report().counters;
    eprintln!("{rounds} rounds\n{otlp:?}\n{spans:?}");
}

/// What a round wrote.
#[derive(Debug, Default)]
struct Written {
    logs: AtomicU64,
    spans: AtomicU64,
    is_over: AtomicBool,
}

fn round(bridge: &Bridge, receiver: &Receiver, rng: &mut Rng, time: Duration) {
    let before = bridge.report().counters;
    receiver.answer_with(plan(rng));
    receiver.answer_traces_with(plan(rng));
    let written = Written::default();
    let mut confirmed = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let mut rng = rng.fork();
            let written = &written;
            scope.spawn(move || write(&mut rng, written));
        }
        let flusher = scope.spawn(|| flush(bridge, &mut rng.fork(), &written));
        std::thread::sleep(time);
        written.is_over.store(true, Ordering::Relaxed);
        confirmed = flusher.join().expect("no panic");
    });
    receiver.answer_always(Answer::Ok);
    receiver.answer_traces_always(Answer::Ok);
    if let Err(error) = bridge.flush(LONG) {
        assert!(!error.is_timeout(), "{error:?}\n{}", bridge.report());
    }
    let after = bridge.report().counters;
    assert_logs(receiver, &written, &before, &after, &confirmed);
    assert_spans(receiver, &written, &before, &after);
    receiver.clear();
}

/// Faults of all kinds that leave no doubt what was stored, and the one that lets records be stored twice.
fn plan(rng: &mut Rng) -> Vec<Answer> {
    let mut plan = Vec::new();
    while plan.len() < ANSWERS {
        match rng.u32(0..100) {
            0..40 => plan.push(Answer::Ok),
            40..50 => plan.extend([Answer::Empty, Answer::JsonToProtobuf, Answer::Text("OK".to_owned())]),
            50..58 => plan.push(Answer::Hang(Duration::from_millis(rng.u64(1..40)))),
            58..68 => plan.push(Answer::status([429, 502, 503, 504][rng.usize(0..4)])),
            68..72 => plan.push(Answer::Reset),
            72..76 => plan.push(Answer::MaxBytes(rng.usize(500..100_000))),
            // For a while, so that a search comes to its end.
            76..80 => plan.extend(vec![Answer::MaxBytes(rng.usize(500..100_000)); 30]),
            80..88 => plan.extend(vec![Answer::Poison(POISON.to_owned()); 40]),
            88..91 => {
                plan.push(Answer::PartialSuccess { rejected: rng.i64(0..20), message: "too old".to_owned() });
            }
            91..94 => plan.push(Answer::status([400, 401, 404, 413, 500][rng.usize(0..5)])),
            94..96 => plan.push(Answer::Html),
            // What was sent is sent again, and then it is confirmed: otherwise it would be lost and stored as well.
            _ => plan.extend([Answer::DropAnswer, Answer::Ok]),
        }
    }
    plan
}

fn next_id() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn write(rng: &mut Rng, written: &Written) {
    let long = "x".repeat(20_000);
    while !written.is_over.load(Ordering::Relaxed) {
        for _ in 0..rng.u32(1..20) {
            let text = match rng.u32(0..1_000) {
                0 => POISON,
                1..5 => &long,
                _ => &long[..rng.usize(0..200)],
            };
            write_one(rng, text, written);
        }
        // Not as fast as possible: there is more to be seen than a full outbox.
        std::thread::sleep(Duration::from_millis(rng.u64(2..12)));
    }
}

fn write_one(rng: &mut Rng, text: &str, written: &Written) {
    let id = next_id();
    match rng.u32(0..6) {
        0 => log::warn!(target: "soak", id; "{text}"),
        1 => log::debug!(target: "soak", id; "{text}"),
        2 => tracing::error!(target: "soak", id, "{text}"),
        3 => tracing::info!(target: "soak", id, "{text}"),
        4 => {
            // The name of a span is what the receiver looks at.
            let span = match text {
                POISON => tracing::info_span!(target: "soak", "poison", id),
                _ => tracing::info_span!(target: "soak", "work", id),
            };
            written.spans.fetch_add(1, Ordering::Relaxed);
            let _entered = span.entered();
            log::info!(target: "soak", id; "{text}");
        }
        _ => {
            drop(tracing::info_span!(target: "soak", "work", id).entered());
            written.spans.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    written.logs.fetch_add(1, Ordering::Relaxed);
}

/// Flushes again and again; gives the records that a flush has called delivered.
fn flush(bridge: &Bridge, rng: &mut Rng, written: &Written) -> Vec<i64> {
    let mut confirmed = Vec::new();
    while !written.is_over.load(Ordering::Relaxed) {
        let id = next_id();
        tracing::info!(target: "soak", id, "before a flush");
        written.logs.fetch_add(1, Ordering::Relaxed);
        let patience = Duration::from_millis(rng.u64(0..200));
        let start = Instant::now();
        let flushed = bridge.flush(patience);
        assert!(start.elapsed() < patience + SLACK, "{:?}", start.elapsed());
        confirmed.extend(flushed.is_ok().then_some(id));
    }
    confirmed
}

fn assert_logs(receiver: &Receiver, written: &Written, before: &Counters, after: &Counters, confirmed: &[i64]) {
    let (before, after) = (&before.otlp, &after.otlp);
    let accepted = after.accepted - before.accepted;
    assert_eq!(accepted, written.logs.load(Ordering::Relaxed), "every record was taken over");
    let rejected = delta(&before.rejected, &after.rejected);
    let dropped = delta(&before.dropped, &after.dropped);
    let delivered = after.delivered - before.delivered;
    let unconfirmed = after.unconfirmed - before.unconfirmed;
    let lost = rejected.values().chain(dropped.values()).sum::<u64>();
    assert_eq!((accepted, after.pending), (delivered + unconfirmed + lost, 0), "{after:?}");
    let logs = receiver.logs();
    let stored = stored(logs.iter().map(|log| log.attribute("id").and_then(|id| id.as_int())));
    let counted_as_rejected = rejected.get(&RejectReason::PartialSuccess).copied().unwrap_or_default();
    assert_eq!(stored.len() as u64, delivered + counted_as_rejected, "{rejected:?} {dropped:?}");
    assert_repeated(&stored, receiver.requests(), "/v1/logs");
    assert!(confirmed.iter().all(|id| stored.contains_key(id)), "a flush said Ok, and it is not there");
}

fn assert_spans(receiver: &Receiver, written: &Written, before: &Counters, after: &Counters) {
    let (before, after) = (&before.spans, &after.spans);
    let accepted = after.accepted - before.accepted;
    assert_eq!(accepted, written.spans.load(Ordering::Relaxed), "every span was taken over");
    let rejected = delta(&before.rejected, &after.rejected);
    let dropped = delta(&before.dropped, &after.dropped);
    let delivered = after.delivered - before.delivered;
    let unconfirmed = after.unconfirmed - before.unconfirmed;
    let lost = rejected.values().chain(dropped.values()).sum::<u64>();
    assert_eq!((accepted, after.pending, after.open), (delivered + unconfirmed + lost, 0, 0), "{after:?}");
    let spans = receiver.spans();
    let stored = stored(spans.iter().map(|span| span.attribute("id").and_then(|id| id.as_int())));
    let counted_as_rejected = rejected.get(&RejectReason::PartialSuccess).copied().unwrap_or_default();
    assert_eq!(stored.len() as u64, delivered + counted_as_rejected, "{rejected:?} {dropped:?}");
    assert_repeated(&stored, receiver.requests(), "/v1/traces");
}

/// What each reason has cost since then.
fn delta<R: Copy + Ord>(before: &[(R, u64)], after: &[(R, u64)]) -> BTreeMap<R, u64> {
    let before: BTreeMap<R, u64> = before.iter().copied().collect();
    after.iter().map(|(reason, items)| (*reason, items - before.get(reason).copied().unwrap_or_default())).collect()
}

/// How often each id is stored.
fn stored(ids: impl Iterator<Item = Option<i64>>) -> HashMap<i64, u64> {
    let mut stored = HashMap::new();
    ids.for_each(|id| *stored.entry(id.expect("an id")).or_default() += 1);
    stored
}

/// Only what was stored without an answer is stored again.
#[track_caller]
fn assert_repeated(stored: &HashMap<i64, u64>, requests: Vec<ReceivedRequest>, path: &str) {
    let unanswered =
        requests.iter().filter(|request| request.path == path && request.stored && request.status.is_none());
    let expected: usize = unanswered.map(|request| request.records).sum();
    assert_eq!(stored.values().map(|times| times - 1).sum::<u64>(), expected as u64, "stored twice");
}
