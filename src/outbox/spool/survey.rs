//! Surveys a spool directory without changing it: no file is taken over, renamed or removed.
//!
//! Constraints:
//! * A run is locked only for the moment in which its lock is tested.
//! * Processes continue meanwhile, so each file may be removed or grow at any time.

use std::io;
use std::path::{Path, PathBuf};

use super::directory::{Directory, list};
use super::file_bytes::{head_of, read_file_bytes};
use super::format::{Unreadable, VERSION, read};
use super::names::run_file_name;
use super::run_file::{Ending, RunProcess};
use super::scanner::is_recent;
use crate::os;
use crate::otlp::{RecordView, ValueView, read_resource};
use crate::outbox::frame::read_frame;

/// How much of the files to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// The heads of files: fast, with estimated numbers of records.
    Heads,
    /// Each record of ended processes.
    Records,
}

/// The contents of a directory.
#[derive(Debug, Default)]
pub struct Survey {
    /// Oldest first.
    pub runs: Vec<SurveyedRun>,
    /// Files that a process has set aside, because they were damaged.
    pub set_aside: Vec<PathBuf>,
    /// Files that do not belong to a spool.
    pub others: usize,
}

/// The files of one run.
#[derive(Debug)]
pub struct SurveyedRun {
    pub pid: u32,
    pub state: RunState,
    /// The service name of its records; empty if unknown.
    pub service: String,
    /// Readable records that wait in it.
    pub records: u64,
    /// Damaged records, as far as is known.
    pub damaged: u64,
    pub files: usize,
    /// Bytes of its files.
    pub bytes: u64,
    /// When the oldest record was written, in nanoseconds since 1970. Only the first record of each file is considered.
    pub oldest: Option<u64>,
    pub trouble: Vec<(PathBuf, FileProblem)>,
}

/// The owner of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RunState {
    /// None: its process ended, and any process may send its records.
    Left(Ending),
    /// Its process, which is alive.
    Lives,
    /// Another process: one that sends it now, or its own in another PID namespace.
    Taken,
    /// Unknown: its run file is missing, perhaps because the run is just starting.
    TooYoung,
    /// Unknown: its run file cannot be read, for this reason.
    Unreadable(String),
}

/// Why a file, or a part of it, cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileProblem {
    /// This many of its records are damaged.
    Damaged(u64),
    /// It is not a spool file, or its head is damaged.
    Head,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It has this version of the layout.
    Version(u32),
}

impl SurveyedRun {
    /// Returns whether any process may send its records.
    pub fn is_left(&self) -> bool {
        matches!(self.state, RunState::Left(_))
    }

    /// Returns whether its run file cannot be read, so that its owner is unknown.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.state, RunState::Unreadable(_))
    }
}

/// Surveys a directory. With `any_owner`, files of other users are included.
///
/// # Errors
///
/// Returns an error if the directory cannot be listed.
pub fn survey(directory: &Path, any_owner: bool, depth: Depth) -> io::Result<Survey> {
    let directory = Directory::at(directory.to_owned()).of_any_owner(any_owner);
    let opened = directory.open()?;
    let listing = list(&opened)?;
    let path = |name: &String| directory.path().join(name);
    let mut survey = Survey {
        set_aside: listing.set_aside.iter().map(path).collect(),
        others: listing.others.len(),
        ..Survey::default()
    };
    survey.set_aside.sort_unstable();
    let surveyor = Surveyor { directory: &directory, opened: &opened, depth };
    for (name, mut files) in listing.runs {
        files.segments.sort_unstable();
        let is_young = |segment: &String| opened.look_at(segment).is_ok_and(|facts| is_recent(&facts));
        let run_file = run_file_name(&name);
        let (state, pid) = match files.has_file {
            true => surveyor.state_of(&run_file),
            false if files.segments.iter().any(is_young) => (RunState::TooYoung, 0),
            false => (RunState::Left(Ending::Sudden), 0),
        };
        // The run ended after the listing and before its file was read.
        if matches!(state, RunState::Unreadable(_)) && opened.look_at(&run_file).is_err() {
            continue;
        }
        let pid = if pid == 0 { pid_in(&name) } else { pid };
        let mut run = SurveyedRun {
            pid,
            state,
            service: String::new(),
            records: 0,
            damaged: 0,
            files: files.segments.len(),
            bytes: 0,
            oldest: None,
            trouble: Vec::new(),
        };
        for segment in &files.segments {
            run.survey_file(&surveyor, segment);
        }
        survey.runs.push(run);
    }
    Ok(survey)
}

/// Reads the files of a directory.
struct Surveyor<'a> {
    directory: &'a Directory,
    opened: &'a os::Directory,
    depth: Depth,
}

/// Returns the process id in the name `TIME-PID` of a run.
fn pid_in(name: &str) -> u32 {
    name.rsplit_once('-').and_then(|(_, pid)| pid.parse().ok()).unwrap_or(0)
}

impl Surveyor<'_> {
    /// Returns who owns the run, and the id of its process.
    fn state_of(&self, name: &str) -> (RunState, u32) {
        let look = || -> io::Result<(RunState, u32)> {
            let (file, _) = self.directory.open_file(self.opened, name, false)?;
            let is_locked = os::is_locked(&file)?;
            let RunProcess { pid, ending, .. } = RunProcess::read(&file)?;
            let state = match is_locked {
                true if os::is_running(pid) => RunState::Lives,
                true => RunState::Taken,
                false => RunState::Left(ending),
            };
            Ok((state, pid))
        };
        look().unwrap_or_else(|error| (RunState::Unreadable(error.to_string()), 0))
    }
}

impl SurveyedRun {
    fn survey_file(&mut self, surveyor: &Surveyor<'_>, name: &str) {
        let looked = match self.state {
            // Its owner may change it, so only the head is certain.
            RunState::Lives | RunState::Taken => self.survey_head(surveyor, name),
            _ if surveyor.depth == Depth::Heads => self.survey_head(surveyor, name),
            _ => self.survey_records(surveyor, name),
        };
        let path = surveyor.directory.path().join(name);
        match looked {
            Ok(None) => {}
            Ok(Some(problem)) => self.trouble.push((path, problem)),
            // It was sent meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.files -= 1,
            Err(error) => self.trouble.push((path, FileProblem::Unreadable(error.to_string()))),
        }
    }

    fn survey_head(&mut self, surveyor: &Surveyor<'_>, name: &str) -> io::Result<Option<FileProblem>> {
        let (file, facts) = surveyor.directory.open_file(surveyor.opened, name, false)?;
        self.bytes += facts.length;
        let head = match head_of(&file) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(FileProblem::Head)),
            head => head?,
        };
        match head.version() {
            Some(VERSION) => {}
            Some(version) => return Ok(Some(FileProblem::Version(version))),
            // It is being created, or is not a spool file.
            None => return Ok(None),
        }
        self.records += head.estimate();
        Ok(None)
    }

    fn survey_records(&mut self, surveyor: &Surveyor<'_>, name: &str) -> io::Result<Option<FileProblem>> {
        let file = read_file_bytes(surveyor.directory, surveyor.opened, name)?;
        self.bytes += file.length as u64;
        let contents = match read(&file.bytes) {
            Ok(contents) => contents,
            Err(Unreadable::Empty) => return Ok(None),
            Err(Unreadable::Damaged) => return Ok(Some(FileProblem::Head)),
            Err(Unreadable::Version(version)) => return Ok(Some(FileProblem::Version(version))),
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
            FileProblem::Damaged(damage.records)
        }))
    }
}

fn service_of(resource: &[u8]) -> String {
    let (attributes, _) = read_resource(resource);
    let name = attributes.into_iter().find(|(key, _)| key == "service.name").map(|(_, value)| value);
    match name {
        Some(ValueView::Text(text)) => text.into_owned(),
        _ => String::new(),
    }
}
