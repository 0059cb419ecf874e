//! What the frames of a segment lie in: memory of the process, or a file of the spool.

use super::frame::set_sequence;
use super::spool::SpoolFile;

#[derive(Debug)]
pub(super) enum Block {
    Heap(Vec<u8>),
    File(SpoolFile),
}

impl Block {
    /// The frames, one behind the other.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(buf) => buf,
            Self::File(file) => file.bytes(),
        }
    }

    /// How many bytes of frames it can hold.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Heap(buf) => buf.capacity(),
            Self::File(file) => file.capacity(),
        }
    }

    /// How many bytes it takes of the bound.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Heap(buf) => buf.capacity(),
            Self::File(file) => file.length(),
        }
    }

    /// Appends a frame that there is room for, as the one with this place in its group.
    #[inline]
    pub(super) fn push(&mut self, frame: &[u8], sequence: u16) {
        match self {
            Self::Heap(buf) => {
                let at = buf.len();
                buf.extend_from_slice(frame);
                if let Some(frame) = buf.get_mut(at..) {
                    set_sequence(frame, sequence);
                }
            }
            Self::File(file) => file.push(frame, sequence),
        }
    }

    /// It serves a group of this number from now on, and nothing is in it yet.
    pub(super) fn begin(&mut self, group: u64) {
        if let Self::File(file) = self {
            file.begin(group);
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}
