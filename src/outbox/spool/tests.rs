//! The directory: ownership of files, and behavior if the directory is unusable.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::names::{RUN, SEGMENT};
use super::*;
use crate::config::SpoolConfig;
use crate::ledger::{DropReason, Ledger};
use crate::outbox::tests::{frame_of, recycle};
use crate::outbox::{Group, Outbox};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("logbridge-outbox-{}-{number}", std::process::id()));
        Self(path)
    }

    fn names(&self, ending: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
        names.sort_unstable();
        names
    }

    fn spool(&self, max_bytes: usize) -> Arc<Spool> {
        let config = SpoolConfig { directory: self.0.clone(), max_bytes, sync: None };
        Arc::new(Spool::new(config, b"resource".to_vec()))
    }

    fn outbox(&self, max_bytes: usize) -> Outbox {
        Outbox::new(64 << 20, 1, Arc::new(Ledger::new())).with_spool(self.spool(max_bytes))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A frame with its checksum, as in a file.
pub(super) fn frame(text: &str) -> Vec<u8> {
    let mut frame = frame_of("test", 9, text);
    let checksum = crc32fast::hash(&frame[4..]).to_le_bytes();
    frame[..4].copy_from_slice(&checksum);
    frame
}

fn append(outbox: &Outbox, thread: usize, high: bool, frame: &[u8]) {
    let _nobody_sleeps_here = outbox.append(thread, high, frame).expect("room");
}

/// Returns the texts of all records that an ended run has left.
fn recovered_texts(folder: &Folder) -> Vec<String> {
    let found = Directory::at(folder.0.clone()).recover_all().expect("a directory");
    let mut texts = Vec::new();
    for mut run in found.runs {
        while let Some(next) = run.next() {
            if let Ok(left) = next {
                let record =
                    |frame: crate::outbox::frame::Frame<'_>| String::from_utf8_lossy(frame.record).into_owned();
                texts.extend(left.segment.frames_from(0).map(record));
                left.finish();
            }
        }
        assert!(run.finish().is_none());
    }
    texts
}

#[test]
fn what_a_living_process_has_is_not_recovered_and_what_it_leaves_is() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    for text in ["a", "b", "c"] {
        append(&outbox, 0, text == "b", &frame(text));
    }
    assert_eq!(recovered_texts(&folder), Vec::<String>::new());
    // Like the end of the process: the mappings are removed, and the lock with them.
    drop(outbox);
    let mut texts = recovered_texts(&folder);
    texts.sort_unstable();
    assert_eq!(texts, ["a", "b", "c"]);
    assert_eq!(folder.names(""), Vec::<String>::new());
}

#[test]
fn only_one_of_many_recovers_a_run() {
    let folder = Folder::new();
    for _ in 0..20 {
        let outbox = folder.outbox(16 << 20);
        append(&outbox, 0, false, &frame("once"));
        drop(outbox);
        let barrier = std::sync::Barrier::new(4);
        let texts: Vec<String> = std::thread::scope(|scope| {
            let recoverers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        recovered_texts(&folder)
                    })
                })
                .collect();
            recoverers.into_iter().flat_map(|recoverer| recoverer.join().expect("no panic")).collect()
        });
        assert_eq!(texts, ["once"]);
    }
}

#[test]
fn what_was_sent_is_not_there_any_more_and_files_are_used_again() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    for round in 0..50 {
        for number in 0..10 {
            append(&outbox, 0, false, &frame(&format!("{round} {number}")));
        }
        outbox.seal();
        let mut group = outbox.take_sealed().expect("one");
        if round == 49 {
            // Five of them were in a request that was answered.
            let low = group.lanes()[0].expect("a segment");
            let five: usize = low.frames_from(0).take(5).map(|frame| frame.length).sum();
            group.consume([five, 0]);
            drop(group);
        } else {
            recycle(&outbox, group);
        }
    }
    assert_eq!(folder.names(SEGMENT).len(), 1, "the same file each time");
    drop(outbox);
    assert_eq!(recovered_texts(&folder), (5..10).map(|number| format!("49 {number}")).collect::<Vec<_>>());
}

#[test]
fn the_bound_holds_for_the_directory_and_full_is_full() {
    let folder = Folder::new();
    let outbox = folder.outbox(4 << 20);
    let text = "x".repeat(1_000);
    let mut appended = 0;
    let refused = loop {
        match outbox.append(0, false, &frame(&text)) {
            Ok(_) => appended += 1,
            Err(reason) => break reason,
        }
    };
    assert_eq!(refused, DropReason::OutboxFull);
    assert!(appended > 3_500, "{appended}");
    assert_eq!(outbox.allocated_and_bound().0, 0, "a full spool does not spill into memory");
    let bytes: u64 =
        folder.names("seg").iter().map(|name| fs::metadata(folder.0.join(name)).expect("it is there").len()).sum();
    assert!(bytes <= 4 << 20, "{bytes}");
    assert_eq!(outbox.append(0, false, &frame(&"x".repeat(5 << 20))), Err(DropReason::TooLarge));
    // The files that it leaves also count for the next process.
    drop(outbox);
    let spool = folder.spool(4 << 20);
    let found = Directory::at(folder.0.clone()).recover_all().expect("a directory");
    spool.set_total_bytes(found.bytes.unwrap_or(0));
    assert_eq!(spool.create(1 << 20).err(), Some(CreateError::Full));
    spool.note_freed(found.bytes.unwrap_or(0));
    assert!(spool.create(1 << 20).is_ok());
}

#[test]
fn segments_that_are_mostly_empty_do_not_fill_the_spool() {
    let folder = Folder::new();
    let outbox = folder.outbox(4 << 20);
    // A flush after each record, while the endpoint fails.
    for number in 0..100 {
        append(&outbox, 0, false, &frame(&number.to_string()));
        outbox.seal();
        // As the exporter thread does, which the flush wakes.
        outbox.prepare();
    }
    drop(outbox);
    let mut numbers: Vec<u32> = recovered_texts(&folder).iter().map(|text| text.parse().expect("a number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_large_record_gets_a_file_of_its_own() {
    let folder = Folder::new();
    let outbox = folder.outbox(64 << 20);
    let large = "x".repeat(5 << 20);
    append(&outbox, 0, false, &frame("small"));
    append(&outbox, 0, false, &frame(&large));
    drop(outbox);
    let mut lengths: Vec<usize> = recovered_texts(&folder).iter().map(String::len).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [5, 5 << 20]);
}

#[test]
fn where_the_directory_cannot_be_used_records_go_into_memory_until_it_can() {
    let folder = Folder::new();
    // There is a file in place of the directory.
    fs::write(&folder.0, b"in the way").expect("a file");
    let outbox = folder.outbox(16 << 20);
    append(&outbox, 0, false, &frame("in memory"));
    let spool = Arc::clone(outbox.spool().expect("it has one"));
    assert!(spool.take_unreported_error().is_some() && spool.take_unreported_error().is_none(), "reported once");
    assert!(!spool.is_usable() && outbox.allocated_and_bound().0 > 0);
    fs::remove_file(&folder.0).expect("it is there");
    let until = Instant::now() + Duration::from_secs(20);
    while !outbox.check_spool() {
        assert!(Instant::now() < until, "it is tried again");
        std::thread::sleep(Duration::from_millis(20));
    }
    let in_memory = outbox.take_sealed().expect("what was in memory is sealed");
    assert!(!in_memory.is_in_files());
    append(&outbox, 0, false, &frame("in a file"));
    drop((outbox, spool));
    assert_eq!(recovered_texts(&folder), ["in a file"]);
    fs::create_dir_all(&folder.0).ok();
}

#[test]
fn a_directory_that_is_removed_loses_nothing_of_a_process_that_lives() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    append(&outbox, 0, false, &frame("before"));
    fs::remove_dir_all(&folder.0).expect("it is there");
    append(&outbox, 0, false, &frame("after"));
    assert!(!outbox.check_spool(), "it is gone");
    let spool = outbox.spool().expect("it has one");
    assert_eq!(spool.take_unreported_error().as_deref(), Some("its files were removed"));
    let sealed = outbox.take_sealed().expect("what it had is sealed");
    assert_eq!(sealed.records(), 2);
    let until = Instant::now() + Duration::from_secs(20);
    while !outbox.check_spool() {
        assert!(Instant::now() < until, "it is made again");
        std::thread::sleep(Duration::from_millis(20));
    }
    append(&outbox, 0, false, &frame("again"));
    recycle(&outbox, sealed);
    drop(outbox);
    assert_eq!(recovered_texts(&folder), ["again"]);
}

#[test]
fn what_cannot_be_read_stops_nothing() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    append(&outbox, 0, false, &frame("good"));
    drop(outbox);
    let run = folder.names(RUN)[0].strip_suffix(".run").expect("a run").to_owned();
    let put = |number: &str, bytes: &[u8]| {
        fs::write(folder.0.join(format!("{run}-{number}.seg")), bytes).expect("a file");
    };
    put("00000100", b"");
    put("00000101", b"somebody's notes, which are longer than a magic number");
    put("00000102", &[0; 4096]);
    let mut other_version = vec![0; 4096];
    other_version[..8].copy_from_slice(&format::magic().to_le_bytes());
    other_version[8] = 9;
    put("00000103", &other_version);
    fs::create_dir(folder.0.join(format!("{run}-00000104.seg"))).expect("a directory");
    fs::write(folder.0.join("README"), b"mine").expect("a file");
    let mut found = Directory::at(folder.0.clone()).recover_all().expect("a directory");
    let mut run = found.runs.pop().expect("one run");
    let (mut good, mut skipped) = (0, Vec::new());
    while let Some(next) = run.next() {
        match next {
            Ok(left) => {
                good += left.segment.records();
                left.finish();
            }
            Err(SkippedFile::Empty(_)) => {}
            Err(SkippedFile::SetAside(path, _) | SkippedFile::Unreadable(path, _)) => {
                skipped.push(path.to_string_lossy().into_owned())
            }
            Err(SkippedFile::Version(_, version)) => skipped.push(format!("version {version}")),
        }
    }
    assert_eq!((good, skipped.len()), (1, 3), "{skipped:?}");
    assert!(skipped[0].ends_with("-00000101.seg.damaged") && skipped[1] == "version 9", "{skipped:?}");
    let kept = run.finish().expect("it has files that stay");
    assert!(
        Directory::at(folder.0.clone()).recover_all().expect("a directory").runs.is_empty(),
        "they are reported once"
    );
    drop(kept);
    assert_eq!(folder.names("").len(), 5, "{:?}", folder.names(""));
}

#[test]
fn segments_that_lost_their_run_are_recovered_when_they_are_old() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    append(&outbox, 0, false, &frame("alone"));
    drop(outbox);
    fs::remove_file(folder.0.join(&folder.names(RUN)[0])).expect("it is there");
    assert_eq!(recovered_texts(&folder), Vec::<String>::new(), "somebody may be copying them here");
    let hour = Duration::from_secs(3_600);
    set_modified(&folder, SystemTime::now() - hour);
    assert_eq!(recovered_texts(&folder), ["alone"]);
    assert_eq!(folder.names(""), Vec::<String>::new());
}

fn set_modified(folder: &Folder, time: SystemTime) {
    for name in folder.names(SEGMENT) {
        let file = fs::File::options().write(true).open(folder.0.join(name)).expect("a file");
        file.set_modified(time).expect("a time");
    }
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_for_ever() {
    let folder = Folder::new();
    for (text, name) in [("of the future", "ffffffffffffffff-1"), ("of now", "")] {
        let outbox = folder.outbox(16 << 20);
        append(&outbox, 0, false, &frame(text));
        drop(outbox);
        // As if the clock had been far ahead when this one began.
        for old in folder.names("").iter().filter(|old| !name.is_empty() && !old.starts_with(name)) {
            let new = old
                .rsplit_once('-')
                .filter(|_| old.ends_with(SEGMENT))
                .map_or_else(|| format!("{name}.{RUN}"), |(_, number)| format!("{name}-{number}"));
            fs::rename(folder.0.join(old), folder.0.join(new)).expect("it is there");
        }
    }
    assert_eq!(recovered_texts(&folder), ["of now", "of the future"]);
    // The same with segments that have lost their run.
    let outbox = folder.outbox(16 << 20);
    append(&outbox, 0, false, &frame("alone"));
    drop(outbox);
    fs::remove_file(folder.0.join(&folder.names(RUN)[0])).expect("it is there");
    set_modified(&folder, SystemTime::now() + Duration::from_secs(3_600));
    assert_eq!(recovered_texts(&folder), ["alone"]);
}

/// Returns the records that the exporter of another process sends, group by group, in order.
fn recovered_in_order(folder: &Folder) -> Vec<String> {
    let found = Directory::at(folder.0.clone()).recover_all().expect("a directory");
    let mut lefts: Vec<RecoveredSegment> = Vec::new();
    for mut run in found.runs {
        let groups: Vec<u64> = std::iter::from_fn(|| {
            let group = run.next_group()?;
            let left = run.next()?.expect("it can be read");
            assert_eq!(left.group, group);
            lefts.push(left);
            Some(group)
        })
        .collect();
        assert!(groups.is_sorted() && groups.iter().all(|group| *group > 0), "{groups:?}");
    }
    let mut texts = Vec::new();
    for group in lefts.chunk_by(|a, b| a.group == b.group) {
        let lane = |lane: usize| group.get(lane).map(|left| &left.segment);
        let frames = crate::outbox::InOrder::from([lane(0), lane(1)], [0; 2]);
        assert!(group.len() <= 2);
        texts.extend(frames.map(|(_, frame)| String::from_utf8_lossy(frame.record)[..4].to_owned()));
    }
    texts
}

#[test]
fn what_is_left_behind_is_in_order_also_in_files_that_were_used_again() {
    let folder = Folder::new();
    let outbox = folder.outbox(16 << 20);
    let text = |number: usize| {
        // Some are larger than a segment.
        let length = if number % 40 == 39 { 2 << 20 } else { 100_000 };
        frame(&format!("{number:04}{}", "x".repeat(length)))
    };
    // The first files are reused, so the oldest names have the newest records.
    for number in 0..60 {
        append(&outbox, 0, number % 3 == 0, &text(number));
        if number == 25 {
            outbox.seal();
            let all: Vec<Group> = std::iter::from_fn(|| outbox.take_sealed()).collect();
            all.into_iter().rev().for_each(|group| recycle(&outbox, group));
        }
    }
    drop(outbox);
    assert_eq!(recovered_in_order(&folder), (26..60).map(|number| format!("{number:04}")).collect::<Vec<_>>());
}
