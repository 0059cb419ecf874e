//! Compares the ledger with the child's own count of its calls, and with the records that arrived.

use std::collections::BTreeMap;
use std::sync::Mutex;

use log::Level;

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, flush, print_counters, receiver};

pub(crate) const GROUP: Group =
    Group { name: "ledger", tests: named![counters_are_the_calls_that_were_made], scenarios: named![count_calls] };

const THREADS: usize = 4;
const CALLS: usize = 900;
const TARGETS: [&str; 3] = ["app::orders", "noisy::poll", "other"];

macro_rules! event {
    ($target:expr, $level:expr, $number:expr) => {
        match $level {
            Level::Error => tracing::error!(target: $target, number = $number, "call"),
            Level::Warn => tracing::warn!(target: $target, number = $number, "call"),
            Level::Info => tracing::info!(target: $target, number = $number, "call"),
            Level::Debug => tracing::debug!(target: $target, number = $number, "call"),
            Level::Trace => tracing::trace!(target: $target, number = $number, "call"),
        }
    };
}

fn call(number: usize, level: Level, target: usize, by_log: bool) {
    match (by_log, target) {
        (true, target) => log::log!(target: TARGETS[target], level, number; "call"),
        (false, 0) => event!(TARGETS[0], level, number),
        (false, 1) => event!(TARGETS[1], level, number),
        (false, _) => event!(TARGETS[2], level, number),
    }
}

/// Every combination of level, target and facade, in each thread equally often; returns what was called.
fn call_all(thread: usize) -> BTreeMap<String, u64> {
    let mut own: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..CALLS {
        let level = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace][number % 5];
        let (target, by_log) = (number / 5 % 3, number / 15 % 2 == 0);
        call(thread * CALLS + number, level, target, by_log);
        *own.entry(format!("own.{level}.{}", TARGETS[target])).or_default() += 1;
    }
    own
}

fn count_calls(_: &[String]) {
    logbridge::init();
    let own: Mutex<BTreeMap<String, u64>> = Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let own = &own;
            scope.spawn(move || {
                let counted = call_all(thread);
                let mut own = own.lock().expect("no panic");
                counted.into_iter().for_each(|(name, calls)| *own.entry(name).or_default() += calls);
            });
        }
    });
    flush();
    own.into_inner().expect("no panic").iter().for_each(|(name, calls)| println!("{name}={calls}"));
    print_counters();
}

fn counters_are_the_calls_that_were_made() {
    let receiver = receiver();
    let child = Child::new("count_calls").to(&receiver).env("RUST_LOG", "info,noisy=off");
    let child = child.env("LOGBRIDGE_OTLP_LEVEL", "warn").env("LOGBRIDGE_CONSOLE_LEVEL", "error,other=notset").run();
    let child = child.success().quiet().within(SLACK);
    let numbers = child.numbers();
    let calls = |levels: &[Level], targets: &[&str]| -> u64 {
        let own = |level: &Level, target: &&str| numbers.get(&format!("own.{level}.{target}"));
        levels.iter().map(|level| targets.iter().map(|target| own(level, target)).sum::<u64>()).sum()
    };
    let (loud, quiet) = ([TARGETS[0], TARGETS[2]], [TARGETS[1]]);
    let offered = [Level::Error, Level::Warn, Level::Info];
    let delivered = calls(&offered[..2], &loud);
    assert_eq!(delivered, (THREADS * CALLS) as u64 * 4 / 15, "the child's own arithmetic: {child}");
    let printed = calls(&offered[..1], &loud);
    numbers.expect(&[
        ("offered", calls(&offered, &TARGETS)),
        ("below", calls(&offered, &quiet)),
        ("passed", calls(&offered, &loud)),
        ("otlp.below", calls(&offered[2..], &loud)),
        ("otlp.accepted", delivered),
        ("otlp.delivered", delivered),
        ("otlp.suppressed", 0),
        ("otlp.lost", 0),
        ("otlp.pending", 0),
        ("console.below", calls(&offered[1..], &loud)),
        ("console.accepted", printed),
        ("console.failed", 0),
    ]);
    assert_eq!(child.stderr.lines().count() as u64, printed, "lines");
    let mut arrived: Vec<_> = receiver.logs().iter().filter_map(|log| log.attributes["number"].as_int()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived.len() as u64, delivered, "records");
    arrived.dedup();
    assert_eq!(arrived.len() as u64, delivered, "each once");
    assert!(receiver.logs().iter().all(|log| log.severity_number >= 13 && loud.contains(&log.target())));
}
