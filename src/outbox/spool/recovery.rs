//! What dead processes have left behind: found, locked, read, and cleared away.
//!
//! Constraints:
//! * Whoever has the lock of a run's file, and finds that file still under its name, owns the run's segments. The lock is
//!   held by a mapping, which nothing is read through: whoever shortens the file would end this process with SIGBUS.
//! * One look takes a bounded number of runs, and lists the directory a bounded number of times: the cost of each does not
//!   grow with what is left for later ones.
//! * RunFiles that cannot be read stop nothing: they are set aside under another name, and named.
//! * Segments without a run's file (somebody copied them here, or removed it) belong to a run whose file is made then.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::directory::{Directory, Listing, PinnedDirectory, RunFiles, list, run_file_of, segments_of};
use super::file_bytes::{head_of, read_file_bytes};
use super::format::{CONSUMED, Damage, Unreadable, estimate, group, is_empty, maker, read, used, word};
use super::run_file;
use crate::os::{self, FileFacts, FileId, Mapping};
use crate::outbox::Segment;
use crate::outbox::frame::salt_frame;

/// A file of a run that is being begun has no name yet; after this time, nobody is beginning it any more.
const BEGINNING: Duration = Duration::from_secs(60);
/// So many runs are taken at once. Each is a mapping, of which a process may have 65530.
const MOST_RUNS: usize = 256;
/// So many runs at most are asked whether their process is dead, to make room for one that begins.
const MOST_SLIMMED: usize = 32;

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It was killed, crashed, or ended by `_exit`.
    Sudden = 0,
    /// It ended by itself, and could not deliver everything in time.
    Orderly = 1,
}

/// Looks again and again for what dead processes have left.
#[derive(Debug)]
pub(crate) struct RunScanner {
    directory: Directory,
    /// Runs that were there when the directory was gone through last, and have not been tried since. Oldest first.
    candidates: VecDeque<(String, RunFiles)>,
    /// Runs that are not to be taken again.
    skipped: HashSet<String>,
}

/// What one look at the directory has found.
#[derive(Debug, Default)]
pub(crate) struct ScanResult {
    /// Oldest first. They are ours now.
    pub(crate) runs: Vec<RecoveredRun>,
    /// There are more to be tried, by the next look.
    pub(crate) has_more: bool,
    /// Runs of processes that live.
    pub(crate) alive: usize,
    /// Runs that do not count, since they belong to another user.
    pub(crate) foreign: usize,
    /// Bytes of all files, where the directory was gone through anew.
    pub(crate) bytes: Option<usize>,
    /// Bytes that were freed since.
    pub(crate) freed: usize,
    /// Who else can write there, in words.
    pub(crate) exposure: Option<String>,
}

/// The segments of a dead process, which are ours now.
#[derive(Debug)]
pub(crate) struct RecoveredRun {
    /// Keeps the lock.
    _lock: Mapping,
    place: Arc<PinnedDirectory>,
    run: String,
    pub(crate) pid: u32,
    pub(crate) ending: Ending,
    /// Its process goes on with another program: it has called `exec`.
    pub(crate) is_replaced: bool,
    /// With the number of the group that each is of; oldest last.
    segments: Vec<(u64, String)>,
    /// How many records there were when it was taken, about.
    records: u64,
    /// Some files stay: they could not be read, or are of another version.
    keeps_files: bool,
}

/// A segment that was left behind, read.
#[derive(Debug)]
pub(crate) struct RecoveredSegment {
    place: Arc<PinnedDirectory>,
    name: String,
    id: FileId,
    pub(crate) segment: Segment,
    pub(crate) resource: Vec<u8>,
    /// The number of the group that it is of: the lanes of one shard that were filled together.
    pub(crate) group: u64,
    /// Where each frame ends behind the start of the frames in the file.
    ends: Vec<u64>,
    pub(crate) damage: Option<Damage>,
    /// How long the file is.
    pub(crate) length: usize,
}

/// A file from which nothing is sent.
#[derive(Debug)]
pub(crate) enum SkippedFile {
    /// Nothing was in it; it is gone.
    Empty(usize),
    /// It cannot be opened or read, and lies where it was; why.
    Unreadable(PathBuf, String),
    /// It could not be read, and lies under this name now; why.
    SetAside(PathBuf, String),
    /// It is of another version, and lies where it was.
    Version(PathBuf, u32),
}

/// Whose a run is.
enum LockAttempt {
    Ours(LockedRun),
    /// Its process lives, or somebody else was faster.
    Theirs,
    /// It does not count.
    Foreign,
}

/// The process whose run it was.
struct LockedRun {
    lock: Mapping,
    pid: u32,
    ending: Ending,
    is_replaced: bool,
}

impl RunScanner {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory, candidates: VecDeque::new(), skipped: HashSet::new() }
    }

    /// Does not lock_run this run any more.
    pub(crate) fn skip(&mut self, run: &RecoveredRun) {
        self.skipped.insert(run.run.clone());
    }

    /// Takes some runs of dead processes, no more than `most`: of those that the last look has left, or `anew` of all.
    pub(crate) fn scan(&mut self, anew: bool, most: usize) -> io::Result<ScanResult> {
        let (opened, place) = self.directory.enter()?;
        let mut found = ScanResult::default();
        if anew || self.candidates.is_empty() {
            let listing = list(&opened)?;
            found.bytes = Some(listing.bytes(&opened));
            found.exposure = self.directory.exposure(&opened);
            listing.begun.iter().for_each(|name| remove_if_forgotten(&self.directory, &opened, name));
            self.candidates = listing.runs.into_iter().filter(|(run, _)| !self.skipped.contains(run)).collect();
        }
        let mut taken = Vec::new();
        while taken.len() < most.min(MOST_RUNS)
            && let Some((run, files)) = self.candidates.pop_front()
        {
            match self.try_to_lock(&opened, &run, &files) {
                Some(LockAttempt::Ours(owner)) => taken.push((run, files.has_file, owner)),
                Some(LockAttempt::Theirs) => found.alive += 1,
                Some(LockAttempt::Foreign) => found.foreign += 1,
                None => {}
            }
        }
        found.has_more = !self.candidates.is_empty();
        if !taken.is_empty() {
            // Only now, since they have made files until they died.
            let mut segments = segments_of(&opened, taken.iter().map(|(run, ..)| run.clone()))?;
            let place = Arc::new(place);
            for taken in taken {
                let segments = segments.remove(&taken.0).unwrap_or_default();
                let run = adopted(taken, segments, &opened, &place, &mut found.freed);
                found.runs.extend(run);
            }
        }
        found.bytes = found.bytes.map(|bytes| bytes.saturating_sub(found.freed));
        Ok(found)
    }

    fn try_to_lock(&self, opened: &os::Directory, run: &str, files: &RunFiles) -> Option<LockAttempt> {
        let name = run_file_of(run);
        if !files.has_file {
            let segments: Vec<FileFacts> = files.segments.iter().filter_map(|name| opened.look_at(name).ok()).collect();
            if segments.iter().all(|facts| self.directory.refusal(facts).is_some()) {
                return (!segments.is_empty()).then_some(LockAttempt::Foreign);
            }
            if segments.iter().any(is_recent) || !make_run_file(opened, &name) {
                return None;
            }
        }
        Some(lock_run(&self.directory, opened, &name))
    }
}

/// Takes over the segments of a run that is locked; `None` where it has none.
fn adopted(
    (run, has_file, LockedRun { lock, mut pid, ending, is_replaced }): (String, bool, LockedRun),
    segments: Vec<String>,
    opened: &os::Directory,
    place: &Arc<PinnedDirectory>,
    freed: &mut usize,
) -> Option<RecoveredRun> {
    let (mut records, mut makers) = (0, 0);
    let mut numbered = Vec::with_capacity(segments.len());
    for name in segments {
        let Ok(trim_file) = trim_file(place.directory(), opened, &name, has_file) else {
            // What cannot be read is told when its turn comes.
            numbered.push((0, name));
            continue;
        };
        *freed += trim_file.freed;
        records += trim_file.records;
        makers = makers.max(trim_file.maker);
        if trim_file.stays {
            numbered.push((trim_file.group, name));
        }
    }
    let mut segments = numbered;
    if segments.is_empty() && has_file {
        let _gone_already = opened.remove(&run_file_of(&run));
        return None;
    }
    // Not by name: a file that was used again is older than what is in it.
    segments.sort_unstable_by(|a, b| b.cmp(a));
    if pid == 0 {
        pid = makers;
    }
    let place = Arc::clone(place);
    Some(RecoveredRun { _lock: lock, place, run, pid, ending, is_replaced, segments, records, keeps_files: false })
}

struct TrimmedFile {
    /// The file is still there.
    stays: bool,
    freed: usize,
    /// How many records are in it, about.
    records: u64,
    /// The process that has made it.
    maker: u32,
    /// The number of the group that it is of.
    group: u64,
}

/// A dead process used most of its files in part, and some not at all: frees what nothing is in, since the rest may have to
/// wait long for its turn, and for an endpoint. Not where the run has no file of its own: nothing proves then that nobody
/// writes there any more, and whoever did would be ended by SIGBUS.
fn trim_file(directory: &Directory, opened: &os::Directory, name: &str, may_change: bool) -> io::Result<TrimmedFile> {
    let (file, facts) = directory.open_file(opened, name, false)?;
    let head = head_of(&file)?;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut trim_file =
        TrimmedFile { stays: true, freed: 0, records: estimate(&head), maker: maker(&head), group: group(&head) };
    if !may_change {
        return Ok(trim_file);
    }
    if is_empty(&head) {
        opened.remove(name)?;
        return Ok(TrimmedFile { stays: false, freed: size(facts.length), ..trim_file });
    }
    let used = used(&head).map_or(facts.length, |used| used.min(facts.length));
    if used < facts.length
        && let Ok((file, again)) = directory.open_file(opened, name, true)
        && again.id == facts.id
        && file.set_len(used).is_ok()
    {
        trim_file.freed = size(facts.length - used);
    }
    Ok(trim_file)
}

/// Frees what nothing is in, of some runs of dead processes, until so many bytes are free. They are let go of again: who
/// sends them is decided elsewhere. Newest first, since the others have been here before most often.
pub(super) fn make_room(directory: &Directory, opened: &os::Directory, listing: &Listing, wanted: usize) -> usize {
    let mut freed = 0;
    let runs = listing.runs.iter().rev().filter(|(_, files)| files.has_file);
    for (run, files) in runs.take(MOST_SLIMMED) {
        if freed >= wanted {
            break;
        }
        if matches!(lock_run(directory, opened, &run_file_of(run)), LockAttempt::Ours(..)) {
            let trim_file = files.segments.iter().filter_map(|name| trim_file(directory, opened, name, true).ok());
            freed += trim_file.map(|trim_file| trim_file.freed).sum::<usize>();
        }
    }
    freed
}

/// A time that lies far in the future is one of a clock that has been set back since.
pub(super) fn is_recent(facts: &FileFacts) -> bool {
    facts.modified.elapsed().unwrap_or_else(|future| future.duration()) < BEGINNING
}

/// A run that was begun and never got its name: its process was killed in that moment.
fn remove_if_forgotten(directory: &Directory, opened: &os::Directory, name: &str) {
    if opened.look_at(name).is_ok_and(|facts| !is_recent(&facts))
        && matches!(lock_run(directory, opened, name), LockAttempt::Ours(..))
    {
        let _gone_already = opened.remove(name);
    }
}

/// For segments that have none. `false` where somebody else was faster.
fn make_run_file(opened: &os::Directory, name: &str) -> bool {
    opened.create(name).and_then(|file| os::reserve(&file, run_file::LENGTH)).is_ok()
}

/// Locks a run.
fn lock_run(directory: &Directory, opened: &os::Directory, name: &str) -> LockAttempt {
    let lock = || -> io::Result<LockAttempt> {
        let (mut file, facts) = directory.open_file(opened, name, true)?;
        if !os::lock(&file)? {
            return Ok(LockAttempt::Theirs);
        }
        // Somebody may have had it before us, and have removed it: then the lock is that of a file without a name.
        if opened.look_at(name)?.id != facts.id {
            return Ok(LockAttempt::Theirs);
        }
        let mut words = Vec::new();
        (&mut file).take(run_file::WORDS as u64).read_to_end(&mut words)?;
        // For the lock alone: nothing is read there.
        let lock = Mapping::new(file, run_file::LENGTH)?;
        let sudden = word(&words, run_file::ENDING) != Ending::Orderly as u64;
        let ending = if sudden { Ending::Sudden } else { Ending::Orderly };
        let (pid, process) = (word(&words, run_file::PID) as u32, word(&words, run_file::PROCESS));
        // A run ends with its program, also where its process does not.
        let is_replaced = ending == Ending::Sudden && process != 0 && os::process_started(pid) == Some(process);
        Ok(LockAttempt::Ours(LockedRun { lock, pid, ending, is_replaced }))
    };
    match lock() {
        Ok(taken) => taken,
        // It is refused, or may not be opened.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
            LockAttempt::Foreign
        }
        Err(_) => LockAttempt::Theirs,
    }
}

impl RecoveredRun {
    /// How many records there were when it was taken, about: one that is committed in part counts, and so do some that
    /// were sent.
    pub(crate) fn estimate(&self) -> u64 {
        self.records
    }

    /// The number of the group that the next segment is of.
    pub(crate) fn next_group(&self) -> Option<u64> {
        self.segments.last().map(|(group, _)| *group)
    }

    /// Reads the next segment; `None` where there are no more.
    pub(crate) fn next(&mut self) -> Option<Result<RecoveredSegment, SkippedFile>> {
        let (_, name) = self.segments.pop()?;
        let contents = self.place.open().and_then(|opened| read_file_bytes(self.place.directory(), &opened, &name));
        let file = match contents {
            Ok(contents) => contents,
            // Somebody has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Err(SkippedFile::Empty(0))),
            Err(error) => {
                // Not under another name either, perhaps: it stays for whoever can read it.
                self.keeps_files = true;
                return Some(Err(SkippedFile::Unreadable(self.place.path(&name), error.to_string())));
            }
        };
        let length = file.length;
        Some(match read(&file.bytes) {
            Ok(contents) => {
                let salt = contents.salt;
                let mut frames = Vec::with_capacity(contents.frames.iter().map(|(frame, _)| frame.len()).sum());
                for (frame, _) in &contents.frames {
                    let at = frames.len();
                    frames.extend_from_slice(frame);
                    // As they were before they lay in a file.
                    if let Some(frame) = frames.get_mut(at..) {
                        salt_frame(frame, salt);
                    }
                }
                let left = RecoveredSegment {
                    place: Arc::clone(&self.place),
                    name,
                    id: file.id,
                    segment: Segment::of_frames(frames, contents.frames.len() as u64),
                    resource: contents.resource.to_vec(),
                    group: contents.group,
                    ends: contents.frames.iter().map(|(_, end)| *end as u64).collect(),
                    damage: contents.damage,
                    length,
                };
                if left.segment.records() == 0 && left.damage.is_none() {
                    let _gone_already = self.place.remove(&left.name);
                    Err(SkippedFile::Empty(length))
                } else {
                    Ok(left)
                }
            }
            Err(Unreadable::Empty) => {
                let _gone_already = self.place.remove(&name);
                Err(SkippedFile::Empty(length))
            }
            Err(Unreadable::Version(version)) => {
                self.keeps_files = true;
                Err(SkippedFile::Version(self.place.path(&name), version))
            }
            Err(Unreadable::Damaged) => {
                let path = self.place.set_aside(&name);
                Err(SkippedFile::SetAside(path, "it is no file of a spool, or its head is damaged".to_owned()))
            }
        })
    }

    /// Whether a segment is of this run.
    pub(crate) fn has(&self, left: &RecoveredSegment) -> bool {
        left.name.strip_prefix(&self.run).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Everything of it has met its fate. Gives it back where it has files that stay: as long as it is there, nobody else
    /// looks at them.
    pub(crate) fn finish(self) -> Option<Self> {
        if self.keeps_files {
            return Some(self);
        }
        let _gone_already = self.place.remove(&run_file_of(&self.run));
        None
    }
}

impl RecoveredSegment {
    /// The records in front of this offset of the segment's bytes have met their fates.
    pub(crate) fn consume(&self, records: u64) {
        let end = usize::try_from(records).ok().and_then(|records| self.ends.get(records.checked_sub(1)?));
        let Some(end) = end else { return };
        let write = || -> io::Result<()> {
            let mut file = self.place.open_again(&self.name, self.id)?;
            file.seek(SeekFrom::Start(CONSUMED as u64))?;
            file.write_all(&end.to_le_bytes())
        };
        // Where it fails, these records are sent twice if this process dies too.
        let _at_least_once = write();
    }

    /// All records that could be read have met their fates. Where others could not, the file is set aside; returns its
    /// name then.
    pub(crate) fn finish(self) -> Option<PathBuf> {
        if self.damage.is_some() {
            return Some(self.place.set_aside(&self.name));
        }
        let _gone_already = self.place.remove(&self.name);
        None
    }
}

#[cfg(test)]
impl RecoveredSegment {
    pub(in crate::outbox) fn path(&self) -> PathBuf {
        self.place.path(&self.name)
    }
}

#[cfg(test)]
impl Directory {
    /// Takes all runs of dead processes.
    pub(in crate::outbox) fn recover_all(&self) -> io::Result<ScanResult> {
        let mut scanner = RunScanner::new(self.clone());
        let mut all = scanner.scan(true, MOST_RUNS)?;
        while all.has_more {
            let more = scanner.scan(false, MOST_RUNS)?;
            all.runs.extend(more.runs);
            all.alive += more.alive;
            all.bytes = all.bytes.map(|bytes| bytes - more.freed);
            all.has_more = more.has_more;
        }
        Ok(all)
    }
}
