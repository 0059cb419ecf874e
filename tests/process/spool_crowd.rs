//! A spool with records of thousands of crashed processes: they are sent, and no call waits for that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use logbridge::testing::Answer;

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, SLACK, dead_end, is_long, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "spool_crowd",
    tests: named![a_crowd_of_dead_processes_delays_no_end, a_crowd_of_dead_processes_is_sent_and_delays_nothing,],
    scenarios: named![among_the_dead, end_among_the_dead, leave_one],
};

const TEXT: &str = "left by number 00000";

/// Leaves one record, and is killed.
fn leave_one(_: &[String]) {
    logbridge::init();
    log::info!("{TEXT}");
    // SAFETY: kill(2) touches no memory.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

fn number_at(bytes: &[u8], at: usize) -> usize {
    let word: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(word) as usize
}

/// Leaves so many runs, each as a killed process has left it, and each with a record of its own.
fn leave(folder: &Folder, runs: usize) {
    let nowhere = dead_end();
    let child = Child::new("leave_one").towards(&nowhere.url).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    child.run().killed_by(libc::SIGKILL);
    let spool = Path::new(&folder.spool()).to_owned();
    let (mut own, mut segment) = (Vec::new(), Vec::new());
    for name in folder.files() {
        let bytes = fs::read(spool.join(&name)).expect("a file");
        if name.ends_with(".run") {
            own = bytes;
        } else if bytes.windows(TEXT.len()).any(|window| window == TEXT.as_bytes()) {
            segment = bytes;
        }
        fs::remove_file(spool.join(name)).expect("it is there");
    }
    // As a look leaves it: without what nothing is in. The layout is that of `outbox/spool/format.rs`.
    let (start, committed) = (number_at(&segment, 12), number_at(&segment, 64));
    segment.truncate(start + committed);
    let salt = number_at(&segment, 88) as u32;
    let text = segment.windows(TEXT.len()).position(|window| window == TEXT.as_bytes()).expect("the record");
    for number in 0..runs {
        segment[text + TEXT.len() - 5..text + TEXT.len()].copy_from_slice(format!("{number:05}").as_bytes());
        let checksum = crc32fast::hash(&segment[start + 4..]) ^ salt;
        segment[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        let run = format!("{number:016x}-{}", 1_000 + number);
        fs::write(spool.join(format!("{run}-00000000.seg")), &segment).expect("a segment");
        fs::write(spool.join(format!("{run}.run")), &own).expect("a run");
    }
}

/// Logs and flushes, and says how long each took.
fn among_the_dead(_: &[String]) {
    let begun = Instant::now();
    logbridge::init();
    println!("init={}", begun.elapsed().as_micros());
    let (mut most, begun) = (Duration::ZERO, Instant::now());
    for number in 0..200 {
        let begun = Instant::now();
        if number % 2 == 0 {
            log::info!("alive {number}")
        } else {
            log::warn!("alive {number}")
        }
        most = most.max(begun.elapsed());
    }
    println!("slowest={}\nall={}", most.as_micros(), begun.elapsed().as_micros());
    let bridge = logbridge::bridge().expect("installed");
    let begun = Instant::now();
    let flushed = bridge.flush(Duration::from_millis(100));
    println!("flush={}\nflushed={}", begun.elapsed().as_micros(), u8::from(flushed.is_ok()));
    println!("ready");
    wait_for_runner();
    let end = Instant::now() + Duration::from_secs(20);
    while bridge.report().counters.otlp.pending > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    crate::support::print_counters();
}

fn end_among_the_dead(arguments: &[String]) {
    logbridge::init();
    log::info!("alive");
    if arguments[0] == "term" {
        // SAFETY: raise(3) touches no memory.
        unsafe { libc::raise(libc::SIGTERM) };
        std::thread::sleep(Duration::from_secs(30));
    }
}

fn a_crowd_of_dead_processes_is_sent_and_delays_nothing() {
    let runs = if is_long() { 10_000 } else { 4_000 };
    // As it is where nobody has died.
    let (alone, receiver) = (Folder::new(), receiver());
    let child = Child::new("among_the_dead").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", alone.spool());
    let mut child = child.env("LOGBRIDGE_CONSOLE", "off").start();
    receiver.wait_for_logs(200, Duration::from_secs(60));
    child.release();
    let alone = child.finish().success().numbers();
    receiver.clear();
    let folder = Folder::new();
    leave(&folder, runs);
    let child = Child::new("among_the_dead").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let child = child.env("LOGBRIDGE_CONSOLE", "off").deadline(Duration::from_secs(180));
    let begun = Instant::now();
    let mut child = child.start();
    // What was sent is removed. The receiver itself takes longer to tell what it has.
    while fs::read_dir(folder.spool()).is_ok_and(|entries| entries.count() > 50) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} files are left", folder.files().len());
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begun.elapsed();
    let logs = receiver.wait_for_logs(runs + 200, Duration::from_secs(60));
    child.release();
    let child = child.finish().success();
    let texts: BTreeSet<String> =
        logs.iter().map(|log| log.message()).filter(|text| text.starts_with("left")).collect();
    let all: BTreeSet<String> = (0..runs).map(|number| format!("left by number {number:05}")).collect();
    assert!(texts == all && receiver.logs().len() == runs + 200, "{} of {runs}: {child}", texts.len());
    let numbers = child.numbers();
    println!(
        "{runs} dead processes: all sent in {took:?}, in {} requests; µs: init {}, slowest log call {}, flush(100 ms) {}; \
         without them {}, {}, {}",
        receiver.requests().len(),
        numbers.get("init"),
        numbers.get("slowest"),
        numbers.get("flush"),
        alone.get("init"),
        alone.get("slowest"),
        alone.get("flush"),
    );
    numbers.expect(&[("otlp.adopted", runs as u64), ("otlp.lost", 0), ("otlp.pending", 0)]);
    let slack = SLACK / 4;
    for (what, most) in [("init", 0), ("slowest", 0), ("flush", 100)] {
        let took = Duration::from_micros(numbers.get(what));
        assert!(took < Duration::from_millis(most) + slack, "{what}: {child}");
    }
    assert!(receiver.requests().len() < runs / 10, "several runs a request: {}", receiver.requests().len());
    assert_eq!(folder.files(), Vec::<String>::new());
}

fn a_crowd_of_dead_processes_delays_no_end() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, if is_long() { 10_000 } else { 2_000 });
    receiver.answer_always(Answer::Hang(Duration::from_secs(60)));
    for how in ["exit", "term"] {
        for bound in ["1GiB", "4MiB"] {
            let child = Child::new("end_among_the_dead").arg(how).to(&receiver);
            let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_SPOOL_MAX_BYTES", bound);
            let child = child.env("LOGBRIDGE_EXIT_TIMEOUT", "300ms").env("LOGBRIDGE_FLUSH_ON_SIGNALS", "on").run();
            println!("ended by {how} with a bound of {bound} after {:?}", child.elapsed);
            let child = child.within(SLACK);
            if how == "exit" {
                child.success()
            } else {
                child.killed_by(libc::SIGTERM)
            };
        }
    }
}
