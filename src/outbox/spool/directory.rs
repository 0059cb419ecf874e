//! The directory of a spool, to which other users may be able to write.
//!
//! Constraints:
//! * Every step in it goes through a descriptor of the directory and follows no link. Only the directory's path may be
//!   a link, if it was one when this process began. So another user with write access can at most remove files.
//! * The directory is opened for each step and not kept open. Otherwise, if a program closed descriptors that it did
//!   not open, this code could work in another directory. Also, forked children would hold the descriptor. For the same
//!   reason, a file that is opened again is compared with the earlier one (`FileId`) before it is changed.
//! * Only regular files with a single name that belong to the effective user of this process count. So files of another
//!   user are not sent with the application's key, and a linked file elsewhere is not changed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::names::{DAMAGED, RUN, SEGMENT, run_file_name, run_of};
use crate::escape;
use crate::os::{self, FileFacts, FileId};

/// The maximum number of names in a listing. Later listings have the others.
const MAX_NAMES: usize = 1 << 18;

/// A spool directory, by its path.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Whether the path was a symbolic link when this process began.
    is_link: bool,
    /// Whether files of other users count, too.
    any_owner: bool,
}

/// The directory that had this path when a run began. Operations fail if another directory has the path now.
#[derive(Debug)]
pub(super) struct PinnedDirectory {
    directory: Directory,
    id: FileId,
}

/// The names of the files of one run.
#[derive(Debug, Default)]
pub(super) struct RunFiles {
    /// Whether the run has its own file.
    pub(super) has_file: bool,
    pub(super) segments: Vec<String>,
}

/// The names in a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) runs: BTreeMap<String, RunFiles>,
    /// Files of starting runs, which have no final name yet.
    pub(super) begun: Vec<String>,
    pub(super) set_aside: Vec<String>,
    /// Files that do not belong to a spool.
    pub(super) others: Vec<String>,
    /// Whether the listing has all names.
    pub(super) is_whole: bool,
}

impl Directory {
    pub(crate) fn at(path: PathBuf) -> Self {
        // Removes a slash at the end, which would follow a link.
        let path: PathBuf = path.components().collect();
        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        Self { path, is_link, any_owner: false }
    }

    /// Also accepts files of other users.
    pub(crate) fn of_any_owner(self, any_owner: bool) -> Self {
        Self { any_owner, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the directory if it is missing, for the user of this process only. Does not change an existing one.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&self.path).map_err(|error| match fs::metadata(&self.path) {
            Ok(facts) if !facts.is_dir() => {
                let kind = os::kind_of(&self.path).unwrap_or("not a directory");
                io::Error::new(io::ErrorKind::NotADirectory, format!("it is {kind}"))
            }
            _ => error,
        })
    }

    pub(super) fn open(&self) -> io::Result<os::Directory> {
        os::Directory::open(&self.path, self.is_link)
    }

    /// Opens the directory and pins it.
    pub(super) fn enter(&self) -> io::Result<(os::Directory, PinnedDirectory)> {
        let opened = self.open()?;
        let id = opened.facts()?.id;
        Ok((opened, PinnedDirectory { directory: self.clone(), id }))
    }

    /// Returns why a file does not count, or `None` if it counts.
    pub(super) fn refusal(&self, facts: &FileFacts) -> Option<String> {
        if !facts.is_regular() {
            return Some(format!("it is {}", facts.kind));
        }
        if !self.any_owner && facts.owner != os::effective_user() {
            return Some(format!("it belongs to another user ({})", facts.owner));
        }
        (facts.links > 1).then(|| "it has another name elsewhere (a hard link)".to_owned())
    }

    /// Opens a file if it counts.
    pub(super) fn open_file(&self, opened: &os::Directory, name: &str, write: bool) -> io::Result<(File, FileFacts)> {
        opened.open_unless(|facts| self.refusal(facts), name, write)
    }

    /// Returns who else can write to the directory, in words.
    pub(super) fn exposure(&self, opened: &os::Directory) -> Option<String> {
        let FileFacts { mode, owner, .. } = opened.facts().ok()?;
        match () {
            () if mode & 0o002 != 0 => Some(format!("every user can write there (mode {mode:04o})")),
            () if mode & 0o020 != 0 => Some(format!("its group can write there (mode {mode:04o})")),
            () if owner != os::effective_user() && owner != 0 => Some(format!("it belongs to another user ({owner})")),
            () => None,
        }
    }

    /// Returns the bytes of all files.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.open().map_or(0, |opened| list(&opened).map_or(0, |listing| listing.bytes(&opened)))
    }
}

impl PinnedDirectory {
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path.join(name)
    }

    pub(super) fn open(&self) -> io::Result<os::Directory> {
        let opened = self.directory.open()?;
        match opened.facts()?.id == self.id {
            true => Ok(opened),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "another directory is in its place")),
        }
    }

    /// Opens a file for writing if the name still belongs to the file with this id.
    pub(super) fn open_again(&self, name: &str, id: FileId) -> io::Result<File> {
        let (file, facts) = self.directory.open_file(&self.open()?, name, true)?;
        match facts.id == id {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "another file is in its place")),
        }
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.open()?.remove(name)
    }

    /// Renames a file so that no process reads it again. Returns its new path.
    pub(super) fn set_aside(&self, name: &str) -> PathBuf {
        let aside = format!("{name}.{DAMAGED}");
        match self.open().and_then(|opened| opened.rename(name, &aside)) {
            Ok(()) => self.path(&aside),
            Err(_) => self.path(name),
        }
    }
}

/// Lists the directory, up to [`MAX_NAMES`] names.
pub(super) fn list(opened: &os::Directory) -> io::Result<Listing> {
    list_some(opened, MAX_NAMES)
}

pub(super) fn list_some(opened: &os::Directory, max: usize) -> io::Result<Listing> {
    let mut listing = Listing { is_whole: true, ..Listing::default() };
    let mut seen = 0;
    opened.list(|name| {
        seen += 1;
        if seen > max {
            listing.is_whole = false;
            return false;
        }
        listing.add(name);
        true
    })?;
    Ok(listing)
}

/// Lists the segments of these runs.
pub(super) fn segments_of(
    opened: &os::Directory,
    runs: impl IntoIterator<Item = String>,
) -> io::Result<HashMap<String, Vec<String>>> {
    let mut segments: HashMap<_, _> = runs.into_iter().map(|run| (run, Vec::new())).collect();
    opened.list(|name| {
        if let Some((stem, SEGMENT)) = name.rsplit_once('.')
            && let Some(segments) = segments.get_mut(run_of(stem))
        {
            segments.push(name.to_owned());
        }
        true
    })?;
    Ok(segments)
}

impl Listing {
    fn add(&mut self, name: &str) {
        let (stem, kind) = name.rsplit_once('.').unwrap_or_default();
        match kind {
            // No process of ours uses such names.
            _ if !name.bytes().all(|byte| byte.is_ascii_graphic()) && name.chars().any(escape::is_unsafe) => {
                self.others.push(name.to_owned())
            }
            RUN if stem.starts_with('.') => self.begun.push(name.to_owned()),
            RUN => self.runs.entry(stem.to_owned()).or_default().has_file = true,
            SEGMENT => self.runs.entry(run_of(stem).to_owned()).or_default().segments.push(name.to_owned()),
            DAMAGED => self.set_aside.push(name.to_owned()),
            _ => self.others.push(name.to_owned()),
        }
    }

    /// Returns the bytes of all these files.
    pub(super) fn bytes(&self, opened: &os::Directory) -> usize {
        let length = |name: &str| opened.look_at(name).map_or(0, |facts| facts.length);
        let runs = self.runs.iter().map(|(run, files)| {
            let own = if files.has_file { length(&run_file_name(run)) } else { 0 };
            own + files.segments.iter().map(|name| length(name)).sum::<u64>()
        });
        let rest = self.begun.iter().chain(&self.set_aside).chain(&self.others).map(|name| length(name));
        usize::try_from(runs.chain(rest).fold(0, u64::saturating_add)).unwrap_or(usize::MAX)
    }
}
