//! Runs of ended processes that this process now owns, and their segments.
//!
//! Constraint: an unreadable file does not stop recovery. It is renamed and reported.

use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::directory::PinnedDirectory;
use super::file_bytes::read_file_bytes;
use super::format::{CONSUMED, Damage, Unreadable, read};
use super::names::run_file_name;
use super::run_file::Ending;
use super::run_lock::LockedRun;
use super::trim::trim_file;
use crate::os::{self, FileId, Mapping};
use crate::outbox::frame::salt_frame;
use crate::outbox::segment::Segment;

/// The segments of an ended process that this process now owns.
#[derive(Debug)]
pub(crate) struct RecoveredRun {
    /// Holds the lock.
    _lock: Mapping,
    directory: Arc<PinnedDirectory>,
    run: String,
    pub(crate) pid: u32,
    pub(crate) ending: Ending,
    /// Whether the process now runs another program, because it called `exec`.
    pub(crate) is_replaced: bool,
    /// Files with the numbers of their groups, oldest last.
    segments: Vec<(u64, String)>,
    /// Approximate number of records when the run was locked.
    records: u64,
    /// Whether some files stay, because they are unreadable or have another version.
    keeps_files: bool,
}

/// A segment of an ended process, read from its file.
#[derive(Debug)]
pub(crate) struct RecoveredSegment {
    directory: Arc<PinnedDirectory>,
    name: String,
    id: FileId,
    pub(crate) segment: Segment,
    pub(crate) resource: Vec<u8>,
    /// The number of its group: the lanes of one shard that were filled together.
    pub(crate) group: u64,
    /// The end of each frame, relative to the start of the frames in the file.
    ends: Vec<u64>,
    pub(crate) damage: Option<Damage>,
    /// The length of the file.
    pub(crate) length: usize,
}

/// A file from which nothing is sent.
#[derive(Debug)]
pub(crate) enum SkippedFile {
    /// The file was empty and has been removed. It had this length.
    Empty(usize),
    /// The file cannot be opened or read, for this reason, and stays.
    Unreadable(PathBuf, String),
    /// The file could not be read, for this reason, and has this name now.
    SetAside(PathBuf, String),
    /// The file has another version, and stays.
    Version(PathBuf, u32),
}

impl RecoveredRun {
    /// Takes over the segments of a locked run, and adds the bytes it frees to `freed`. Returns `None` if there are
    /// none.
    pub(super) fn new(
        run: String,
        has_file: bool,
        LockedRun { lock, mut pid, ending, is_replaced }: LockedRun,
        files: Vec<String>,
        (opened, directory): (&os::Directory, &Arc<PinnedDirectory>),
        freed: &mut usize,
    ) -> Option<Self> {
        let (mut records, mut creator_pid) = (0, 0);
        let mut segments = Vec::with_capacity(files.len());
        for name in files {
            let Ok(trimmed) = trim_file(directory.directory(), opened, &name, has_file) else {
                // Reported when the file is read.
                segments.push((0, name));
                continue;
            };
            *freed += trimmed.freed;
            records += trimmed.records;
            creator_pid = creator_pid.max(trimmed.creator_pid);
            if trimmed.exists {
                segments.push((trimmed.group, name));
            }
        }
        if segments.is_empty() && has_file {
            let _gone_already = opened.remove(&run_file_name(&run));
            return None;
        }
        // Not by name, because a reused file is older than its contents.
        segments.sort_unstable_by(|a, b| b.cmp(a));
        if pid == 0 {
            pid = creator_pid;
        }
        let directory = Arc::clone(directory);
        Some(Self { _lock: lock, directory, run, pid, ending, is_replaced, segments, records, keeps_files: false })
    }

    pub(super) fn name(&self) -> &str {
        &self.run
    }

    /// Returns about how many records the run held when it was locked. Files whose records were sent in part count more
    /// than they hold.
    pub(crate) fn estimate(&self) -> u64 {
        self.records
    }

    /// Returns the number of the group of the next segment.
    pub(crate) fn next_group(&self) -> Option<u64> {
        self.segments.last().map(|(group, _)| *group)
    }

    /// Reads the next segment. Returns `None` after the last one.
    pub(crate) fn next(&mut self) -> Option<Result<RecoveredSegment, SkippedFile>> {
        let (_, name) = self.segments.pop()?;
        let contents =
            self.directory.open().and_then(|opened| read_file_bytes(self.directory.directory(), &opened, &name));
        let file = match contents {
            Ok(contents) => contents,
            // Another process has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Err(SkippedFile::Empty(0))),
            Err(error) => {
                // It may be just as unreadable under another name, so it stays for a process that can read it.
                self.keeps_files = true;
                return Some(Err(SkippedFile::Unreadable(self.directory.path(&name), error.to_string())));
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
                    // Removes the salt, because the frame no longer lies in its file.
                    if let Some(frame) = frames.get_mut(at..) {
                        salt_frame(frame, salt);
                    }
                }
                let recovered = RecoveredSegment {
                    directory: Arc::clone(&self.directory),
                    name,
                    id: file.id,
                    segment: Segment::of_frames(frames, contents.frames.len() as u64),
                    resource: contents.resource.to_vec(),
                    group: contents.group,
                    ends: contents.frames.iter().map(|(_, end)| *end as u64).collect(),
                    damage: contents.damage,
                    length,
                };
                if recovered.segment.records() == 0 && recovered.damage.is_none() {
                    let _gone_already = self.directory.remove(&recovered.name);
                    Err(SkippedFile::Empty(length))
                } else {
                    Ok(recovered)
                }
            }
            Err(Unreadable::Empty) => {
                let _gone_already = self.directory.remove(&name);
                Err(SkippedFile::Empty(length))
            }
            Err(Unreadable::Version(version)) => {
                self.keeps_files = true;
                Err(SkippedFile::Version(self.directory.path(&name), version))
            }
            Err(Unreadable::Damaged) => {
                let path = self.directory.set_aside(&name);
                Err(SkippedFile::SetAside(path, "it is not a spool file, or its head is damaged".to_owned()))
            }
        })
    }

    /// Whether a segment belongs to this run.
    pub(crate) fn has(&self, recovered: &RecoveredSegment) -> bool {
        recovered.name.strip_prefix(&self.run).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Removes the run after all its records got their outcome.
    ///
    /// Returns the run if some of its files stay. While it exists, no other process looks at them.
    pub(crate) fn finish(self) -> Option<Self> {
        if self.keeps_files {
            return Some(self);
        }
        let _gone_already = self.directory.remove(&run_file_name(&self.run));
        None
    }
}

impl RecoveredSegment {
    /// Marks the first `records` records as done.
    pub(crate) fn consume(&self, records: u64) {
        let end = usize::try_from(records).ok().and_then(|records| self.ends.get(records.checked_sub(1)?));
        let Some(end) = end else { return };
        let write = || -> io::Result<()> {
            let mut file = self.directory.open_again(&self.name, self.id)?;
            file.seek(SeekFrom::Start(CONSUMED as u64))?;
            file.write_all(&end.to_le_bytes())
        };
        // If it fails and this process ends suddenly too, these records are sent twice.
        let _at_least_once = write();
    }

    /// Removes the file after all readable records got their outcome. If others are damaged, sets the file aside
    /// instead and returns its new path.
    pub(crate) fn finish(self) -> Option<PathBuf> {
        if self.damage.is_some() {
            return Some(self.directory.set_aside(&self.name));
        }
        let _gone_already = self.directory.remove(&self.name);
        None
    }
}

#[cfg(test)]
impl RecoveredSegment {
    pub(in crate::outbox) fn path(&self) -> PathBuf {
        self.directory.path(&self.name)
    }
}
