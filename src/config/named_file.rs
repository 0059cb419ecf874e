//! Reads files that a user has named, without blocking and up to a maximum size.

use std::io::{self, Read as _};
use std::path::Path;

use crate::os;

/// Maximum file size. The root certificates of a platform take about a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a whole file. Symbolic links are followed.
///
/// # Errors
///
/// Returns an error if the file is longer than 1 MiB or is not a regular file: a pipe or a device may never end.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    os::open_named(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        0..=MAX_BYTES => Ok(content),
        _ => Err(io::Error::other("it is longer than 1 MiB")),
    }
}

/// Returns why reading a file could block forever. Returns `None` if it does not.
pub(super) fn blocking_reason(path: &Path) -> Option<String> {
    let error = os::open_named(path).err()?;
    // A missing or unreadable file is reported by the library that reads it.
    (error.kind() == io::ErrorKind::InvalidInput).then(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_up_to_the_maximum_size_are_read() {
        let folder = std::env::temp_dir().join(format!("logbridge-named-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name);
        for (length, is_read) in [(0, true), (1 << 20, true), ((1 << 20) + 1, false)] {
            std::fs::write(path("file"), vec![b'x'; length]).expect("written");
            assert_eq!(read(&path("file")).is_ok_and(|content| content.len() == length), is_read, "{length}");
        }
        assert!(read(&path("none")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[cfg(unix)]
    #[test]
    fn irregular_files_are_errors_and_links_are_followed() {
        use std::os::unix::fs::symlink;

        let folder = std::env::temp_dir().join(format!("logbridge-named-kinds-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name);
        let status = std::process::Command::new("mkfifo").arg(path("pipe")).status().expect("mkfifo");
        assert!(status.success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("a socket");
        let huge = std::fs::File::create(path("huge")).expect("a file");
        huge.set_len(3 << 30).expect("holes take no room");
        std::fs::write(path("file"), "content").expect("written");
        symlink(path("file"), path("link")).expect("a link");
        symlink(path("pipe"), path("to a pipe")).expect("a link");
        symlink(path("nothing"), path("dangling")).expect("a link");
        for (name, why) in [
            ("pipe", "it is a named pipe"),
            ("to a pipe", "it is a named pipe"),
            (".", "it is a directory"),
            ("socket", "it is a socket"),
            ("huge", "it is longer than 1 MiB"),
            ("/dev/zero", "it is a device"),
            ("dangling", "No such file or directory (os error 2)"),
        ] {
            assert_eq!(read(&path(name)).expect_err(name).to_string(), why, "{name}");
        }
        assert_eq!(read(&path("link")).expect("a regular file"), b"content");
        assert_eq!(
            ["pipe", "/dev/zero", "dangling", "link"].map(|name| blocking_reason(&path(name))),
            [Some("it is a named pipe".to_owned()), Some("it is a device".to_owned()), None, None,]
        );
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
