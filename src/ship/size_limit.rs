//! Learns the longest request that an endpoint accepts. Pure.

/// The size limit of an endpoint, as far as its answers show it.
#[derive(Debug, Default)]
pub(super) struct SizeLimit {
    /// The longest body that was accepted.
    accepted: usize,
    /// The shortest body that was too large, unless a longer one was accepted later.
    too_large: Option<usize>,
}

impl SizeLimit {
    /// A body of this length was accepted.
    pub(super) fn note_accepted(&mut self, bytes: usize) {
        self.accepted = self.accepted.max(bytes);
        self.too_large = self.too_large.filter(|too_large| *too_large > self.accepted);
    }

    /// A body of this length was too large. `is_whole` if it was a complete request and not a part of one.
    ///
    /// A whole request no longer than an accepted one shows that the endpoint accepts less than before. A part of a
    /// request shows something about one item instead.
    pub(super) fn note_too_large(&mut self, bytes: usize, is_whole: bool) {
        if is_whole && bytes <= self.accepted {
            self.accepted = 0;
        }
        if bytes > self.accepted {
            self.too_large = Some(self.too_large.map_or(bytes, |too_large| too_large.min(bytes)));
        }
    }

    /// Returns the length that requests should not exceed: the longest accepted one, unless only much shorter ones were
    /// tried. Returns `None` if no limit is known.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.too_large.filter(|_| self.accepted > 0).map(|too_large| self.accepted.max(too_large / 4))
    }

    /// Returns the shortest body that was too large.
    pub(super) fn too_large(&self) -> Option<usize> {
        self.too_large
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_limited_until_something_is_refused() {
        let mut limit = SizeLimit::default();
        limit.note_accepted(4_000);
        assert_eq!(limit.bytes(), None);
    }

    #[test]
    fn requests_start_at_the_longest_that_was_taken() {
        let mut limit = SizeLimit::default();
        limit.note_too_large(4_000, true);
        limit.note_too_large(2_000, false);
        assert_eq!(limit.bytes(), None, "perhaps nothing fits");
        limit.note_accepted(1_010);
        limit.note_accepted(990);
        assert_eq!((limit.bytes(), limit.too_large()), (Some(1_010), Some(2_000)));
        limit.note_accepted(1_900);
        assert_eq!(limit.bytes(), Some(1_900));
    }

    #[test]
    fn one_item_that_is_too_large_does_not_make_requests_tiny() {
        let mut limit = SizeLimit::default();
        limit.note_too_large(3_000_000, true);
        limit.note_accepted(10);
        assert_eq!(limit.bytes(), Some(750_000));
    }

    #[test]
    fn an_endpoint_that_takes_less_than_it_did_is_believed_and_one_item_is_not() {
        let mut limit = SizeLimit::default();
        limit.note_accepted(4_000);
        limit.note_too_large(1_000, false);
        assert_eq!(limit.bytes(), None, "four times as much was taken");
        limit.note_too_large(1_000, true);
        limit.note_accepted(500);
        assert_eq!(limit.bytes(), Some(500));
        limit.note_accepted(4_000);
        assert_eq!(limit.bytes(), None, "it takes more again");
    }
}
