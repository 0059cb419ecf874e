//! What is known of the longest request that an endpoint takes. Pure.

/// Learned from its answers; nothing before the first request that is too large for it.
#[derive(Debug, Default)]
pub(super) struct SizeLimit {
    /// The longest body that was taken.
    taken: usize,
    /// The shortest body that was too large, where longer ones are not taken all the same.
    refused: Option<usize>,
}

impl SizeLimit {
    /// A body of this length was taken.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.taken = self.taken.max(bytes);
        self.refused = self.refused.filter(|refused| *refused > self.taken);
    }

    /// A body of this length was too large. `whole` where nothing was cut off it before: shorter than what was taken, it
    /// says that the endpoint takes less than it did. In parts of it that says something about one item instead.
    pub(super) fn refused(&mut self, bytes: usize, whole: bool) {
        if whole && bytes <= self.taken {
            self.taken = 0;
        }
        if bytes > self.taken {
            self.refused = Some(self.refused.map_or(bytes, |refused| refused.min(bytes)));
        }
    }

    /// How long requests should become at most: the longest that was taken, unless only much shorter ones were tried.
    /// `None` where nothing is known to help.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.refused.filter(|_| self.taken > 0).map(|refused| self.taken.max(refused / 4))
    }

    /// The shortest body that was too large.
    pub(super) fn too_large(&self) -> Option<usize> {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_limited_until_something_is_refused() {
        let mut limit = SizeLimit::default();
        limit.taken(4_000);
        assert_eq!(limit.bytes(), None);
    }

    #[test]
    fn requests_start_at_the_longest_that_was_taken() {
        let mut limit = SizeLimit::default();
        limit.refused(4_000, true);
        limit.refused(2_000, false);
        assert_eq!(limit.bytes(), None, "perhaps nothing fits");
        limit.taken(1_010);
        limit.taken(990);
        assert_eq!((limit.bytes(), limit.too_large()), (Some(1_010), Some(2_000)));
        limit.taken(1_900);
        assert_eq!(limit.bytes(), Some(1_900));
    }

    #[test]
    fn one_item_that_is_too_large_does_not_make_requests_tiny() {
        let mut limit = SizeLimit::default();
        limit.refused(3_000_000, true);
        limit.taken(10);
        assert_eq!(limit.bytes(), Some(750_000));
    }

    #[test]
    fn an_endpoint_that_takes_less_than_it_did_is_believed_and_one_item_is_not() {
        let mut limit = SizeLimit::default();
        limit.taken(4_000);
        limit.refused(1_000, false);
        assert_eq!(limit.bytes(), None, "four times as much was taken");
        limit.refused(1_000, true);
        limit.taken(500);
        assert_eq!(limit.bytes(), Some(500));
        limit.taken(4_000);
        assert_eq!(limit.bytes(), None, "it takes more again");
    }
}
