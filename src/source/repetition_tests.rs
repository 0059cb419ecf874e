use std::time::Duration;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn windows(records: u64) -> Windows {
    Windows::new(RepetitionLimit { records, window: WINDOW, exempt: None })
}

fn at<'a>(target: &'a str, file: &'a str, line: u32) -> Similar<'a> {
    let location = Location { file: Some(file), line: Some(line), is_static: true };
    Similar { target, severity_number: 9, severity_text: "INFO", location, callsite: None, text: None }
}

/// Returns how many of this many similar records pass at that time, and the counts of the resulting summaries.
fn write(windows: &Windows, record: &Similar<'_>, times: usize, now: Instant) -> (usize, Vec<u64>) {
    let decision: Vec<Decision> = (0..times).map(|_| windows.decide(record, now)).collect();
    let passed = decision.iter().filter(|decision| !decision.is_suppressed).count();
    (passed, decision.into_iter().filter_map(|decision| decision.closed).map(|summary| summary.suppressed).collect())
}

#[test]
fn so_many_pass_in_a_window_and_the_next_record_tells_of_the_others() {
    let (windows, start) = (windows(3), Instant::now());
    let record = at("shop", "a.rs", 1);
    assert_eq!(write(&windows, &record, 2, start), (2, vec![]));
    let late = start + WINDOW - Duration::from_nanos(1);
    assert_eq!(write(&windows, &record, 5, late), (1, vec![]), "the window began with the first");
    assert_eq!(windows.next_end(), Some(start + WINDOW));
    assert_eq!(write(&windows, &record, 4, start + WINDOW), (3, vec![4]));
    // A thread that read the clock before the others.
    assert_eq!(write(&windows, &record, 1, start), (0, vec![]));
    assert_eq!(windows.close_expired(start + WINDOW * 2)[0].suppressed, 2);
    assert_eq!((windows.close_expired(start + WINDOW * 9), windows.next_end()), (vec![], None));
    assert_eq!(write(&windows, &record, 4, start + WINDOW * 9), (3, vec![]));
}

#[test]
fn only_the_first_that_is_suppressed_is_news() {
    let (windows, now) = (windows(1), Instant::now());
    let news = |_| windows.decide(&at("shop", "a.rs", 1), now).is_first;
    assert_eq!((0..4).map(news).collect::<Vec<_>>(), [false, true, false, false]);
    assert_eq!(windows.take_summaries().len(), 1);
    assert_eq!((0..3).map(news).collect::<Vec<_>>(), [true, false, false], "there is something to tell again");
}

#[test]
fn a_flush_tells_and_lets_nothing_through() {
    let (windows, now) = (windows(1), Instant::now());
    let record = at("shop", "a.rs", 7);
    assert_eq!(write(&windows, &record, 3, now).0, 1);
    let told = windows.take_summaries();
    let expected = Summary {
        target: "shop".into(),
        severity_number: 9,
        severity_text: "INFO".into(),
        file: Some("a.rs".into()),
        line: Some(7),
        suppressed: 2,
    };
    assert_eq!(told, [expected]);
    assert_eq!((windows.take_summaries(), windows.next_end()), (vec![], None));
    assert_eq!(write(&windows, &record, 3, now).0, 0);
    assert_eq!(windows.close_expired(now + WINDOW)[0].suppressed, 3);
}

#[test]
fn what_differs_in_anything_is_not_similar() {
    let (windows, now) = (windows(1), Instant::now());
    let base = || at("shop", "a.rs", 1);
    let text = |text: &str| Similar { location: Location::default(), text: Some(text.to_owned()), ..base() };
    let records = [
        base(),
        at("shop::db", "a.rs", 1),
        at("shop", "b.rs", 1),
        at("shop", "a.rs", 2),
        Similar { severity_number: 13, ..base() },
        text("one"),
        text("two"),
    ];
    for record in &records {
        assert_eq!(write(&windows, record, 2, now).0, 1, "{record:?}");
    }
}

#[test]
fn the_table_is_bounded_and_what_is_closed_is_told() {
    const MANY: u32 = 5_000;
    let (windows, start) = (windows(1), Instant::now());
    let mut told = 0;
    for line in 0..MANY {
        let now = start + Duration::from_micros(line.into());
        let (passed, closed) = write(&windows, &at("shop", "a.rs", line), 3, now);
        assert_eq!(passed, 1);
        told += closed.iter().sum::<u64>();
    }
    let sizes: Vec<usize> = windows.shards.iter().map(|shard| lock(shard).len()).collect();
    assert!(sizes.iter().all(|size| *size <= CALLSITES), "{sizes:?}");
    assert!(told > 0);
    let left = windows.take_summaries();
    // The oldest windows were closed: in each shard, the remaining windows are newer than the closed ones.
    assert_eq!(told + left.iter().map(|summary| summary.suppressed).sum::<u64>(), u64::from(MANY) * 2);
    assert!(left.iter().any(|summary| summary.line == Some(MANY - 1)));
    assert!(left.iter().all(|summary| summary.line != Some(0)));
}

#[test]
fn two_callsites_of_one_hash_are_told_apart() {
    let (windows, now) = (windows(1), Instant::now());
    let (one, other) = (at("shop", "a.rs", 1), at("shop", "b.rs", 1));
    assert_eq!(write(&windows, &one, 3, now).0, 1);
    // No colliding callsites are known, so the test assigns the window to another callsite.
    for shard in &windows.shards {
        lock(shard).values_mut().for_each(|window| window.so_far.file = other.location.file.map(Arc::from));
    }
    assert_eq!(write(&windows, &one, 1, now), (1, vec![2]));
}

#[test]
fn threads_together_get_no_more_than_one_alone() {
    let (windows, now) = (windows(100), Instant::now());
    let passed: usize = std::thread::scope(|scope| {
        let write = || write(&windows, &at("shop", "a.rs", 1), 1_000, now).0;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(write)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(passed, 100);
    assert_eq!(windows.take_summaries()[0].suppressed, 3_900);
}
