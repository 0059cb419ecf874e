//! What ill-disposed surroundings do to a spool: links, pipes, restarts without end, a directory that is none.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, dead_end, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "spool_attacks",
    tests: named![
        a_service_that_dies_again_and_again_stays_within_the_bound,
        links_and_pipes_in_the_directory_stop_nothing_and_are_not_followed,
        what_waits_in_memory_at_the_end_is_not_promised_to_anybody,
    ],
    scenarios: named![die_at_once, log_one_and_wait, log_ten_in_vain],
};

/// Ends as by `kill -9`, without any handler.
fn die_at_once(arguments: &[String]) {
    logbridge::init();
    for number in 0..10 {
        log::info!("{} {number}", arguments[0]);
    }
    // SAFETY: kill(2) touches no memory.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

fn log_one_and_wait(_: &[String]) {
    logbridge::init();
    log::info!("alive");
    logbridge::bridge().expect("installed").flush(Duration::from_secs(20)).expect("nothing is in its way");
    wait_for_runner();
    let bridge = logbridge::bridge().expect("installed");
    let end = Instant::now() + Duration::from_secs(20);
    // The receiver has it before its answer is here.
    while bridge.report().counters.otlp.pending > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn log_ten_in_vain(_: &[String]) {
    logbridge::init();
    for number in 0..10 {
        log::info!("{number}");
    }
}

fn bytes_in(directory: &str) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").metadata().map_or(0, |metadata| metadata.len())).sum()
}

fn a_service_that_dies_again_and_again_stays_within_the_bound() {
    const BOUND: u64 = 8 << 20;
    let (folder, nowhere, receiver) = (Folder::new(), dead_end(), receiver());
    for round in 0..30 {
        let child = Child::new("die_at_once").arg(format!("{round}")).towards(&nowhere.url);
        let child =
            child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_SPOOL_MAX_BYTES", BOUND.to_string());
        child.run().killed_by(libc::SIGKILL);
        let bytes = bytes_in(&folder.spool());
        assert!(bytes <= BOUND, "{bytes} bytes after {round} rounds");
    }
    let child = Child::new("log_one_and_wait").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let mut child = child.start();
    let logs = receiver.wait_for_logs(301, Duration::from_secs(30));
    child.release();
    let child = child.finish().success();
    assert_eq!(logs.len(), 301, "each record once: {child}");
    assert_eq!(folder.files(), Vec::<String>::new());
}

fn make_pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).stdin(Stdio::null()).status().expect("mkfifo");
    assert!(status.success());
}

fn links_and_pipes_in_the_directory_stop_nothing_and_are_not_followed() {
    let (folder, nowhere, receiver) = (Folder::new(), dead_end(), receiver());
    let child = Child::new("die_at_once").arg("left").towards(&nowhere.url);
    child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).run().killed_by(libc::SIGKILL);
    let spool = Path::new(&folder.spool()).to_owned();
    let run = folder.files().into_iter().find_map(|name| Some(name.strip_suffix(".run")?.to_owned())).expect("a run");
    let precious = folder.0.join("precious");
    fs::write(&precious, "precious").expect("a file");
    make_pipe(&spool.join(format!("{run}-90000000.seg")));
    symlink("/dev/zero", spool.join(format!("{run}-90000001.seg"))).expect("a link");
    fs::create_dir(spool.join(format!("{run}-90000002.seg"))).expect("a directory");
    symlink(&precious, spool.join("0000000000000001-1.run")).expect("a link");
    make_pipe(&spool.join("0000000000000002-1.run"));
    let child = Child::new("log_one_and_wait").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let mut child = child.start();
    let logs = receiver.wait_for_logs(11, Duration::from_secs(30));
    child.release();
    let child = child.finish().success();
    assert_eq!(logs.len(), 11, "{child}");
    assert_eq!(fs::read_to_string(precious).expect("the file"), "precious", "{child}");
}

fn what_waits_in_memory_at_the_end_is_not_promised_to_anybody() {
    let (folder, nowhere) = (Folder::new(), dead_end());
    fs::write(folder.spool(), "a file").expect("a file");
    let child = Child::new("log_ten_in_vain").towards(&nowhere.url).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let child = child.run().success().said("waited in memory and is lost");
    let child = child.said("logbridge: warning[LB086]: 10 records were not delivered before the process ended");
    assert_eq!(child.count("the next start"), 0, "{child}");
}
