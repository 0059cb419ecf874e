//! A spool with a failing directory, lost answers, damage and an outage: only counted records are lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use logbridge::testing::{Answer, Receiver};

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, dead_end, is_long, print_counters, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "spool_trouble",
    tests: named![
        a_directory_that_is_removed_while_a_process_runs_costs_nothing,
        a_full_disk_is_a_notice_and_memory_serves,
        a_lost_answer_costs_a_second_copy_with_the_same_id,
        an_endpoint_that_refuses_the_key_costs_nothing,
        an_outage_fills_the_spool_and_not_the_memory,
        damage_costs_what_is_damaged_and_is_counted,
        nothing_is_sent_twice_when_everything_was_answered,
        what_a_shutdown_leaves_is_for_others_while_the_process_lives,
        without_descriptors_records_wait_in_memory,
    ],
    scenarios: named![few_files, log_and_vanish, outage, shut_down_and_stay, small_files, spool_removed],
};

const LONG: Duration = Duration::from_secs(60);

/// Ends without any handler.
fn vanish() -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) }
}

/// Waits for the receiver to have so many records, then lets the child end.
#[track_caller]
fn finish_with(receiver: &Receiver, records: usize, mut child: crate::support::Running) -> Finished {
    receiver.wait_for_logs(records, LONG);
    child.release();
    child.finish().success()
}

/// Logs so many records, perhaps flushes them, and is gone.
fn log_and_vanish(arguments: &[String]) {
    logbridge::init();
    for number in 0..arguments[0].parse::<u32>().expect("a number") {
        log::info!("number {number}");
    }
    if arguments.get(1).is_some_and(|word| word == "flush") {
        logbridge::bridge().expect("installed").flush(Duration::from_secs(20)).ok();
    }
    vanish();
}

fn nothing_is_sent_twice_when_everything_was_answered() {
    let (folder, receiver) = (Folder::new(), receiver());
    for _ in 0..3 {
        let child = Child::new("log_and_vanish").args(["100", "flush"]).to(&receiver);
        child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).run().success().quiet();
    }
    assert_eq!(receiver.logs().len(), 300);
    // Only empty files were left behind; the next one clears them away and sends nothing.
    let left = folder.files();
    let child = Child::new("recover").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
    let end = Instant::now() + LONG;
    while folder.files().iter().any(|name| left.contains(name)) {
        assert!(Instant::now() < end, "{:?}", folder.files());
        std::thread::sleep(Duration::from_millis(5));
    }
    let child = finish_with(&receiver, 300, child).quiet();
    child.numbers().expect(&[("otlp.adopted", 0), ("otlp.pending", 0)]);
    assert_eq!((receiver.logs().len(), folder.files()), (300, Vec::<String>::new()));
}

fn a_lost_answer_costs_a_second_copy_with_the_same_id() {
    let (folder, receiver) = (Folder::new(), receiver());
    // It takes what it is sent, and the process dies before it hears of that.
    receiver.answer_always(Answer::Hang(LONG));
    let child = Child::new("log_and_vanish").args(["100", "flush"]).to(&receiver);
    let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_RECORD_IDS", "true").start();
    assert_eq!(receiver.wait_for_logs(100, LONG).len(), 100);
    drop(child); // Killed.
    receiver.answer_always(Answer::Ok);
    let child = Child::new("recover").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
    finish_with(&receiver, 200, child).numbers().expect(&[("otlp.adopted", 100), ("otlp.delivered", 100)]);
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for log in receiver.logs() {
        let id = log.attribute("log.record.uid").expect("an id").to_string();
        ids.entry(id).or_default().push(log.message());
    }
    assert_eq!(ids.len(), 100, "as many ids as records");
    assert!(ids.values().all(|messages| messages.len() == 2 && messages[0] == messages[1]), "{ids:?}");
}

fn an_endpoint_that_refuses_the_key_costs_nothing() {
    for status in [401, 403, 404] {
        let (folder, receiver) = (Folder::new(), receiver());
        receiver.answer_always(Answer::status(status));
        let first = Child::new("log_some").arg("100").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
        // It tries, is told why not, and does not wait for what will not change.
        let first = first.run().success().within(crate::support::SLACK).said(&status.to_string());
        let first = first.said("100 records were not delivered before the process ended").said("they wait in");
        assert_eq!(first.count("lost"), 0, "{first}");
        // The next start tries them again, as often as it takes until somebody has mended the key.
        let second = Child::new("recover").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
        let requests = receiver.requests().len();
        assert!(receiver.wait_for_requests(requests + 2, LONG).len() >= requests + 2, "{status}");
        receiver.answer_always(Answer::Ok);
        let second = finish_with(&receiver, 100, second).said(&status.to_string());
        second.numbers().expect(&[("otlp.adopted", 100), ("otlp.delivered", 100), ("otlp.lost", 0)]);
        assert_eq!((receiver.logs().len(), folder.files()), (100, Vec::<String>::new()), "{second}");
    }
}

fn shut_down_and_stay(_: &[String]) {
    logbridge::init();
    (0..50).for_each(|number| log::info!("number {number}"));
    logbridge::bridge().expect("installed").shutdown(Duration::from_millis(300)).expect_err("nothing was delivered");
    print_counters();
    println!("shut");
    wait_for_runner();
}

fn what_a_shutdown_leaves_is_for_others_while_the_process_lives() {
    let (folder, receiver, nowhere) = (Folder::new(), receiver(), dead_end());
    let stays = Child::new("shut_down_and_stay").towards(&nowhere.url);
    let mut stays = stays.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
    let child = Child::new("recover").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
    let child = finish_with(&receiver, 50, child);
    child.numbers().expect(&[("otlp.adopted", 50), ("otlp.delivered", 50)]);
    stays.release();
    let stays = stays.finish().success();
    stays.numbers().expect(&[("otlp.pending", 50), ("otlp.lost", 0)]);
    assert_eq!((receiver.logs().len(), folder.files()), (50, Vec::<String>::new()), "{stays}");
}

fn segments(folder: &Folder) -> Vec<PathBuf> {
    let names = folder.files().into_iter().filter(|name| name.ends_with(".seg"));
    names.map(|name| PathBuf::from(folder.spool()).join(name)).collect()
}

fn damage_costs_what_is_damaged_and_is_counted() {
    let (folder, receiver, nowhere) = (Folder::new(), receiver(), dead_end());
    let mut written = 0;
    for number in [500, 300, 200] {
        let child = Child::new("log_and_vanish").arg(number.to_string()).towards(&nowhere.url);
        child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).run().success();
        written += number;
        // Another run has files of its own: what is there was not adopted, since nothing could be sent.
    }
    // One byte in the middle of a record of each file that has any.
    let mut damaged = 0;
    for path in segments(&folder) {
        let mut bytes = fs::read(&path).expect("a segment");
        let text = b"number 42";
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("it can be written");
            damaged += 1;
        }
    }
    assert!(damaged >= 2, "{:?}", folder.files());
    let child = Child::new("recover").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
    let child = finish_with(&receiver, written - damaged, child).said("were damaged and are lost");
    let (damaged, written) = (damaged as u64, written as u64);
    child.numbers().expect(&[
        ("otlp.adopted", written),
        ("otlp.delivered", written - damaged),
        ("dropped.Damaged", damaged),
        ("otlp.pending", 0),
    ]);
    assert_eq!(receiver.logs().len() as u64, written - damaged);
    let left = folder.files();
    assert!(left.len() as u64 == damaged && left.iter().all(|name| name.ends_with(".seg.damaged")), "{left:?}");
}

/// From now on no file may be longer than this. A call that tries all the same gets SIGXFSZ, whose default is death.
fn small_files(_: &[String]) {
    logbridge::init();
    log::info!("before");
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a live struct that setrlimit reads.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
    let text = "x".repeat(1_000);
    for number in 0..20_000 {
        log::info!("{number} {text}");
    }
    crate::support::flush();
    print_counters();
}

fn a_full_disk_is_a_notice_and_memory_serves() {
    let (folder, receiver) = (Folder::new(), receiver());
    let child = Child::new("small_files").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let child = child.env("LOGBRIDGE_CONSOLE", "off").run().success().warned(1);
    let child = child.said(&format!("the spool in {} cannot be used: File too large", folder.spool()));
    let child = child.said("until then, records wait in memory (up to 64 MiB)");
    child.numbers().expect(&[("otlp.delivered", 20_001), ("otlp.lost", 0)]);
    assert_eq!(receiver.logs().len(), 20_001, "{child}");
    assert_eq!(folder.files(), Vec::<String>::new(), "{child}");
}

fn few_files(_: &[String]) {
    logbridge::init();
    log::info!("before");
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live struct that getrlimit writes and setrlimit reads.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let few = libc::rlimit { rlim_cur: 1, ..limit };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const few) }, 0);
    let text = "x".repeat(1_000);
    for number in 0..20_000 {
        log::info!("{number} {text}");
    }
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    crate::support::flush();
    print_counters();
}

fn without_descriptors_records_wait_in_memory() {
    let (folder, receiver) = (Folder::new(), receiver());
    let child = Child::new("few_files").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let child = child.env("LOGBRIDGE_CONSOLE", "off").run().success().said("cannot be used: Too many open files");
    child.numbers().expect(&[("otlp.delivered", 20_001), ("otlp.lost", 0)]);
    assert_eq!((receiver.logs().len(), folder.files()), (20_001, Vec::<String>::new()), "{child}");
}

/// Goes on while its directory is removed, until it says that it is there again.
fn spool_removed(arguments: &[String]) {
    logbridge::init();
    let directory = PathBuf::from(&arguments[0]);
    let log = |from: u32| (from..from + 1_000).for_each(|number| log::info!("number {number}"));
    log(0);
    // In one step, since files are made meanwhile.
    let away = directory.with_extension("away");
    fs::rename(&directory, &away).expect("it was there");
    fs::remove_dir_all(&away).expect("nobody makes files here");
    log(1_000);
    let end = Instant::now() + LONG;
    let said = |text: &str| {
        let notices = logbridge::bridge().expect("installed").report().notices;
        notices.iter().any(|notice| notice.contains(text))
    };
    let mut number = 2_000;
    while !said("can be used again") {
        assert!(Instant::now() < end, "{}", logbridge::bridge().expect("installed").report());
        log::info!("number {number}");
        number += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(directory.is_dir());
    log(1_000_000);
    crate::support::flush();
    println!("written={}", number + 1_000);
    print_counters();
}

fn a_directory_that_is_removed_while_a_process_runs_costs_nothing() {
    let (folder, receiver) = (Folder::new(), receiver());
    let child = Child::new("spool_removed").arg(folder.spool()).to(&receiver);
    let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_CONSOLE", "off").run().success();
    // Whoever notices it first.
    let said =
        ["its files were removed", "No such file or directory"].iter().filter(|why| child.count(why) > 0).count();
    assert!(said > 0, "{child}");
    let written = child.numbers().get("written");
    child.numbers().expect(&[("otlp.delivered", written), ("otlp.lost", 0)]);
    assert_eq!((receiver.logs().len() as u64, folder.files()), (written, Vec::<String>::new()), "{child}");
}

/// MiB of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

/// A kilobyte each, as fast as it goes.
fn outage(arguments: &[String]) {
    let records: u64 = arguments[0].parse().expect("a number");
    logbridge::init();
    let text = "x".repeat(800);
    log::info!("{:09} {text}", 0);
    let (before, mut most) = (resident(), 0);
    for number in 1..records {
        log::info!("{number:09} {text}");
        if number % 10_000 == 0 {
            most = resident().max(most);
        }
    }
    println!("grown={}", most.saturating_sub(before));
    println!("lost={}", logbridge::bridge().expect("installed").report().counters.otlp.lost());
    wait_for_runner();
    // Live records go on while the backlog is sent.
    let bridge = logbridge::bridge().expect("installed");
    let mut number = records;
    while bridge.report().counters.otlp.pending > 1_000 {
        log::info!("{number:09} live");
        number += 1;
        std::thread::sleep(Duration::from_micros(200));
    }
    bridge.flush(LONG).expect("everything is delivered");
    println!("written={number}");
    print_counters();
}

/// An hour of ten thousand records of 250 bytes a second is 9 GB; a part of that, unless somebody has the time.
fn an_outage_fills_the_spool_and_not_the_memory() {
    let records: u64 = if is_long() { 9_000_000 } else { 200_000 };
    let (folder, receiver) = (Folder::new(), receiver());
    receiver.answer_always(Answer::status(503));
    let child = Child::new("outage").arg(records.to_string()).to(&receiver).deadline(Duration::from_secs(1_500));
    let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_SPOOL_MAX_BYTES", "12GiB");
    let mut child = child.env("LOGBRIDGE_CONSOLE", "off").start();
    let bytes =
        || segments(&folder).iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum::<u64>();
    let end = Instant::now() + Duration::from_secs(900);
    // What it writes is there before it is told to go on.
    while bytes() < records * 1_000 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    receiver.answer_always(Answer::Ok);
    child.release();
    let mut seen = vec![0_u8; records as usize + 10_000_000];
    let mut arrived = 0;
    let mut count = |receiver: &Receiver| {
        for log in receiver.take_logs() {
            let number: usize = log.message().split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
            seen[number] += 1;
            arrived += 1;
        }
        arrived
    };
    while count(&receiver) < records && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let child = child.finish().success();
    let arrived = count(&receiver);
    let numbers = child.numbers();
    let written = numbers.get("written");
    numbers.expect(&[("lost", 0), ("otlp.lost", 0), ("otlp.delivered", written), ("otlp.pending", 0)]);
    assert_eq!(arrived, written, "{child}");
    assert!(seen.iter().take(written as usize).all(|times| *times == 1), "each once");
    assert!(written > records, "live records kept flowing");
    assert!(numbers.get("grown") < 96, "the memory stays where it is: {child}");
    assert_eq!(folder.files(), Vec::<String>::new());
}
