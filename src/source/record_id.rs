//! Record ids, by which a backend can recognize records that arrive twice.
//!
//! Each id is a ULID, as the semantic conventions recommend for `log.record.uid`.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::os;

pub(super) const KEY: &str = "log.record.uid";
/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_BITS: u32 = 80;

/// The ids of one thread.
#[derive(Debug, Default)]
pub(super) struct RecordIds {
    /// The fork generation in which the ids started, because a forked child has a copy of its parent's memory.
    generation: Option<u64>,
    /// 80 random bits, plus one for each record.
    random: u128,
}

impl RecordIds {
    /// Returns the id of a record that is logged at this time, in nanoseconds since 1970.
    pub(super) fn next(&mut self, now: u64) -> Ulid {
        let generation = os::fork_generation();
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            // std seeds its hashers from the system's random numbers, but a child has a copy of its parent's seed.
            let word = || u128::from(RandomState::new().build_hasher().finish());
            self.random = (word() << 64 | word()) ^ u128::from_le_bytes(os::fork_salt());
        }
        self.random = self.random.wrapping_add(1);
        let millis = u128::from(now / 1_000_000) & ((1 << 48) - 1);
        Ulid::new(millis << RANDOM_BITS | self.random & ((1 << RANDOM_BITS) - 1))
    }
}

/// A ULID as text, 26 characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ulid([u8; 26]);

impl Ulid {
    fn new(number: u128) -> Self {
        let mut text = [b'0'; 26];
        for (place, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS.get((number >> (5 * place)) as usize & 31).copied().unwrap_or(b'0');
        }
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_ulid() {
        // The example of the specification: its time, with all random bits set and none.
        let time = 1_469_918_176_385;
        assert_eq!(&Ulid::new(time << 80).as_str()[..10], "01ARYZ6S41");
        assert_eq!(Ulid::new((1 << 80) - 1).as_str(), "0000000000ZZZZZZZZZZZZZZZZ");
        assert_eq!(Ulid::new(u128::MAX).as_str(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn ids_of_a_thread_differ_and_grow() {
        let (mut a, mut b) = (RecordIds::default(), RecordIds::default());
        let mut all: Vec<String> = (0..1_000).map(|n| a.next(n * 1_000_000).as_str().to_owned()).collect();
        assert!(all.is_sorted());
        all.extend((0..1_000).map(|n| b.next(n * 1_000_000).as_str().to_owned()));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2_000);
    }
}
