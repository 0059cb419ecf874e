//! What lies in a spool directory, looked at without changing anything: nothing is taken, renamed or removed.
//!
//! Constraints:
//! * A run is locked no longer than it takes to ask whether somebody else has it.
//! * Processes live on meanwhile: each file may be gone, or longer, the moment after.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::adopt::{Ending, is_recent};
use super::contents::{contents_of, head_of};
use super::directory::{Directory, list, run_file_of};
use super::format::{Unreadable, VERSION, estimate, read, version_of, word};
use super::run_file;
use crate::os;
use crate::otlp::{RecordView, ValueView, read_resource};
use crate::outbox::frame::read_frame;

/// How closely to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// At the heads of files: quick, and numbers of records are estimates.
    Heads,
    /// At each record of the dead.
    Records,
}

/// What lies in a directory.
#[derive(Debug, Default)]
pub struct Survey {
    /// Oldest first.
    pub runs: Vec<RunSeen>,
    /// Files that somebody has set aside before, since they were damaged.
    pub set_aside: Vec<PathBuf>,
    /// Files of something else.
    pub others: usize,
}

/// The files of one process.
#[derive(Debug)]
pub struct RunSeen {
    pub pid: u32,
    pub state: RunState,
    /// What its records name as their service; empty where that is not known.
    pub service: String,
    /// How many records wait in it that can be read.
    pub records: u64,
    /// How many are damaged, as far as it can be known.
    pub damaged: u64,
    pub files: usize,
    /// Bytes of its files.
    pub bytes: u64,
    /// When the oldest record was written, in nanoseconds since 1970: that of each file which was written first.
    pub oldest: Option<u64>,
    pub trouble: Vec<(PathBuf, Trouble)>,
}

/// Whose a run is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RunState {
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
pub enum Trouble {
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
    pub fn is_left(&self) -> bool {
        matches!(self.state, RunState::Left(_))
    }
}

impl RunSeen {
    /// Whether its own file cannot be read, so that nobody knows whose it is.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.state, RunState::Unreadable(_))
    }
}

/// Looks at a directory; at what other users have there too, where `any_owner`.
///
/// # Errors
///
/// Where its entries cannot be listed.
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
    let look = Look { directory: &directory, opened: &opened, depth };
    for (name, mut files) in listing.runs {
        files.segments.sort_unstable();
        let is_young = |segment: &String| opened.look_at(segment).is_ok_and(|facts| is_recent(&facts));
        let run_file = run_file_of(&name);
        let (state, pid) = match files.has_file {
            true => look.state_of(&run_file),
            false if files.segments.iter().any(is_young) => (RunState::TooYoung, 0),
            false => (RunState::Left(Ending::Sudden), 0),
        };
        // It ended between the look at the directory and that at its file.
        if matches!(state, RunState::Unreadable(_)) && opened.look_at(&run_file).is_err() {
            continue;
        }
        let pid = if pid == 0 { pid_in(&name) } else { pid };
        let mut run = RunSeen {
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
            run.look_at(&look, segment);
        }
        survey.runs.push(run);
    }
    Ok(survey)
}

/// Where to look, and how closely.
struct Look<'a> {
    directory: &'a Directory,
    opened: &'a os::Directory,
    depth: Depth,
}

/// Names are `TIME-PID`.
fn pid_in(name: &str) -> u32 {
    name.rsplit_once('-').and_then(|(_, pid)| pid.parse().ok()).unwrap_or(0)
}

impl Look<'_> {
    /// Whose the run is, and the number of its process.
    fn state_of(&self, name: &str) -> (RunState, u32) {
        let look = || -> io::Result<(RunState, u32)> {
            let (mut file, _) = self.directory.open_file(self.opened, name, false)?;
            let is_locked = os::is_locked(&file)?;
            let mut bytes = Vec::new();
            (&mut file).take(run_file::WORDS as u64).read_to_end(&mut bytes)?;
            let pid = word(&bytes, run_file::PID) as u32;
            let state = match is_locked {
                true if os::is_running(pid) => RunState::Lives,
                true => RunState::Taken,
                false if word(&bytes, run_file::ENDING) == Ending::Orderly as u64 => RunState::Left(Ending::Orderly),
                false => RunState::Left(Ending::Sudden),
            };
            Ok((state, pid))
        };
        look().unwrap_or_else(|error| (RunState::Unreadable(error.to_string()), 0))
    }
}

impl RunSeen {
    fn look_at(&mut self, look: &Look<'_>, name: &str) {
        let looked = match self.state {
            // Its owner changes it: what its head says is all that is certain.
            RunState::Lives | RunState::Taken => self.look_at_head(look, name),
            _ if look.depth == Depth::Heads => self.look_at_head(look, name),
            _ => self.look_at_records(look, name),
        };
        let path = look.directory.path().join(name);
        match looked {
            Ok(None) => {}
            Ok(Some(trouble)) => self.trouble.push((path, trouble)),
            // It was sent in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.files -= 1,
            Err(error) => self.trouble.push((path, Trouble::Unreadable(error.to_string()))),
        }
    }

    fn look_at_head(&mut self, look: &Look<'_>, name: &str) -> io::Result<Option<Trouble>> {
        let (file, facts) = look.directory.open_file(look.opened, name, false)?;
        self.bytes += facts.length;
        let head = match head_of(&file) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(Trouble::Head)),
            head => head?,
        };
        match version_of(&head) {
            Some(VERSION) => {}
            Some(version) => return Ok(Some(Trouble::Version(version))),
            // Being made, or no such file.
            None => return Ok(None),
        }
        self.records += estimate(&head);
        Ok(None)
    }

    fn look_at_records(&mut self, look: &Look<'_>, name: &str) -> io::Result<Option<Trouble>> {
        let file = contents_of(look.directory, look.opened, name)?;
        self.bytes += file.length as u64;
        let contents = match read(&file.bytes) {
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
        Some(ValueView::Text(text)) => text.into_owned(),
        _ => String::new(),
    }
}
