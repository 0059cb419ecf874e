//! Directories by descriptor.
//!
//! Files are opened, renamed and removed relative to the open directory, even if its path changes meanwhile. Lookups in
//! it never follow symbolic links.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::types::{FileFacts, FileId};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

/// Creates the error for a file that was rejected before it was opened.
fn refused(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text.into())
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Directory {
    /// Opens a directory. `follow` sets whether `path` may be a symbolic link.
    pub(crate) fn open(path: &Path, follow: bool) -> io::Result<Self> {
        count();
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | if follow { 0 } else { libc::O_NOFOLLOW };
        let path = c_string(path.as_os_str().as_bytes())?;
        // SAFETY: `path` is a live C string, and the flags need no mode.
        let descriptor = unsafe { libc::open(path.as_ptr(), flags) };
        Ok(Self(owned(descriptor)?))
    }

    fn open_at(&self, name: &CStr, flags: libc::c_int, mode: libc::c_uint) -> io::Result<File> {
        count();
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the descriptor is open and `name` is a live C string. The mode is only used to create a file.
        let descriptor = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, mode) };
        Ok(File::from(owned(descriptor)?))
    }

    /// Creates a file with mode 0600. Fails if the file exists.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        self.open_at(&c_string(name.as_bytes())?, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)
    }

    /// Opens an existing file for reading, or for reading and writing.
    ///
    /// # Errors
    ///
    /// If `refusal` returns a text, the file is not opened and the text becomes the error. Opening a pipe could block
    /// forever, and opening a device may have effects.
    pub(crate) fn open_unless(
        &self,
        refusal: impl Fn(&FileFacts) -> Option<String>,
        name: &str,
        write: bool,
    ) -> io::Result<(File, FileFacts)> {
        let check = |facts: &FileFacts| refusal(facts).map_or(Ok(()), |why| Err(refused(why)));
        check(&self.look_at(name)?)?;
        let access = if write { libc::O_RDWR } else { libc::O_RDONLY };
        let file = self.open_at(&c_string(name.as_bytes())?, access | libc::O_NONBLOCK, 0)?;
        // Checked again: the file may have been replaced meanwhile.
        let facts = facts_of(&file)?;
        check(&facts)?;
        Ok((file, facts))
    }

    /// Returns the metadata of a file. Symbolic links are not followed.
    pub(crate) fn look_at(&self, name: &str) -> io::Result<FileFacts> {
        count();
        let name = c_string(name.as_bytes())?;
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the descriptor is open, `name` is a live C string, and `stat` has room for one struct stat.
        let result =
            unsafe { libc::fstatat(self.0.as_raw_fd(), name.as_ptr(), stat.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fstatat returned 0, so the struct is initialized.
        Ok(facts(&unsafe { stat.assume_init() }))
    }

    /// Returns the metadata of the directory.
    pub(crate) fn facts(&self) -> io::Result<FileFacts> {
        stat(&self.0)
    }

    /// Removes a file or a symbolic link.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        count();
        let name = c_string(name.as_bytes())?;
        // SAFETY: the descriptor is open and `name` is a live C string.
        done(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) })
    }

    /// Renames a file within this directory.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        count();
        let (from, to) = (c_string(from.as_bytes())?, c_string(to.as_bytes())?);
        let directory = self.0.as_raw_fd();
        // SAFETY: the descriptor is open and both names are live C strings.
        done(unsafe { libc::renameat(directory, from.as_ptr(), directory, to.as_ptr()) })
    }

    /// Calls `each` with the name of every entry until it returns `false`. Names that are not UTF-8 are passed as
    /// empty.
    pub(crate) fn list(&self, mut each: impl FnMut(&str) -> bool) -> io::Result<()> {
        count();
        // Opened again, because descriptors of the same opening share the read position.
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: the descriptor is open, and the name is a static C string.
        let descriptor = owned(unsafe { libc::openat(self.0.as_raw_fd(), c".".as_ptr(), flags) })?;
        // SAFETY: the descriptor is open and refers to a directory. If the call succeeds, the stream owns it.
        let stream = unsafe { libc::fdopendir(descriptor.as_raw_fd()) };
        if stream.is_null() {
            return Err(io::Error::last_os_error());
        }
        std::mem::forget(descriptor);
        let _closed_at_the_end = Stream(stream);
        loop {
            #[cfg(target_os = "linux")]
            // SAFETY: the stream is open, and only this thread uses it.
            let entry = unsafe { libc::readdir64(stream) };
            #[cfg(not(target_os = "linux"))]
            // SAFETY: as above.
            let entry = unsafe { libc::readdir(stream) };
            if entry.is_null() {
                return Ok(());
            }
            // SAFETY: the name of an entry ends in NUL and lives until the next entry is read. Its address is taken
            // without a reference to the whole entry, because the system may provide less memory than the struct's
            // size.
            let name = unsafe { CStr::from_ptr((&raw const (*entry).d_name).cast()) };
            if name == c"." || name == c".." {
                continue;
            }
            if !each(name.to_str().unwrap_or_default()) {
                return Ok(());
            }
        }
    }

    /// Writes the entries of the directory to disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the call touches no memory.
        done(unsafe { libc::fsync(self.0.as_raw_fd()) })
    }
}

struct Stream(*mut libc::DIR);

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream is open and no longer used.
        unsafe {
            libc::closedir(self.0);
        }
    }
}

fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call that returned it succeeded, so it is open and not owned by other code.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns the metadata of an open file.
pub(crate) fn facts_of(file: &File) -> io::Result<FileFacts> {
    stat(file)
}

fn stat(descriptor: &impl std::os::fd::AsRawFd) -> io::Result<FileFacts> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the descriptor is open, and `stat` has room for one struct stat.
    if unsafe { libc::fstat(descriptor.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fstat returned 0, so the struct is initialized.
    Ok(facts(&unsafe { stat.assume_init() }))
}

// The types of these fields differ between systems.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
fn facts(stat: &libc::stat) -> FileFacts {
    let seconds = Duration::from_secs((stat.st_mtime as i64).unsigned_abs());
    let modified = match stat.st_mtime >= 0 {
        true => SystemTime::UNIX_EPOCH.checked_add(seconds),
        false => SystemTime::UNIX_EPOCH.checked_sub(seconds),
    };
    FileFacts {
        id: FileId { device: stat.st_dev as u64, inode: stat.st_ino as u64 },
        kind: kind(stat.st_mode as libc::mode_t),
        owner: stat.st_uid as u32,
        links: stat.st_nlink as u64,
        length: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode as u32 & 0o7777,
        modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

fn kind(mode: libc::mode_t) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFREG => FileFacts::REGULAR,
        libc::S_IFLNK => "a symbolic link",
        libc::S_IFDIR => "a directory",
        libc::S_IFIFO => "a named pipe",
        libc::S_IFSOCK => "a socket",
        libc::S_IFCHR | libc::S_IFBLK => "a device",
        _ => "not a regular file",
    }
}

/// Returns the effective user id of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: the call only returns a number.
    unsafe { libc::geteuid() }
}

/// Returns the kind of file that a path leads to, in words.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)] // The type differs between systems.
pub(crate) fn kind_of(path: &Path) -> io::Result<&'static str> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(kind(std::fs::metadata(path)?.mode() as libc::mode_t))
}

/// Opens a file that a user has named for reading. Symbolic links are followed.
///
/// # Errors
///
/// Returns an error of kind `InvalidInput` if it is not a regular file. Never blocks.
pub fn open_named(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let check = |kind| if kind == FileFacts::REGULAR { Ok(()) } else { Err(refused(format!("it is {kind}"))) };
    // Checked first: opening a device may have effects.
    check(kind_of(path)?)?;
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    check(facts_of(&file)?.kind)?;
    Ok(file)
}

#[cfg(not(test))]
fn count() {}

#[cfg(test)]
thread_local! {
    static CALLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn count() {
    CALLS.set(CALLS.get() + 1);
}

/// Returns how many file operations this thread has made through directories.
#[cfg(test)]
pub(crate) fn calls() -> usize {
    CALLS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_open_directory_and_links_are_not_followed() {
        let path = std::env::temp_dir().join(format!("logbridge-directory-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        let directory = Directory::open(&path, true).expect("it is there");
        let file = directory.create("one").expect("a new file");
        assert!(directory.create("one").is_err(), "it is there");
        assert_eq!(facts_of(&file).expect("facts"), directory.look_at("one").expect("facts"));
        std::os::unix::fs::symlink(path.join("one"), path.join("link")).expect("a link");
        assert_eq!(directory.look_at("link").expect("facts").kind, "a symbolic link");
        let irregular = |facts: &FileFacts| (!facts.is_regular()).then(|| format!("it is {}", facts.kind));
        let why = |name| directory.open_unless(irregular, name, true).expect_err(name).to_string();
        assert_eq!([why("link"), why("..")], ["it is a symbolic link", "it is a directory"]);
        assert!(directory.open_unless(|_| None, "link", true).is_err(), "even if nothing is refused");
        assert!(directory.open_unless(irregular, "one", true).is_ok());
        // The path may change.
        let moved = path.with_extension("moved");
        std::fs::rename(&path, &moved).expect("it moves");
        std::os::unix::fs::symlink(std::env::temp_dir(), &path).expect("a link");
        directory.rename("one", "two").expect("it is there");
        let mut names = Vec::new();
        directory
            .list(|name| {
                names.push(name.to_owned());
                true
            })
            .expect("a listing");
        names.sort_unstable();
        assert_eq!(names, ["link", "two"]);
        assert!(Directory::open(&path, false).is_err() && Directory::open(&path, true).is_ok());
        directory.remove("two").expect("it is there");
        std::fs::remove_file(&path).expect("the link");
        std::fs::remove_dir_all(&moved).expect("the directory");
    }
}
