//! What dead processes have left behind: found, locked, read, and cleared away.
//!
//! Constraints:
//! * Whoever has the lock of a run's file, and finds that file still under its name, owns the run's segments.
//! * Files that cannot be read stop nothing: they are set aside under another name, and named.
//! * Segments without a run's file (somebody copied them here, or removed it) belong to a run whose file is made then.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::create_private;
use super::format::{CONSUMED, Damage, HEAD, Unreadable, estimate, is_empty, maker, read, used, word};
use super::{RUN, SEGMENT, run_file, run_of};
use crate::os::{self, Mapping};
use crate::outbox::Segment;
use crate::outbox::frame::salt_frame;

/// What is set aside ends in this.
pub(super) const DAMAGED: &str = "damaged";
/// A file of a run that is being begun has no name yet; after this time, nobody is beginning it any more.
const BEGINNING: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// It was killed, crashed, or ended by `_exit`.
    Sudden = 0,
    /// It ended by itself, and could not deliver everything in time.
    Orderly = 1,
}

/// A directory of spools, without a run of our own.
#[derive(Clone, Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

/// What one look at the directory has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Oldest first. They are ours now.
    pub(crate) runs: Vec<Adopted>,
    /// Runs of processes that live.
    pub(crate) alive: usize,
    /// Bytes of all files.
    pub(crate) bytes: usize,
}

/// The segments of a dead process, which are ours now.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// Keeps the lock.
    _lock: Mapping,
    run: PathBuf,
    pub(crate) pid: u32,
    pub(crate) ending: Ending,
    /// Its process goes on with another program: it has called `exec`.
    pub(crate) is_replaced: bool,
    /// Oldest last.
    segments: Vec<PathBuf>,
    /// Some files stay: they could not be read, or are of another version.
    keeps_files: bool,
}

/// A segment that was left behind, read.
#[derive(Debug)]
pub(crate) struct Left {
    path: PathBuf,
    pub(crate) segment: Segment,
    pub(crate) resource: Vec<u8>,
    /// Where each frame ends behind the start of the frames in the file.
    ends: Vec<u64>,
    pub(crate) damage: Option<Damage>,
    /// How long the file is.
    pub(crate) length: usize,
}

/// A file from which nothing is sent.
#[derive(Debug)]
pub(crate) enum Skipped {
    /// Nothing was in it; it is gone.
    Empty(usize),
    /// It could not be read, and lies under this name now; why.
    SetAside(PathBuf, String),
    /// It is of another version, and lies where it was.
    Version(PathBuf, u32),
}

impl Directory {
    /// Takes the runs of dead processes.
    pub(crate) fn adopt(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let mut runs: BTreeMap<String, (bool, Vec<PathBuf>)> = BTreeMap::new();
        for entry in fs::read_dir(&self.0)? {
            let Ok(entry) = entry else { continue };
            let (path, name) = (entry.path(), entry.file_name());
            let length = entry.metadata().map_or(0, |metadata| metadata.len());
            found.bytes = found.bytes.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
            match kind {
                RUN if stem.starts_with('.') => remove_if_forgotten(&path),
                RUN => runs.entry(stem.to_owned()).or_default().0 = true,
                SEGMENT => {
                    runs.entry(run_of(stem).to_owned()).or_default().1.push(path);
                }
                _ => {}
            }
        }
        for (name, (has_file, mut segments)) in runs {
            let path = self.0.join(format!("{name}.{RUN}"));
            if !has_file && (segments.iter().any(|segment| is_recent(segment)) || !make_run_file(&path)) {
                continue;
            }
            let Some((lock, mut pid, ending, process)) = take(&path) else {
                found.alive += 1;
                continue;
            };
            // Those that were made between the look at the directory and the end of their process.
            if has_file {
                segments = self.segments_of(&name);
            }
            // The rest may have to wait long for its turn, and for an endpoint. Without a file of the run, nothing proves
            // that nobody writes there any more: whoever did would be ended by SIGBUS.
            if has_file {
                segments.retain(|segment| {
                    let (stays, freed) = slim(segment);
                    found.bytes = found.bytes.saturating_sub(freed);
                    stays
                });
                if segments.is_empty() {
                    let _gone_already = fs::remove_file(&path);
                    continue;
                }
            }
            segments.sort_unstable_by(|a, b| b.cmp(a));
            if pid == 0 {
                pid = segments
                    .iter()
                    .filter_map(|segment| head_of(segment).ok())
                    .map(|head| maker(&head))
                    .max()
                    .unwrap_or(0);
            }
            // A run ends with its program, also where its process does not.
            let is_replaced = ending == Ending::Sudden && process != 0 && os::process_started(pid) == Some(process);
            found.runs.push(Adopted { _lock: lock, run: path, pid, ending, is_replaced, segments, keeps_files: false });
        }
        Ok(found)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> usize {
        let entries = fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok);
        let lengths = entries.filter_map(|entry| usize::try_from(entry.metadata().ok()?.len()).ok());
        lengths.fold(0, usize::saturating_add)
    }

    pub(super) fn segments_of(&self, run: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let mine = |path: &PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            path.extension().is_some_and(|kind| kind == SEGMENT)
                && stem.rsplit_once('-').is_some_and(|(name, _)| name == run)
        };
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(mine).collect()
    }
}

/// A dead process used most of its files in part, and some not at all: frees what nothing is in. Says whether the file is
/// still there, and how many bytes are free now.
fn slim(path: &Path) -> (bool, usize) {
    let slim = || -> io::Result<(bool, usize)> {
        let length = fs::symlink_metadata(path)?.len();
        let head = head_of(path)?;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if is_empty(&head) {
            fs::remove_file(path)?;
            return Ok((false, size(length)));
        }
        let used = used(&head).map_or(length, |used| used.min(length));
        if used < length {
            os::open_regular(path, true)?.set_len(used)?;
        }
        Ok((true, size(length - used)))
    };
    // What cannot be read is told when its turn comes.
    slim().unwrap_or((true, 0))
}

fn head_of(path: &Path) -> io::Result<[u8; HEAD]> {
    let mut head = [0; HEAD];
    os::open_regular(path, false)?.read_exact(&mut head)?;
    Ok(head)
}

/// What counts of a file, and how long it is. A file that is no spool's may be of any length.
pub(super) fn contents_of(path: &Path) -> io::Result<(Vec<u8>, usize)> {
    let file = os::open_regular(path, false)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(HEAD);
    (&file).take(HEAD as u64).read_to_end(&mut bytes)?;
    if let Some(used) = bytes.first_chunk().and_then(used) {
        file.take(used.min(length).saturating_sub(HEAD as u64)).read_to_end(&mut bytes)?;
    }
    Ok((bytes, usize::try_from(length).unwrap_or(usize::MAX)))
}

/// A time that lies far in the future is one of a clock that has been set back since.
pub(super) fn is_recent(path: &Path) -> bool {
    let Ok(modified) = fs::metadata(path).and_then(|metadata| metadata.modified()) else { return true };
    modified.elapsed().unwrap_or_else(|future| future.duration()) < BEGINNING
}

/// A run that was begun and never got its name: its process was killed in that moment.
fn remove_if_forgotten(path: &Path) {
    if !is_recent(path) && take(path).is_some() {
        let _gone_already = fs::remove_file(path);
    }
}

/// For segments that have none. `false` where somebody else was faster.
fn make_run_file(path: &Path) -> bool {
    create_private(path).and_then(|file| os::reserve(&file, run_file::LENGTH)).is_ok()
}

/// Locks a run. `None` where its process lives, or somebody else was faster.
fn take(path: &Path) -> Option<(Mapping, u32, Ending, u64)> {
    let file = os::open_regular(path, true).ok()?;
    if !os::lock(&file).ok()? {
        return None;
    }
    if file.metadata().ok()?.len() < run_file::LENGTH as u64 {
        os::reserve(&file, run_file::LENGTH).ok()?;
    }
    // Somebody may have had it before us, and have removed it: then the lock is that of a file without a name.
    let same = is_same(&file, path);
    let lock = Mapping::new(file, run_file::LENGTH).ok()?;
    if !same {
        return None;
    }
    let word = |at| word(lock.bytes(), at);
    let ending = if word(run_file::ENDING) == Ending::Orderly as u64 { Ending::Orderly } else { Ending::Sudden };
    let (pid, process) = (word(run_file::PID) as u32, word(run_file::PROCESS));
    Some((lock, pid, ending, process))
}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => identity(a) == identity(b),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same(_file: &File, path: &Path) -> bool {
    path.exists()
}

impl Adopted {
    /// How many records there are, about: one that is committed in part counts, and so do some that were sent.
    pub(crate) fn estimate(&self) -> u64 {
        self.segments.iter().filter_map(|path| records_in(path).ok()).sum()
    }

    /// Reads the next segment; `None` where there are no more.
    pub(crate) fn next(&mut self) -> Option<Result<Left, Skipped>> {
        let path = self.segments.pop()?;
        let (bytes, length) = match contents_of(&path) {
            Ok(contents) => contents,
            Err(error) => {
                // Not under another name either, perhaps: it stays for whoever can read it.
                self.keeps_files = true;
                return Some(Err(Skipped::SetAside(path, error.to_string())));
            }
        };
        Some(match read(&bytes) {
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
                let left = Left {
                    segment: Segment::of_frames(frames, contents.frames.len() as u64),
                    resource: contents.resource.to_vec(),
                    ends: contents.frames.iter().map(|(_, end)| *end as u64).collect(),
                    damage: contents.damage,
                    length,
                    path,
                };
                if left.segment.records() == 0 && left.damage.is_none() {
                    let _gone_already = fs::remove_file(&left.path);
                    Err(Skipped::Empty(length))
                } else {
                    Ok(left)
                }
            }
            Err(Unreadable::Empty) => {
                let _gone_already = fs::remove_file(&path);
                Err(Skipped::Empty(length))
            }
            Err(Unreadable::Version(version)) => {
                self.keeps_files = true;
                Err(Skipped::Version(path, version))
            }
            Err(Unreadable::Damaged) => {
                let path = set_aside(&path);
                Err(Skipped::SetAside(path, "it is no file of a spool, or its head is damaged".to_owned()))
            }
        })
    }

    /// Everything of it has met its fate. Gives it back where it has files that stay: as long as it is there, nobody else
    /// looks at them.
    pub(crate) fn finish(self) -> Option<Self> {
        if self.keeps_files {
            return Some(self);
        }
        let _gone_already = fs::remove_file(&self.run);
        None
    }
}

fn records_in(path: &Path) -> io::Result<u64> {
    Ok(estimate(&head_of(path)?))
}

/// Gives a file a name under which nobody reads it again. Returns the name it has then.
fn set_aside(path: &Path) -> PathBuf {
    let aside = path.with_extension(format!("{SEGMENT}.{DAMAGED}"));
    match fs::rename(path, &aside) {
        Ok(()) => aside,
        Err(_) => path.to_owned(),
    }
}

impl Left {
    /// The records in front of this offset of the segment's bytes have met their fates.
    pub(crate) fn consume(&self, records: u64) {
        let end = usize::try_from(records).ok().and_then(|records| self.ends.get(records.checked_sub(1)?));
        let Some(end) = end else { return };
        let write = || -> io::Result<()> {
            let mut file = os::open_regular(&self.path, true)?;
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
            return Some(set_aside(&self.path));
        }
        let _gone_already = fs::remove_file(&self.path);
        None
    }
}

#[cfg(test)]
impl Left {
    pub(in crate::outbox) fn path(&self) -> &Path {
        &self.path
    }
}
