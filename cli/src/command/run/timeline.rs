//! Counts over time.

use std::time::Duration;

/// Counts in intervals of equal width. The width doubles when the maximum number of intervals is reached.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) width: Duration,
    /// Counts by level, followed by spans.
    pub(super) bars: Vec<[u64; Self::KINDS]>,
}

impl Timeline {
    pub(super) const KINDS: usize = 8;
    /// The index of spans, after the levels.
    pub(super) const SPANS: usize = 7;
    const MAX_BARS: usize = 120;

    pub(super) fn new() -> Self {
        Self { width: Duration::from_millis(50), bars: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Duration, kind: usize) {
        let bar = loop {
            let bar = (at.as_nanos() / self.width.as_nanos().max(1)) as usize;
            if bar < Self::MAX_BARS {
                break bar;
            }
            self.width *= 2;
            let pairs = self.bars.chunks(2);
            self.bars = pairs
                .map(|pair| std::array::from_fn(|kind| pair.iter().filter_map(|bar| bar.get(kind)).sum()))
                .collect();
        };
        if self.bars.len() <= bar {
            self.bars.resize(bar + 1, [0; Self::KINDS]);
        }
        if let Some(number) = self.bars.get_mut(bar).and_then(|bar| bar.get_mut(kind)) {
            *number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_become_wider_and_nothing_is_lost() {
        let mut timeline = Timeline::new();
        for second in 0..600 {
            timeline.add(Duration::from_secs(second), 3);
        }
        assert!(timeline.bars.len() <= Timeline::MAX_BARS, "{}", timeline.bars.len());
        assert_eq!(timeline.bars.iter().map(|bar| bar[3]).sum::<u64>(), 600);
        assert!(timeline.bars.len() as u32 * timeline.width >= Duration::from_secs(599));
    }
}
