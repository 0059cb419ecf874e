//! Values that are replaced while others read them: readers take no lock and count nothing.
//!
//! No version is ever freed, since a reader may hold it. Equal versions are one: a program that switches back and forth
//! holds two. No lock here and no `Once`: a forked child would inherit it in whatever state it was.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::Placed;

const CHUNKS: usize = 16;
const FIRST: usize = 8;
/// How many versions there may be. The page of `LEVELS_UNCHANGED` has the number.
#[cfg(test)]
const MOST: usize = FIRST * ((1 << CHUNKS) - 1);

#[derive(Debug)]
pub(super) struct Versions<T: Send + Sync> {
    chunks: [Placed<Vec<Placed<T>>>; CHUNKS],
    current: AtomicU32,
}

/// There is no room for another version.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionsExhausted;

fn place(index: u32) -> (usize, usize) {
    let shifted = index as usize / FIRST + 1;
    let chunk = shifted.ilog2() as usize;
    (chunk, index as usize - FIRST * ((1 << chunk) - 1))
}

impl<T: Eq + Send + Sync> Versions<T> {
    pub(super) fn new(first: T) -> Self {
        let versions = Self { chunks: [const { Placed::new() }; CHUNKS], current: AtomicU32::new(0) };
        let _there_is_room = versions.publish(first);
        versions
    }

    /// The version that counts, with its number.
    #[inline]
    pub(super) fn current(&self) -> Option<(u32, &T)> {
        let index = self.current.load(Ordering::Acquire);
        Some((index, self.get(index)?))
    }

    /// The number of the version that counts.
    #[inline]
    pub(super) fn number(&self) -> u32 {
        self.current.load(Ordering::Acquire)
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&T> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }

    /// From now on this one counts. One at a time: of two threads that publish in the same moment, either may have the last
    /// word.
    pub(super) fn publish(&self, mut version: T) -> Result<(), VersionsExhausted> {
        for index in 0.. {
            match self.get(index) {
                Some(known) if *known != version => continue,
                Some(_) => {}
                None => {
                    let (number, offset) = place(index);
                    let empty = || std::iter::repeat_with(Placed::new).take(FIRST << number).collect();
                    let chunk: &Vec<_> = self.chunks.get(number).ok_or(VersionsExhausted)?.get_or_make(empty);
                    if let Err(back) = chunk.get(offset).ok_or(VersionsExhausted)?.set(version) {
                        version = back;
                        continue;
                    }
                }
            }
            self.current.store(index, Ordering::Release);
            return Ok(());
        }
        Err(VersionsExhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_place_and_equal_ones_share_it() {
        let versions = Versions::new(0_u32);
        for round in 0..2 {
            for number in 0..1_000 {
                versions.publish(number).expect("room");
                assert_eq!(versions.current(), Some((number, &number)), "round {round}");
            }
        }
        assert!(versions.get(999).is_some() && versions.get(1_000).is_none());
        let places: Vec<_> = [0, 7, 8, 23, 24, 55, 56].map(place).into();
        assert_eq!(places, [(0, 0), (0, 7), (1, 0), (1, 15), (2, 0), (2, 31), (3, 0)]);
    }

    #[test]
    fn the_bound_is_the_one_that_its_page_tells() {
        let page = crate::finding::kind::LEVELS_UNCHANGED.cause;
        assert!((500_000..550_000).contains(&MOST) && page.contains("half a million"), "{MOST}: {page}");
        assert_eq!(place(MOST as u32 - 1), (CHUNKS - 1, (FIRST << (CHUNKS - 1)) - 1));
        assert_eq!(place(MOST as u32).0, CHUNKS, "no chunk has it");
    }
}
