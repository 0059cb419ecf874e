//! What lies in a spool directory, looked at without changing anything: nothing is taken, renamed or removed.
//!
//! Constraints:
//! * A run is locked no longer than it takes to ask whether somebody else has it.
//! * Processes live on meanwhile: each file may be gone, or longer, the moment after.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::adopt::{DAMAGED, Ending, contents_of, is_recent};
use super::format::{HEAD, Unreadable, VERSION, estimate, read, version_of, word};
use super::{RUN, SEGMENT, run_file, run_of};
use crate::os;
use crate::otlp::{RecordView, View, read_resource};
use crate::outbox::frame::read_frame;

/// How closely to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Depth {
    /// At the heads of files: quick, and numbers of records are estimates.
    Heads,
    /// At each record of the dead.
    Records,
}

/// What lies in a directory.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Oldest first.
    pub(crate) runs: Vec<RunSeen>,
    /// Files that somebody has set aside before, since they were damaged.
    pub(crate) set_aside: Vec<PathBuf>,
    /// Files of something else.
    pub(crate) others: usize,
}

/// The files of one process.
#[derive(Debug)]
pub(crate) struct RunSeen {
    pub(crate) pid: u32,
    pub(crate) state: RunState,
    /// What its records name as their service; empty where that is not known.
    pub(crate) service: String,
    /// How many records wait in it that can be read.
    pub(crate) records: u64,
    /// How many are damaged, as far as it can be known.
    pub(crate) damaged: u64,
    pub(crate) files: usize,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    /// When the oldest record was written, in nanoseconds since 1970: that of each file which was written first.
    pub(crate) oldest: Option<u64>,
    pub(crate) trouble: Vec<(PathBuf, Trouble)>,
}

/// Whose a run is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RunState {
    /// Its process is dead: whoever asks first may send what is there.
    Left(Ending),
    /// Its process lives.
    Lives,
    /// Somebody else has it: who sends it now, or its process where that cannot be seen from here.
    Taken,
    /// Its own file is missing, and it may just be beginning.
    TooYoung,
    /// Its own file cannot be read: why.
    Unreadable(String),
}

/// What keeps a file, or some of it, from being sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// So many of its records are damaged.
    Damaged(u64),
    /// It is no file of a spool, or its head is damaged.
    Head,
    /// It cannot be read: why.
    Unreadable(String),
    /// It is of this version of the layout.
    Version(u32),
}

impl RunSeen {
    /// Whether it waits for somebody to send it.
    pub(crate) fn is_left(&self) -> bool {
        matches!(self.state, RunState::Left(_))
    }
}

impl RunSeen {
    /// Whether its own file cannot be read, so that nobody knows whose it is.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self.state, RunState::Unreadable(_))
    }
}

/// Looks at a directory.
///
/// # Errors
///
/// Where its entries cannot be listed.
pub(crate) fn survey(directory: &Path, depth: Depth) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let mut runs: BTreeMap<String, (bool, Vec<PathBuf>)> = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let (stem, kind) = name.to_str().and_then(|name| name.rsplit_once('.')).unwrap_or_default();
        match kind {
            // One that is being begun.
            RUN if stem.starts_with('.') => {}
            RUN => runs.entry(stem.to_owned()).or_default().0 = true,
            SEGMENT => {
                runs.entry(run_of(stem).to_owned()).or_default().1.push(entry.path());
            }
            DAMAGED => survey.set_aside.push(entry.path()),
            _ => survey.others += 1,
        }
    }
    survey.set_aside.sort_unstable();
    for (name, (has_file, mut segments)) in runs {
        segments.sort_unstable();
        let (state, pid) = match has_file {
            true => state_of(&directory.join(format!("{name}.{RUN}"))),
            false if segments.iter().any(|segment| is_recent(segment)) => (RunState::TooYoung, 0),
            false => (RunState::Left(Ending::Sudden), 0),
        };
        // It ended between the look at the directory and that at its file.
        if matches!(state, RunState::Unreadable(_)) && !directory.join(format!("{name}.{RUN}")).exists() {
            continue;
        }
        let pid = if pid == 0 { pid_in(&name) } else { pid };
        let mut run = RunSeen {
            pid,
            state,
            service: String::new(),
            records: 0,
            damaged: 0,
            files: segments.len(),
            bytes: 0,
            oldest: None,
            trouble: Vec::new(),
        };
        for segment in segments {
            run.look_at(segment, depth);
        }
        survey.runs.push(run);
    }
    Ok(survey)
}

/// Names are `TIME-PID`.
fn pid_in(name: &str) -> u32 {
    name.rsplit_once('-').and_then(|(_, pid)| pid.parse().ok()).unwrap_or(0)
}

/// Whose the run is, and the number of its process.
fn state_of(path: &Path) -> (RunState, u32) {
    let look = || -> io::Result<(RunState, u32)> {
        let mut file = os::open_regular(path, false)?;
        let is_locked = os::is_locked(&file)?;
        let mut bytes = [0; run_file::LENGTH];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match file.read(rest)? {
                0 => break,
                more => length += more,
            }
        }
        let word = |at| word(&bytes, at);
        let pid = word(run_file::PID) as u32;
        let state = match is_locked {
            true if os::is_running(pid) => RunState::Lives,
            true => RunState::Taken,
            false if word(run_file::ENDING) == Ending::Orderly as u64 => RunState::Left(Ending::Orderly),
            false => RunState::Left(Ending::Sudden),
        };
        Ok((state, pid))
    };
    look().unwrap_or_else(|error| (RunState::Unreadable(error.to_string()), 0))
}

impl RunSeen {
    fn look_at(&mut self, path: PathBuf, depth: Depth) {
        let looked = match self.state {
            // Its owner changes it: what its head says is all that is certain.
            RunState::Lives | RunState::Taken => self.look_at_head(&path),
            _ if depth == Depth::Heads => self.look_at_head(&path),
            _ => self.look_at_records(&path),
        };
        match looked {
            Ok(None) => {}
            Ok(Some(trouble)) => self.trouble.push((path, trouble)),
            // It was sent in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.files -= 1,
            Err(error) => self.trouble.push((path, Trouble::Unreadable(error.to_string()))),
        }
    }

    fn look_at_head(&mut self, path: &Path) -> io::Result<Option<Trouble>> {
        let mut file = os::open_regular(path, false)?;
        self.bytes += file.metadata()?.len();
        let mut head = [0; HEAD];
        if let Err(error) = file.read_exact(&mut head) {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(Some(Trouble::Head)) } else { Err(error) };
        }
        match version_of(&head) {
            Some(VERSION) => {}
            Some(version) => return Ok(Some(Trouble::Version(version))),
            // Being made, or no such file.
            None => return Ok(None),
        }
        self.records += estimate(&head);
        Ok(None)
    }

    fn look_at_records(&mut self, path: &Path) -> io::Result<Option<Trouble>> {
        let (bytes, length) = contents_of(path)?;
        self.bytes += length as u64;
        let contents = match read(&bytes) {
            Ok(contents) => contents,
            Err(Unreadable::Empty) => return Ok(None),
            Err(Unreadable::Damaged) => return Ok(Some(Trouble::Head)),
            Err(Unreadable::Version(version)) => return Ok(Some(Trouble::Version(version))),
        };
        self.records += contents.frames.len() as u64;
        if self.service.is_empty() {
            self.service = service_of(contents.resource);
        }
        if let Some((first, _)) = contents.frames.first() {
            let time = read_frame(first).map(|frame| RecordView::read(frame.record)).map(|view| match view.time {
                0 => view.observed_time,
                time => time,
            });
            self.oldest = self.oldest.into_iter().chain(time.filter(|time| *time > 0)).min();
        }
        Ok(contents.damage.map(|damage| {
            self.damaged += damage.records;
            Trouble::Damaged(damage.records)
        }))
    }
}

fn service_of(resource: &[u8]) -> String {
    let (attributes, _) = read_resource(resource);
    let name = attributes.into_iter().find(|(key, _)| key == "service.name").map(|(_, value)| value);
    match name {
        Some(View::Text(text)) => text.into_owned(),
        _ => String::new(),
    }
}
