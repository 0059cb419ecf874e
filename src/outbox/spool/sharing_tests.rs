//! A directory that several processes share, and the files that ended processes no longer need.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::writer::unique_time;
use super::*;
use crate::config::SpoolConfig;
use crate::ledger::Ledger;
use crate::os;
use crate::outbox::Outbox;
use crate::outbox::tests::{frame_of, recycle};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("logbridge-sharing-{}-{number}", std::process::id())))
    }

    fn outbox(&self, max_bytes: usize) -> Outbox {
        let config = SpoolConfig { directory: self.0.clone(), max_bytes, sync: None };
        let spool = Arc::new(Spool::new(config, b"resource".to_vec()));
        Outbox::new(64 << 20, 1, Arc::new(Ledger::new())).with_spool(spool)
    }

    fn directory(&self) -> Directory {
        Directory::at(self.0.clone())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn append(outbox: &Outbox, text: &str) {
    let mut frame = frame_of("test", 9, text);
    let checksum = crc32fast::hash(&frame[4..]).to_le_bytes();
    frame[..4].copy_from_slice(&checksum);
    let _nobody_sleeps_here = outbox.append(0, false, &frame).expect("room");
}

/// Returns how many records a scan finds, and how many runs are alive.
fn look(folder: &Folder) -> (u64, usize) {
    let found = folder.directory().recover_all().expect("a directory");
    (found.runs.iter().map(RecoveredRun::estimate).sum(), found.alive)
}

#[test]
fn runs_that_begin_again_and_again_stay_within_the_bound() {
    let folder = Folder::new();
    const BOUND: usize = 16 << 20;
    for number in 0..40 {
        let outbox = folder.outbox(BOUND);
        append(&outbox, "a record");
        outbox.prepare();
        // Like a process that is killed: its lock ends, and its files stay.
        drop(outbox);
        let bytes = folder.directory().bytes();
        assert!(bytes <= BOUND, "{bytes} bytes after {number} runs");
    }
    assert_eq!(look(&folder), (40, 0));
    assert!(folder.directory().bytes() <= 40 * 2 * run_file::LENGTH, "only what holds records is left");
}

#[test]
fn runs_that_hold_nothing_leave_room_for_others() {
    let folder = Folder::new();
    const BOUND: usize = 16 << 20;
    let outboxes: Vec<Outbox> = (0..12).map(|_| folder.outbox(BOUND)).collect();
    for outbox in &outboxes {
        append(outbox, "a record");
        outbox.prepare();
        outbox.seal();
        while let Some(group) = outbox.take_sealed() {
            recycle(outbox, group);
        }
        // As the regular scan of the directory does.
        outboxes.iter().for_each(|outbox| outbox.set_total_bytes_in_spool(folder.directory().bytes()));
        assert!(folder.directory().bytes() <= BOUND * 3 / 4);
    }
}

#[test]
fn files_that_are_moved_away_and_come_back_are_still_ours() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let outbox = folder.outbox(16 << 20);
    append(&outbox, "a record");
    fs::rename(&folder.0, &elsewhere.0).expect("it moves");
    assert!(!outbox.check_spool());
    fs::rename(&elsewhere.0, &folder.0).expect("it comes back");
    assert_eq!(look(&folder), (0, 1), "its process lives, and sends what is in it");
    drop(outbox);
    assert_eq!(look(&folder), (1, 0));
}

#[test]
fn a_file_that_was_never_used_and_what_is_behind_the_records_go_at_once() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    append(&outbox, "a record");
    outbox.prepare();
    let before = folder.directory().bytes();
    drop(outbox);
    let mut found = folder.directory().recover_all().expect("a directory");
    assert!(before > 4 << 20 && folder.directory().bytes() < 2 * run_file::LENGTH, "{before}");
    assert_eq!(found.bytes, Some(folder.directory().bytes()));
    let left = found.runs[0].next().expect("a segment").expect("it can be read");
    assert_eq!((left.segment.records(), left.damage, left.resource.as_slice()), (1, None, &b"resource"[..]));
}

#[test]
fn files_are_no_more_than_a_process_may_map() {
    let folder = Folder::new();
    let outbox = folder.outbox(1 << 30);
    let spool = outbox.spool().expect("there is one");
    append(&outbox, "a record");
    spool.fill_files();
    assert_eq!(spool.create(os::page_size()).map(|_| ()), Err(CreateError::Full));
    assert_eq!(spool.in_use(), spool.max_bytes(), "an overload policy makes room");
}

#[test]
fn spare_files_leave_room_for_a_log_call() {
    let folder = Folder::new();
    for megabytes in 1..=8 {
        let outbox = folder.outbox(megabytes << 20);
        append(&outbox, "a record");
        outbox.prepare();
        let spool = outbox.spool().expect("there is one");
        let free = spool.max_bytes() - spool.in_use();
        let usual = outbox.pool.block_file_length(spool);
        assert!(outbox.pool.free_blocks() == 0 || free >= 2 * usual, "{megabytes} MiB: {free} bytes are free");
    }
}

#[test]
fn runs_that_begin_at_the_same_moment_have_names_of_their_own() {
    let times: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..10_000).map(|_| unique_time()).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let different: std::collections::BTreeSet<u64> = times.iter().copied().collect();
    assert_eq!(different.len(), times.len());
}
