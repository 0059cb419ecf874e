//! Attacks on a spool: links, pipes, endless restarts, and a directory that is not one.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, dead_end, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "spool_attacks",
    tests: named![
        a_directory_that_becomes_a_link_is_not_followed,
        a_service_that_dies_again_and_again_stays_within_the_bound,
        in_a_directory_that_all_can_write_only_files_of_this_user_count,
        links_and_pipes_in_the_directory_stop_nothing_and_are_not_followed,
        what_waits_in_memory_at_the_end_is_not_promised_to_anybody,
    ],
    scenarios: named![die_at_once, log_one_and_wait, log_ten_in_vain, replaced_by_a_link],
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
    let child = child.run().success().said("were in memory and are lost");
    let child = child.said("logbridge: error[LB086]: 10 records were not delivered before the process ended");
    assert_eq!(child.count("the next start"), 0, "{child}");
}

/// Leaves ten records, and returns the names of its files.
fn leave(folder: &Folder, text: &str) -> Vec<String> {
    let (before, nowhere) = (folder.files(), dead_end());
    let child = Child::new("die_at_once").arg(text).towards(&nowhere.url);
    child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).run().killed_by(libc::SIGKILL);
    folder.files().into_iter().filter(|name| !before.contains(name)).collect()
}

fn in_a_directory_that_all_can_write_only_files_of_this_user_count() {
    let (folder, receiver) = (Folder::new(), receiver());
    let spool = Path::new(&folder.spool()).to_owned();
    fs::create_dir(&spool).expect("a directory");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o777)).expect("it is ours");
    leave(&folder, "ours");
    let theirs = leave(&folder, "theirs");
    let is_root = fs::metadata(&spool).expect("it is there").uid() == 0;
    for name in &theirs {
        if is_root {
            chown(spool.join(name), Some(12_345), Some(12_345)).expect("root may");
        } else {
            println!("skipped in part: only root can give files to another user");
            fs::remove_file(spool.join(name)).expect("it is there");
        }
    }
    let child = Child::new("log_one_and_wait").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let mut child = child.start();
    let logs = receiver.wait_for_logs(11, Duration::from_secs(30));
    child.release();
    let child = child.finish().success().warned(if is_root { 2 } else { 1 });
    let child = child.said("is not private: every user can write there (mode 0777)");
    assert!(logs.len() == 11 && logs.iter().all(|log| !log.message().contains("theirs")), "{child}");
    if !is_root {
        return;
    }
    let child = child.said("has files that are not sent: they belong to other users, or");
    // All that have records are there.
    let kept: Vec<String> = folder.files();
    assert!(!kept.is_empty() && kept.iter().all(|name| theirs.contains(name)), "{kept:?}: {child}");
}

/// Goes on while a link takes the place of its directory.
fn replaced_by_a_link(arguments: &[String]) {
    let [directory, elsewhere] = arguments else { panic!("two directories") };
    logbridge::init();
    let text = "x".repeat(1_000);
    let log = |from: u32| (from..from + 3_000).for_each(|number| log::info!("{number} {text}"));
    log(0);
    fs::rename(directory, Path::new(directory).with_extension("away")).expect("it was there");
    symlink(elsewhere, directory).expect("a link");
    log(10_000);
    let end = Instant::now() + Duration::from_secs(30);
    let mut number = 20_000;
    while logbridge::bridge().expect("installed").report().notices.is_empty() {
        assert!(Instant::now() < end, "nobody notices it");
        log::info!("{number}");
        number += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    crate::support::flush();
    println!("written={}", 6_000 + number - 20_000);
}

fn a_directory_that_becomes_a_link_is_not_followed() {
    let (folder, receiver) = (Folder::new(), receiver());
    let elsewhere = folder.0.join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    let names = ["precious", "0000000000000001-1.run", "0000000000000001-1-00000000.seg", ".0000000000000002-1.run"];
    for name in names {
        fs::write(elsewhere.join(name), name).expect("a file");
    }
    let child = Child::new("replaced_by_a_link").arg(folder.spool()).arg(elsewhere.to_str().expect("a readable name"));
    let child = child.to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_CONSOLE", "off");
    let child = child.run().success().said("cannot be used");
    assert_eq!(receiver.logs().len() as u64, child.numbers().get("written"), "{child}");
    let mut left: Vec<String> = Vec::new();
    for entry in fs::read_dir(&elsewhere).expect("a directory") {
        left.push(entry.expect("an entry").file_name().to_string_lossy().into_owned());
    }
    assert_eq!(left.len(), names.len(), "{left:?}: {child}");
    for name in names {
        assert_eq!(fs::read_to_string(elsewhere.join(name)).expect("it is there"), name, "{child}");
    }
}
