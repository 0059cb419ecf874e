//! Byte counts for people.

use std::fmt;

/// Displays a number of bytes with a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteSize(pub(super) usize);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 10 << 20 || (bytes > 0 && bytes % (1 << 20) == 0) => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 10 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}
