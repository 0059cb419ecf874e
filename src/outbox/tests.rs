use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::config::Overload;
use crate::ledger::{Count, DropReason, Ledger};
use crate::otlp::encode_scope_name;
use crate::signal::Signal;

fn outbox(max_bytes: usize, threads: usize) -> Outbox {
    Outbox::new(max_bytes, threads, Arc::new(Ledger::new()))
}

pub(super) fn frame_of(target: &str, severity: u8, text: &str) -> Vec<u8> {
    let mut frame = FrameBuffer::default();
    frame.begin(|scope| encode_scope_name(scope, target));
    frame.scratch().buf.extend_from_slice(text.as_bytes());
    frame.end(severity, false);
    frame.bytes().to_vec()
}

pub(super) fn frame(text: &str) -> Vec<u8> {
    frame_of("test", 9, text)
}

/// Does what a log call does.
pub(super) fn offer(
    outbox: &Outbox,
    ledger: &Ledger,
    thread: usize,
    high: bool,
    frame: &[u8],
) -> Result<(), DropReason> {
    ledger.count(thread, Count::OtlpAccepted);
    let appended = match (outbox.append(thread, high, frame), outbox.overload()) {
        (Err(DropReason::OutboxFull), Overload::Block(most)) => outbox.append_blocking(thread, high, frame, most),
        (Err(DropReason::OutboxFull), _) => outbox.append_evicting(thread, high, frame),
        (appended, _) => appended.map_err(Refused::from),
    };
    match appended {
        Ok(_) => ledger.count(thread, Count::Appended),
        Err(Refused { reason, .. }) => {
            ledger.count_dropped(thread, Signal::Logs, reason);
            let _nobody_sleeps = outbox.count_loss(thread, reason, frame);
        }
    }
    appended.map(drop).map_err(|refused| refused.reason)
}

pub(super) fn seal(outbox: &Outbox, into: &mut VecDeque<Group>) {
    outbox.seal();
    into.extend(std::iter::from_fn(|| outbox.take_sealed()));
}

pub(super) fn recycle(outbox: &Outbox, group: Group) {
    group.into_segments().for_each(|segment| outbox.recycle(segment));
}

/// Returns the texts of all records, in order.
pub(super) fn records(groups: &VecDeque<Group>) -> Vec<String> {
    let frames = groups.iter().flat_map(|group| InOrder::from(group.lanes(), [0; 2]));
    frames.map(|(_, frame)| String::from_utf8_lossy(frame.record).into_owned()).collect()
}

#[test]
fn the_first_record_wakes_and_the_next_does_not() {
    let outbox = outbox(1 << 20, 1);
    assert_eq!(outbox.append(0, false, &frame("a")), Ok(Wake::Yes));
    assert_eq!(outbox.append(0, false, &frame("b")), Ok(Wake::No));
    assert!(outbox.has_unsealed());
    let mut queue = VecDeque::new();
    seal(&outbox, &mut queue);
    assert_eq!(records(&queue), ["a", "b"]);
    assert!(!outbox.has_unsealed());
    assert_eq!(outbox.append(0, true, &frame("c")), Ok(Wake::Yes));
}

#[test]
fn full_segments_are_handed_over_in_order_and_memory_stays_bounded() {
    let outbox = outbox(64 << 10, 1);
    let text = "x".repeat(1000);
    let (mut appended, mut woken) = (0, 0);
    let refused = loop {
        match outbox.append(0, false, &frame(&format!("{appended:05}{text}"))) {
            Ok(wake) => woken += usize::from(wake == Wake::Yes),
            Err(reason) => break reason,
        }
        appended += 1;
    };
    assert_eq!(refused, DropReason::OutboxFull);
    assert!(woken >= 3, "{woken}");
    let (allocated, bound) = outbox.allocated_and_bound();
    assert!(allocated <= bound && bound < 64 << 10, "{allocated} {bound}");
    let mut queue = VecDeque::new();
    seal(&outbox, &mut queue);
    let seen: Vec<usize> = records(&queue).iter().map(|record| record[..5].parse().expect("a number")).collect();
    assert_eq!(seen, (0..appended).collect::<Vec<_>>());
    for group in queue {
        recycle(&outbox, group);
    }
    assert!(outbox.append(0, false, &frame(&text)).is_ok(), "room again");
    outbox.trim();
    assert!(outbox.allocated_and_bound().0 <= bound / 4, "{:?}", outbox.allocated_and_bound());
}

#[test]
fn a_large_record_gets_a_segment_of_its_own_and_one_beyond_the_bound_is_refused() {
    let outbox = outbox(1 << 20, 1);
    let large = "x".repeat(400 << 10);
    assert!(outbox.append(0, false, &frame("small")).is_ok());
    assert!(outbox.append(0, false, &frame(&large)).is_ok());
    assert!(outbox.append(0, false, &frame("after")).is_ok());
    assert_eq!(outbox.append(0, false, &frame(&"x".repeat(2 << 20))), Err(DropReason::TooLarge));
    let mut queue = VecDeque::new();
    seal(&outbox, &mut queue);
    let lengths: Vec<usize> = records(&queue).iter().map(String::len).collect();
    assert_eq!(lengths, [5, 400 << 10, 5], "in the order in which they came");
    let before = outbox.allocated_and_bound().0;
    for group in queue {
        recycle(&outbox, group);
    }
    assert!(outbox.allocated_and_bound().0 <= before - (400 << 10), "the odd one is freed");
}

#[test]
fn nothing_is_lost_between_threads_that_append_and_one_that_seals() {
    const THREADS: usize = 4;
    const EACH: usize = 20_000;
    let outbox = outbox(64 << 20, 2);
    let seen = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let outbox = &outbox;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let frame = frame(&format!("{thread} {number}"));
                        assert!(outbox.append(thread, number % 3 == 0, &frame).is_ok(), "there is room");
                    }
                })
            })
            .collect();
        let mut queue = VecDeque::new();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            seal(&outbox, &mut queue);
        }
        seal(&outbox, &mut queue);
        records(&queue)
    });
    assert_eq!(seen.len(), THREADS * EACH);
    assert_eq!(seen.iter().collect::<std::collections::HashSet<_>>().len(), THREADS * EACH);
    for thread in 0..THREADS {
        let number = |record: &String| record.strip_prefix(&format!("{thread} "))?.parse::<usize>().ok();
        let numbers: Vec<usize> = seen.iter().filter_map(number).collect();
        assert!(numbers.is_sorted(), "the records of thread {thread} are in order");
    }
}

struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_was_appended_before_a_seal_is_among_the_segments_it_counts() {
    const ROUNDS: usize = 2_000;
    let outbox = outbox(64 << 20, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Another thread that seals continuously, as the exporter thread may.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                outbox.seal();
            }
        });
        // Even if an assertion fails, so that the test ends.
        let _finish = Finish(&done);
        let (mut taken, mut groups, mut seen) = (VecDeque::new(), 0_u64, 0);
        for round in 0..ROUNDS {
            assert!(outbox.append(0, false, &frame(&round.to_string())).is_ok());
            let barrier = outbox.seal();
            taken.extend(std::iter::from_fn(|| outbox.take_sealed()));
            groups += taken.len() as u64;
            seen += records(&taken).len();
            assert!(groups >= barrier && seen == round + 1, "{groups} {barrier} {seen} {round}");
            taken.drain(..).for_each(|group| recycle(&outbox, group));
        }
    });
}

#[test]
fn segments_are_got_ready_while_others_fill_up_and_within_the_bound() {
    let outbox = outbox(16 << 20, 1);
    outbox.prepare();
    assert_eq!(outbox.allocated_and_bound().0, 0, "nothing was written");
    let text = frame(&"x".repeat(100_000));
    let _wake = outbox.append(0, false, &text);
    outbox.prepare();
    let one = outbox.allocated_and_bound().0;
    assert_eq!(one, outbox.pool.block_bytes(), "no segment is full");
    while !outbox.has_sealed() {
        let _wake = outbox.append(0, false, &text);
    }
    for _ in 0..2 {
        outbox.prepare();
        assert_eq!(outbox.allocated_and_bound().0, (2 + block_pool::SPARE_BLOCKS) * one);
    }
    // These blocks are used next.
    while outbox.append(0, false, &text).is_ok() {
        outbox.prepare();
        let (allocated, bound) = outbox.allocated_and_bound();
        assert!(allocated <= bound);
    }
    assert_eq!(outbox.pool.free_blocks(), 0, "a record is refused only when none is left");
}

#[test]
fn lanes_leave_together_and_in_the_order_of_the_calls() {
    let outbox = outbox(64 << 10, 1);
    let usual = outbox.pool.block_bytes();
    let (mut taken, mut written) = (VecDeque::new(), 0);
    for round in 0..200 {
        // Small records of both lanes, some larger than a segment, and seals at any moment.
        let length = if round % 7 == 0 { usual + 10 } else { usual / 9 };
        if outbox.append(0, round % 2 == 0, &frame(&format!("{written:05}{}", "x".repeat(length)))).is_ok() {
            written += 1;
        } else {
            seal(&outbox, &mut taken);
        }
        if round % 23 == 0 {
            outbox.seal();
        }
        if round % 5 == 0 {
            for group in std::iter::from_fn(|| outbox.take_sealed()) {
                taken.push_back(group);
            }
        }
    }
    seal(&outbox, &mut taken);
    let seen: Vec<usize> = records(&taken).iter().map(|record| record[..5].parse().expect("a number")).collect();
    assert_eq!(seen, (0..written).collect::<Vec<_>>());
}
