//! Random operations on an outbox against a simple model of it: every accepted record is in exactly one place. A record
//! is lost only if it was in memory, or in a damaged or removed file, when its process was killed. The records of a
//! thread are always in order.
//!
//! Each sequence is derived from its seed, which a failure shows: `LOGBRIDGE_MODEL_SEED=…` runs only that sequence.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use fastrand::Rng;

use super::spool::Directory;
use super::tests::{frame_of, offer, recycle};
use super::*;
use crate::config::{Overload, SpoolConfig};
use crate::ledger::{DropReason, ItemOutcome, Ledger};
use crate::os;
use crate::signal::Signal;

const RESOURCE: &[u8] = b"resource";
/// The bound in records, if there is one.
const MOST_RECORDS: usize = 60;
/// The offset of the frames in a file with this resource.
const HEAD: usize = 192;

/// The place of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    /// In the outbox, or taken by the exporter thread and without an outcome.
    Waiting,
    /// In a file of a process that was killed.
    Left(PathBuf),
    /// It has an outcome: delivered, dropped and counted, or inevitably lost.
    Over,
}

#[derive(Debug)]
struct Known {
    place: Place,
    thread: usize,
    high: bool,
    /// The file that held it when its process was killed, even if it had been delivered.
    file: Option<PathBuf>,
}

/// The state of a process.
struct Life {
    outbox: Outbox,
    ledger: Arc<Ledger>,
    /// The groups that the exporter thread has taken, and how far the first one is delivered.
    taken: VecDeque<Group>,
    offsets: Offsets,
    /// Whether the directory was removed and the exporter thread has not checked yet.
    unnoticed: bool,
    /// The number of segments that a flush waited for, and the number of records at that time.
    barriers: Vec<(u64, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Config {
    overload: Overload,
    spool_bytes: Option<usize>,
    memory_bytes: usize,
    threads: usize,
    max_records: Option<usize>,
}

struct Model {
    rng: Rng,
    config: Config,
    folder: PathBuf,
    life: Life,
    known: Vec<Known>,
    /// Files that were changed after their process was killed, and whether the change is in the head. The model cannot
    /// know which records that hides.
    damaged: HashMap<PathBuf, bool>,
    /// Files that were reported to have lost records.
    reported: HashSet<PathBuf>,
}

impl Config {
    fn of(rng: &mut Rng) -> Self {
        let overloads =
            [Overload::Block(Duration::ZERO), Overload::DropLeastSevere, Overload::DropNewest, Overload::DropOldest];
        Self {
            overload: overloads[rng.usize(..overloads.len())],
            spool_bytes: (rng.u8(..3) > 0).then(|| [96 << 10, 256 << 10, 1 << 20][rng.usize(..3)]),
            memory_bytes: [32 << 10, 128 << 10][rng.usize(..2)],
            threads: 1 << rng.usize(..3),
            max_records: (rng.u8(..4) == 0).then_some(MOST_RECORDS),
        }
    }

    fn begin(&self, folder: &Path) -> Life {
        let ledger = Arc::new(Ledger::new());
        let mut outbox = Outbox::new(self.memory_bytes, self.threads, Arc::clone(&ledger))
            .with_overload(self.overload)
            .with_max_records(self.max_records);
        if let Some(max_bytes) = self.spool_bytes {
            let config = SpoolConfig { directory: folder.to_owned(), max_bytes, sync: None };
            let spool = Arc::new(Spool::new(config, RESOURCE.to_vec()));
            if let Ok(found) = Directory::at(folder.to_owned()).recover_all() {
                spool.set_total_bytes(found.bytes.unwrap_or(0));
            }
            outbox = outbox.with_spool(spool);
        }
        Life { outbox, ledger, taken: VecDeque::new(), offsets: [0; 2], unnoticed: false, barriers: Vec::new() }
    }
}

fn number_of(frame: &frame::Frame<'_>) -> usize {
    frame.record[..8].iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Returns the numbers of the records that begin in a segment at this offset or after it.
fn numbers(segment: &Segment, offset: usize) -> Vec<usize> {
    segment.frames_from(offset).map(|frame| number_of(&frame)).collect()
}

/// Returns the records of both lanes of a group, in the order in which they are sent.
fn in_order(lanes: [Option<&Segment>; 2], offsets: Offsets) -> Vec<usize> {
    InOrder::from(lanes, offsets).map(|(_, frame)| number_of(&frame)).collect()
}

impl Life {
    /// Returns the waiting groups, with how far each one is delivered.
    fn each_group(&self, mut visit: impl FnMut([Option<&Segment>; 2], Offsets)) {
        for (index, group) in self.taken.iter().enumerate() {
            visit(group.lanes(), if index == 0 { self.offsets } else { [0; 2] });
        }
        // Bypasses the check of allocations, as a test may.
        let sealed = self.outbox.sealed.lock().expect("no panic");
        sealed.groups().for_each(|group| visit(group.lanes(), [0; 2]));
        drop(sealed);
        for shard in &self.outbox.shards {
            let lanes = shard.open.lock().expect("no panic");
            visit(lanes.segments.each_ref().map(Option::as_ref), [0; 2]);
        }
    }

    /// Returns the same by segment.
    fn each_segment(&self, mut visit: impl FnMut(&Segment, usize)) {
        self.each_group(|lanes, offsets| {
            let there = lanes.into_iter().zip(offsets).filter_map(|(segment, offset)| Some((segment?, offset)));
            there.for_each(|(segment, offset)| visit(segment, offset));
        });
    }

    /// Returns the waiting records in the order in which they will be sent.
    fn in_order(&self) -> Vec<usize> {
        let mut all = Vec::new();
        self.each_group(|lanes, offsets| all.extend(in_order(lanes, offsets)));
        all
    }

    fn waiting(&self) -> Vec<usize> {
        let mut all = Vec::new();
        self.each_segment(|segment, offset| {
            let numbers = numbers(segment, offset);
            assert!(numbers.is_sorted(), "the records of a segment are in order: {numbers:?}");
            let is_whole = offset == 0;
            assert!(!is_whole || numbers.len() as u64 == segment.records(), "it knows how many there are");
            all.extend(numbers);
        });
        all
    }

    /// Determines what a flush waits for, as the exporter thread does.
    fn settled(&self) -> u64 {
        let left = self.outbox.oldest_group();
        self.taken.front().map_or(left, |group| group.number().min(left))
    }

    fn deliver(&self, records: u64) {
        self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Delivered, records)]);
        self.outbox.release(records);
    }

    fn offer(&self, thread: usize, high: bool, frame: &[u8]) -> Result<(), DropReason> {
        offer(&self.outbox, &self.ledger, thread, high, frame)
    }

    /// Checks that a refusal because of missing space is justified.
    fn assert_full(&self, length: usize, config: &Config) {
        let pool = &self.outbox.pool;
        let records = self.outbox.records.load(Ordering::Relaxed);
        if config.max_records.is_some_and(|most| records >= most) {
            return;
        }
        let (used, bound) = self.used_and_bound();
        assert!(used + pool.cost(length) > bound, "{length} bytes fit: {used} of {bound} are in use");
    }

    fn used_and_bound(&self) -> (usize, usize) {
        match self.outbox.spool().filter(|_| self.outbox.pool.uses_files()) {
            Some(spool) => (spool.in_use(), spool.max_bytes()),
            None => self.outbox.allocated_and_bound(),
        }
    }

    /// It would not even fit into an empty outbox, not counting the head of a file.
    fn assert_too_large(&self, length: usize) {
        let (_, bound) = self.used_and_bound();
        assert!(self.outbox.pool.cost(length) + os::page_size() > bound, "{length} bytes fit into {bound}");
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let config = Config::of(&mut rng);
        let folder = std::env::temp_dir().join(format!("logbridge-model-{}-{seed}", std::process::id()));
        let life = config.begin(&folder);
        Self { rng, config, folder, life, known: Vec::new(), damaged: HashMap::new(), reported: HashSet::new() }
    }

    fn step(&mut self) {
        match self.rng.u8(..32) {
            0..12 => self.append(),
            12..16 => self.seal(),
            16..19 => self.take(),
            19..21 => self.settle_part(),
            21..25 => self.settle_whole(),
            25 => self.life.outbox.prepare(),
            26 => self.life.outbox.trim(),
            27 => self.retire(),
            28 => self.look(),
            29 => self.remove_directory(),
            30 => self.recover(),
            _ => self.crash(),
        }
        self.check();
    }

    fn append(&mut self) {
        for _ in 0..self.rng.usize(1..20) {
            let (thread, high) = (self.rng.usize(..self.config.threads), self.rng.u8(..4) == 0);
            let usual = self.life.outbox.pool.block_bytes();
            let length = match self.rng.u8(..24) {
                0 => usual + self.rng.usize(..2 * usual),
                1 => usual - self.rng.usize(..100),
                2..6 => self.rng.usize(..usual / 2),
                _ => self.rng.usize(..300),
            };
            self.append_one(thread, high, length);
        }
    }

    fn append_one(&mut self, thread: usize, high: bool, length: usize) {
        let number = self.known.len();
        let mut frame = frame_of("model", if high { 13 } else { 9 }, &format!("{number:08}{}", "x".repeat(length)));
        let checksum = crc32fast::hash(&frame[4..]).to_le_bytes();
        frame[..4].copy_from_slice(&checksum);
        let evicted_before = self.evictions();
        let taken = self.life.offer(thread, high, &frame);
        let place = if taken.is_ok() { Place::Waiting } else { Place::Over };
        self.known.push(Known { place, thread, high, file: None });
        self.note_evicted(self.evictions() - evicted_before);
        match taken {
            Ok(()) => self.assert_durable(number, thread, high),
            Err(DropReason::OutboxFull | DropReason::BlockTimeout) => self.life.assert_full(frame.len(), &self.config),
            Err(DropReason::RefusedBelowWarn) => {
                assert!(!high && self.config.overload == Overload::DropLeastSevere, "{:?}", self.config);
            }
            Err(DropReason::TooLarge) => self.life.assert_too_large(frame.len()),
            Err(reason) => panic!("refused for {reason:?}"),
        }
    }

    /// Checks that a call that has returned has committed its record, if the directory is believed to be usable.
    fn assert_durable(&self, number: usize, thread: usize, high: bool) {
        if !self.life.outbox.pool.uses_files() || self.life.unnoticed {
            return;
        }
        let is_here = |segment: &&Segment| numbers(segment, 0).last() == Some(&number);
        let is_durable = |segment: &Segment| segment.file().is_some_and(|path| path.exists());
        let lanes = self.life.outbox.shards[thread].open.lock().expect("no panic");
        let sealed = self.life.outbox.sealed.lock().expect("no panic");
        let lane = usize::from(high);
        let last = || sealed.groups().last().and_then(|group| group.lanes()[lane]).filter(is_here);
        let segment = lanes.segments[lane].as_ref().filter(is_here).or_else(last);
        assert_eq!(segment.map(is_durable), Some(true), "record {number} is in a file that others will find");
    }

    fn evictions(&self) -> u64 {
        let dropped = self.life.ledger.snapshot().otlp.dropped;
        let evicted = [DropReason::EvictedLessSevere, DropReason::EvictedOldest];
        dropped.iter().filter(|(reason, _)| evicted.contains(reason)).map(|(_, records)| records).sum()
    }

    /// Checks that evicted records are counted and that the policy allows their eviction.
    fn note_evicted(&mut self, counted: u64) {
        if counted == 0 {
            // If a file is missing anyway, the next check finds that.
            return;
        }
        let now: HashSet<usize> = self.life.waiting().into_iter().collect();
        let is_gone = |number: &usize| self.known[*number].place == Place::Waiting && !now.contains(number);
        let gone: Vec<usize> = (0..self.known.len()).filter(is_gone).collect();
        assert_eq!(counted, gone.len() as u64, "what makes room is counted");
        for number in gone {
            let known = &mut self.known[number];
            match self.config.overload {
                Overload::DropOldest => {}
                Overload::DropLeastSevere => assert!(!known.high, "record {number} is severe"),
                Overload::Block(_) | Overload::DropNewest => panic!("record {number} is gone"),
            }
            known.place = Place::Over;
        }
    }

    fn seal(&mut self) {
        let barrier = self.life.outbox.seal();
        self.life.barriers.push((barrier, self.known.len()));
    }

    fn take(&mut self) {
        for _ in 0..self.rng.usize(1..4) {
            self.life.taken.extend(self.life.outbox.take_sealed());
        }
    }

    fn over(&mut self, numbers: &[usize]) {
        for number in numbers {
            assert_eq!(self.known[*number].place, Place::Waiting, "record {number} was there once");
            self.known[*number].place = Place::Over;
        }
    }

    /// Delivers a request that ends inside a group.
    fn settle_part(&mut self) {
        let Some(group) = self.life.taken.front_mut() else { return };
        let frames = InOrder::from(group.lanes(), self.life.offsets);
        let frames: Vec<_> = frames.map(|(lane, frame)| (lane, frame.length, number_of(&frame))).collect();
        if frames.len() < 2 {
            return;
        }
        let part = &frames[..self.rng.usize(1..frames.len())];
        part.iter().for_each(|(lane, length, _)| self.life.offsets[*lane] += length);
        group.consume(self.life.offsets);
        let delivered: Vec<usize> = part.iter().map(|(_, _, number)| *number).collect();
        self.over(&delivered);
        self.life.deliver(delivered.len() as u64);
    }

    /// Delivers a request that ends with a group.
    fn settle_whole(&mut self) {
        let Some(group) = self.life.taken.pop_front() else { return };
        let delivered = in_order(group.lanes(), std::mem::take(&mut self.life.offsets));
        self.over(&delivered);
        self.life.deliver(delivered.len() as u64);
        recycle(&self.life.outbox, group);
        self.life.outbox.notify_waiters();
    }

    /// Does what the exporter thread does when a process without pending records ends.
    fn retire(&mut self) {
        if self.life.taken.is_empty() && !self.life.outbox.has_sealed() && !self.life.outbox.has_unsealed() {
            self.life.outbox.retire();
        }
    }

    /// The exporter thread maintains the directory until it is usable.
    fn look(&mut self) {
        let Some(spool) = self.life.outbox.spool().cloned() else { return };
        for _ in 0..3 {
            spool.try_again_now();
            self.life.outbox.check_spool();
        }
        assert!(spool.is_usable(), "nothing stands in the way: {:?}", spool.take_unreported_error());
        self.life.unnoticed = false;
    }

    /// Removes the directory, and perhaps creates it again.
    fn remove_directory(&mut self) {
        if self.config.spool_bytes.is_none() || fs::remove_dir_all(&self.folder).is_err() {
            return;
        }
        if self.rng.bool() {
            fs::create_dir(&self.folder).expect("it is gone");
        }
        self.life.unnoticed = true;
        for known in &mut self.known {
            if matches!(known.place, Place::Left(_)) {
                known.place = Place::Over;
            }
        }
    }

    /// Kills the process, perhaps damages a file, and starts another process.
    fn crash(&mut self) {
        let mut files = Vec::new();
        self.life.each_segment(|segment, offset| {
            let file = segment.file().filter(|path| path.exists());
            files.push((file, numbers(segment, 0), numbers(segment, offset)));
        });
        for (file, all, waiting) in files {
            for number in all {
                self.known[number].file.clone_from(&file);
            }
            for number in waiting {
                self.known[number].place = file.clone().map_or(Place::Over, Place::Left);
            }
        }
        // This drops everything that the process had: its mappings, and the lock with them.
        let end = Config { spool_bytes: None, ..self.config }.begin(&self.folder);
        drop(std::mem::replace(&mut self.life, end));
        if self.rng.u8(..3) == 0 {
            self.damage();
        }
        self.age_files();
        self.life = self.config.begin(&self.folder);
    }

    fn files(&self, kinds: &[&str]) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted)));
        files.sort_unstable();
        files
    }

    /// Segments whose run file is missing are recovered only when no process can be copying them any more.
    fn age_files(&self) {
        for path in self.files(&["seg"]) {
            let file = fs::File::options().write(true).open(path).expect("a file");
            file.set_modified(SystemTime::now() - Duration::from_secs(600)).expect("a time");
        }
    }

    fn damage(&mut self) {
        let files = self.files(&["seg", "run"]);
        let Some(path) = self.rng.choice(&files).cloned() else { return };
        let mut bytes = fs::read(&path).expect("a file");
        let at = self.rng.usize(..bytes.len().clamp(1, 12_000).max(1));
        let touched = match self.rng.u8(..4) {
            0 => {
                bytes.truncate(at);
                at..usize::MAX
            }
            1 => self.overwrite(&mut bytes, at..at + 1, |byte, rng| byte ^ (1 << rng.u8(..8))),
            2 => self.overwrite(&mut bytes, at & !4095..(at & !4095) + 4096, |_, _| 0),
            _ => self.overwrite(&mut bytes, at..at + 40, |_, rng| rng.u8(..)),
        };
        fs::write(&path, bytes).expect("a file");
        if path.extension().is_some_and(|kind| kind == "seg") {
            // It may be damaged already.
            *self.damaged.entry(path).or_default() |= touched.start < HEAD;
        }
    }

    fn overwrite(&mut self, bytes: &mut [u8], range: Range<usize>, value: fn(u8, &mut Rng) -> u8) -> Range<usize> {
        for byte in bytes.get_mut(range.start..).unwrap_or_default().iter_mut().take(range.len()) {
            *byte = value(*byte, &mut self.rng);
        }
        range
    }

    /// Sends the records that ended processes left, unless this process is killed meanwhile.
    fn recover(&mut self) {
        let Ok(found) = Directory::at(self.folder.clone()).recover_all() else { return };
        let spool = self.life.outbox.spool().cloned();
        if let Some(spool) = &spool {
            spool.set_total_bytes(found.bytes.unwrap_or(0));
        }
        let mut stops_after = if self.rng.u8(..3) == 0 { self.rng.usize(..4) } else { usize::MAX };
        for mut run in found.runs {
            let mut sent: Vec<(u64, Vec<(u16, usize)>)> = Vec::new();
            while let Some(next) = run.next() {
                if stops_after == 0 {
                    if let Ok(left) = next {
                        self.recover_part(left);
                    }
                    return;
                }
                stops_after -= 1;
                let freed = match next {
                    Ok(left) => {
                        let frames = left.segment.frames_from(0).map(|frame| (frame.sequence, number_of(&frame)));
                        match sent.last_mut() {
                            Some((group, lanes)) if *group == left.group => lanes.extend(frames),
                            _ => sent.push((left.group, frames.collect())),
                        }
                        self.recover_whole(left)
                    }
                    Err(SkippedFile::Empty(length)) => length,
                    Err(
                        SkippedFile::SetAside(path, _)
                        | SkippedFile::Unreadable(path, _)
                        | SkippedFile::Version(path, _),
                    ) => {
                        let was = path.with_extension("");
                        let was = if was.extension().is_some() { was } else { path };
                        assert!(self.damaged.contains_key(&was), "nobody damaged {}", was.display());
                        self.reported.insert(was);
                        0
                    }
                };
                if let Some(spool) = &spool {
                    spool.note_freed(freed);
                }
            }
            let _keeps_what_it_cannot_read = run.finish();
            // If a head was damaged, the group is unknown.
            if self.damaged.is_empty() {
                sent.iter_mut().for_each(|(_, lanes)| lanes.sort_unstable());
                let numbers = sent.iter().flat_map(|(_, lanes)| lanes).map(|(_, number)| *number).collect();
                self.assert_in_order(numbers);
            }
        }
        self.check_recovered();
    }

    fn recover_whole(&mut self, left: RecoveredSegment) -> usize {
        let numbers = numbers(&left.segment, 0);
        self.delivered_later(&numbers);
        if left.damage.is_some() {
            self.reported.insert(left.path());
        }
        let length = left.length;
        left.finish();
        length
    }

    /// Sends some of it, and then kills this process, too.
    fn recover_part(&mut self, left: RecoveredSegment) {
        let numbers = numbers(&left.segment, 0);
        let part = self.rng.usize(..=numbers.len());
        left.consume(part as u64);
        self.delivered_later(&numbers[..part]);
    }

    fn delivered_later(&mut self, numbers: &[usize]) {
        for number in numbers {
            let known = &mut self.known[*number];
            match (&known.place, &known.file) {
                (Place::Left(_), _) => {}
                // The word that says what was sent is no more than a word.
                (Place::Over, Some(file)) if self.damaged.contains_key(file) => {}
                place => panic!("record {number} comes from a file, and is {place:?}"),
            }
            known.place = Place::Over;
        }
    }

    /// Checks that nothing is left to be recovered.
    fn check_recovered(&mut self) {
        for (number, known) in self.known.iter_mut().enumerate() {
            if let Place::Left(file) = &known.place {
                let is_known = self.damaged.get(file).is_some_and(|is_head| *is_head || self.reported.contains(file));
                assert!(is_known, "record {number} was left in {}, and nobody says that it is lost", file.display());
                known.place = Place::Over;
            }
        }
    }

    fn assert_in_order(&self, sent: Vec<usize>) {
        for thread in 0..self.config.threads {
            let is_mine = |number: &usize| self.known[*number].thread == thread;
            let mine: Vec<usize> = sent.iter().copied().filter(is_mine).collect();
            assert!(mine.is_sorted(), "the records of thread {thread} are not in order: {mine:?}");
        }
    }

    /// Checks the invariants that hold after every step.
    fn check(&self) {
        self.assert_in_order(self.life.in_order());
        let mut found = self.life.waiting();
        found.sort_unstable();
        let has_unsealed = |number: &usize| self.known[*number].place == Place::Waiting;
        let expected: Vec<usize> = (0..self.known.len()).filter(has_unsealed).collect();
        assert_eq!(found, expected, "each record is in one place");
        let otlp = self.life.ledger.snapshot().otlp;
        assert_eq!(otlp.pending, found.len() as u64, "{otlp:?}");
        if self.config.max_records.is_some() {
            assert_eq!(self.life.outbox.records.load(Ordering::Relaxed), found.len(), "the bound in records");
            assert!(found.len() <= MOST_RECORDS, "{}", found.len());
        }
        let (allocated, bound) = self.life.outbox.allocated_and_bound();
        assert!(allocated <= bound, "{allocated} of {bound} bytes");
        if let Some(max_bytes) = self.config.spool_bytes {
            let length = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
            let bytes: u64 = self.files(&["seg"]).iter().map(length).sum();
            assert!(bytes <= max_bytes as u64, "{bytes} of {max_bytes} bytes in files");
        }
        let settled = self.life.settled();
        for (barrier, records) in &self.life.barriers {
            let late = expected.first().filter(|first| *first < records);
            assert!(settled < *barrier || late.is_none(), "a flush was done, and {late:?} was before it");
        }
    }

    /// Sends everything: the records of the exporter thread, and then the records in files.
    fn end(&mut self) {
        if self.rng.bool() {
            self.life.outbox.seal();
            while let Some(group) = self.life.outbox.take_sealed() {
                self.life.taken.push_back(group);
            }
            while !self.life.taken.is_empty() {
                self.settle_whole();
                self.check();
            }
            let otlp = self.life.ledger.snapshot().otlp;
            assert_eq!((otlp.pending, otlp.accepted), (0, otlp.delivered + otlp.dropped_total()), "{otlp:?}");
        }
        self.crash();
        // One of them may stop in the middle.
        while self.known.iter().any(|known| matches!(known.place, Place::Left(_))) {
            self.recover();
        }
        self.check();
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn play(seed: u64) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                #[allow(clippy::print_stderr)] // Printed in the output of the failing test.
                {
                    eprintln!("LOGBRIDGE_MODEL_SEED={} plays this sequence alone", self.0);
                }
            }
        }
    }
    let _named = Named(seed);
    let mut model = Model::new(seed);
    for _ in 0..model.rng.usize(20..80) {
        model.step();
    }
    model.end();
}

#[test]
fn every_record_is_in_exactly_one_place() {
    let setting = |wanted: &str| std::env::vars_os().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if let Some(seed) = setting("LOGBRIDGE_MODEL_SEED") {
        return play(seed.to_string_lossy().parse().expect("a number"));
    }
    let sequences = if setting("LOGBRIDGE_LONG_TESTS").is_some() { 20_000 } else { 300 };
    (0..sequences).for_each(play);
}
