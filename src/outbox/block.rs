//! What the frames of a segment lie in: memory of the process, or a file of the spool.

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

    /// Appends a frame that there is room for.
    #[inline]
    pub(super) fn push(&mut self, frame: &[u8]) {
        match self {
            Self::Heap(buf) => buf.extend_from_slice(frame),
            Self::File(file) => file.push(frame),
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}
