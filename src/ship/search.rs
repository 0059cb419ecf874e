//! The search for what an endpoint does not take in a request that it has refused: the request is halved, and halved
//! again. Pure: it says what to send next and is told the answer.
//!
//! Constraints:
//! * An item is in one part at a time, and a part that met its fate is never sent again.
//! * Both halves are tried before either is halved. Where both are called malformed twice in a row, and then some single
//!   items too, it is the endpoint and not an item.
//! * The parts together hold what the request held: a part is let go of when it has been cut.
//! * For a malformed request something of the kind must have been taken before, be it an empty request.
//! * What is no shorter than a body that this search has seen refused as too large is not sent: where nothing fits, the
//!   requests grow with the logarithm of the items only.

use bytes::Bytes;

use crate::otlp::cut;

/// So many times in a row both halves of something were called malformed: it seems to be the endpoint.
const STRIKES: u32 = 2;
/// So many single items are tried then, so that several bad ones do not take the good ones along.
const SAMPLES: u32 = 3;

/// Some items of the request, as a request of their own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) body: Bytes,
    pub(super) items: u64,
}

impl Part {
    /// The first items by themselves, and the others; `None` where the bytes cannot be cut.
    fn split(&self, first: u64) -> Option<[Self; 2]> {
        let part = |range: std::ops::Range<u64>| {
            let body = Bytes::from(cut(&self.body, &range)?);
            Some(Self { body, items: range.end - range.start })
        };
        Some([part(0..first)?, part(first..self.items)?])
    }
}

/// Why a part was refused, as far as it helps to halve it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    Malformed,
    TooLarge,
}

/// What the endpoint said to what was sent last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Refused(Refusal),
    /// The items met another fate.
    Settled,
    /// The endpoint took it.
    Taken,
}

/// Why all that is left is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hopeless {
    /// Nothing was ever taken, and an empty request is not either.
    EmptyRefused,
    /// Both halves were refused, twice in a row, and some single items too.
    EverythingRefused,
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Send an empty request.
    Ask,
    /// All items have met their fates.
    Done,
    /// This part is what the endpoint does not take: one item, but for bytes that could not be cut.
    Reject { part: Part, refusal: Refusal },
    /// These items are given up together.
    RejectRest { items: u64, why: Hopeless },
    /// Send this part.
    Send(Part),
}

#[derive(Debug)]
pub(super) struct Search {
    /// Halves of the same part that are to be sent, the next one last.
    halves: Vec<Part>,
    /// Those of them that were sent and refused, in order.
    refused: Vec<(Part, Refusal)>,
    /// Refused before, and not halved yet; the next one last.
    suspects: Vec<(Part, Refusal)>,
    /// Whether the halves of a part are being tried.
    is_trying: bool,
    /// How many times in a row both halves were called malformed.
    strikes: u32,
    /// Whether something of the kind was taken; unknown until an empty request is asked with.
    may_bisect: Option<bool>,
    /// The shortest body that was called too large in this search.
    too_large: usize,
}

impl Search {
    /// A search in a request that was refused. `confirmed` says whether the endpoint has ever taken one.
    pub(super) fn new(request: Part, refusal: Refusal, confirmed: bool) -> Self {
        let too_large = if refusal == Refusal::TooLarge { request.body.len() } else { usize::MAX };
        Self {
            halves: Vec::new(),
            refused: Vec::new(),
            suspects: vec![(request, refusal)],
            is_trying: false,
            strikes: 0,
            may_bisect: confirmed.then_some(true),
            too_large,
        }
    }

    /// What to do next. The same again while nothing was [answered](Self::answered) to it.
    pub(super) fn next(&mut self) -> Step {
        loop {
            while let Some(part) = self.halves.pop() {
                if part.body.len() >= self.too_large {
                    self.refused.push((part, Refusal::TooLarge));
                } else {
                    self.halves.push(part.clone());
                    return Step::Send(part);
                }
            }
            self.judge();
            let Some((part, refusal)) = self.suspects.pop() else { return Step::Done };
            if part.items <= 1 {
                return Step::Reject { part, refusal };
            }
            if self.strikes >= STRIKES + SAMPLES {
                self.suspects.push((part, refusal));
                return self.give_up(Hopeless::EverythingRefused);
            }
            if refusal == Refusal::Malformed && self.may_bisect != Some(true) {
                self.suspects.push((part, refusal));
                return if self.may_bisect.is_none() { Step::Ask } else { self.give_up(Hopeless::EmptyRefused) };
            }
            let first = if self.strikes >= STRIKES { 1 } else { part.items / 2 };
            let Some([first, second]) = part.split(first) else { return Step::Reject { part, refusal } };
            self.halves = vec![second, first];
            self.is_trying = true;
        }
    }

    /// The answer to what was sent, or to what was asked.
    pub(super) fn answered(&mut self, verdict: Verdict) {
        let Some(part) = self.halves.pop() else {
            self.may_bisect = Some(verdict == Verdict::Taken);
            return;
        };
        match verdict {
            Verdict::Refused(refusal) => {
                if refusal == Refusal::TooLarge {
                    self.too_large = self.too_large.min(part.body.len());
                }
                self.refused.push((part, refusal));
            }
            Verdict::Settled => {}
            Verdict::Taken => self.may_bisect = Some(true),
        }
    }

    /// How many items have not met their fates.
    pub(super) fn rest(&self) -> u64 {
        let refused = self.refused.iter().chain(&self.suspects).map(|(part, _)| part.items);
        self.halves.iter().map(|part| part.items).chain(refused).sum()
    }

    /// Where both halves have been tried: what was refused is suspect, the first one first.
    fn judge(&mut self) {
        if std::mem::take(&mut self.is_trying) {
            let malformed = self.refused.iter().filter(|(_, refusal)| *refusal == Refusal::Malformed).count();
            self.strikes = if malformed == 2 { self.strikes + 1 } else { 0 };
            self.suspects.extend(self.refused.drain(..).rev());
        }
    }

    fn give_up(&mut self, why: Hopeless) -> Step {
        let items = self.rest();
        self.suspects.clear();
        self.strikes = 0;
        Step::RejectRest { items, why }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
