//! The directory of a spool, in which others may be able to write.
//!
//! Constraints:
//! * Everything in it is done through a descriptor of it, and follows no link: only its path may be a link, where it was
//!   one when this process began. Who can write there can at most remove what is there.
//! * It is opened for each step instead of being kept open: a program that closes descriptors it does not know would have
//!   us work in whatever directory gets the number next, and forked children would hold it. The same goes for its files: a
//!   file that is opened again is compared with the one that it was (`FileId`) before anything is changed.
//! * RunFiles count that are regular, have one name, and belong to the effective user of this process: what another user wrote
//!   is not sent under our key, and a link to a file of ours elsewhere is not changed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::{RUN, SEGMENT, run_of};
use crate::escape;
use crate::os::{self, FileFacts, FileId};

/// What is set aside ends in this.
pub(super) const DAMAGED: &str = "damaged";
/// One look sees no more names than this; it sees the others when some of these are gone.
const MOST_NAMES: usize = 1 << 18;

/// A directory of spools, by its path.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The path was a symbolic link when this process began.
    is_link: bool,
    /// RunFiles of other users count too.
    any_owner: bool,
}

/// The directory as it was when a run began there.
#[derive(Debug)]
pub(super) struct PinnedDirectory {
    directory: Directory,
    id: FileId,
}

/// The files of one run, by their names.
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
    /// RunFiles of runs that have no name yet.
    pub(super) begun: Vec<String>,
    pub(super) set_aside: Vec<String>,
    /// Of something else.
    pub(super) others: Vec<String>,
    /// Whether these are all.
    pub(super) is_whole: bool,
}

impl Directory {
    pub(crate) fn at(path: PathBuf) -> Self {
        // A slash at its end would follow a link.
        let path: PathBuf = path.components().collect();
        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        Self { path, is_link, any_owner: false }
    }

    /// Files of other users count too.
    pub(crate) fn of_any_owner(self, any_owner: bool) -> Self {
        Self { any_owner, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it where it is missing, for the user of this process only; one that is there stays as it is.
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
                let kind = os::kind_of(&self.path).unwrap_or("no directory");
                io::Error::new(io::ErrorKind::NotADirectory, format!("it is {kind}"))
            }
            _ => error,
        })
    }

    pub(super) fn open(&self) -> io::Result<os::Directory> {
        os::Directory::open(&self.path, self.is_link)
    }

    /// Opens it, for steps that are only to be made in this very directory.
    pub(super) fn enter(&self) -> io::Result<(os::Directory, PinnedDirectory)> {
        let opened = self.open()?;
        let id = opened.facts()?.id;
        Ok((opened, PinnedDirectory { directory: self.clone(), id }))
    }

    /// Why a file does not count, if it does not.
    pub(super) fn refusal(&self, facts: &FileFacts) -> Option<String> {
        if !facts.is_regular() {
            return Some(format!("it is {}", facts.kind));
        }
        if !self.any_owner && facts.owner != os::effective_user() {
            return Some(format!("it belongs to another user ({})", facts.owner));
        }
        (facts.links > 1).then(|| "it has another name elsewhere (a hard link)".to_owned())
    }

    /// Opens a file that counts.
    pub(super) fn open_file(&self, opened: &os::Directory, name: &str, write: bool) -> io::Result<(File, FileFacts)> {
        opened.open_unless(|facts| self.refusal(facts), name, write)
    }

    /// Who else can write there, in words.
    pub(super) fn exposure(&self, opened: &os::Directory) -> Option<String> {
        let FileFacts { mode, owner, .. } = opened.facts().ok()?;
        match () {
            () if mode & 0o002 != 0 => Some(format!("every user can write there (mode {mode:04o})")),
            () if mode & 0o020 != 0 => Some(format!("its group can write there (mode {mode:04o})")),
            () if owner != os::effective_user() && owner != 0 => Some(format!("it belongs to another user ({owner})")),
            () => None,
        }
    }

    /// Bytes of all files.
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

    /// Opens a file for writing, if it is that one still.
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

    /// Gives a file a name under which nobody reads it again. Returns the path that it has then.
    pub(super) fn set_aside(&self, name: &str) -> PathBuf {
        let aside = format!("{name}.{DAMAGED}");
        match self.open().and_then(|opened| opened.rename(name, &aside)) {
            Ok(()) => self.path(&aside),
            Err(_) => self.path(name),
        }
    }
}

/// All names that are there, but for those that are more than anybody needs.
pub(super) fn list(opened: &os::Directory) -> io::Result<Listing> {
    list_some(opened, MOST_NAMES)
}

pub(super) fn list_some(opened: &os::Directory, most: usize) -> io::Result<Listing> {
    let mut listing = Listing { is_whole: true, ..Listing::default() };
    let mut seen = 0;
    opened.list(|name| {
        seen += 1;
        if seen > most {
            listing.is_whole = false;
            return false;
        }
        listing.add(name);
        true
    })?;
    Ok(listing)
}

/// The segments of these runs.
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
            // Whoever gave it such a name is not us.
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

    /// Bytes of all these files.
    pub(super) fn bytes(&self, opened: &os::Directory) -> usize {
        let length = |name: &str| opened.look_at(name).map_or(0, |facts| facts.length);
        let runs = self.runs.iter().map(|(run, files)| {
            let own = if files.has_file { length(&run_file_of(run)) } else { 0 };
            own + files.segments.iter().map(|name| length(name)).sum::<u64>()
        });
        let rest = self.begun.iter().chain(&self.set_aside).chain(&self.others).map(|name| length(name));
        usize::try_from(runs.chain(rest).fold(0, u64::saturating_add)).unwrap_or(usize::MAX)
    }
}

/// The name of the file of a run.
pub(super) fn run_file_of(run: &str) -> String {
    format!("{run}.{RUN}")
}
