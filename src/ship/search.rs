//! The search for what an endpoint does not take in a request that it has refused: the request is halved, and halved
//! again. Pure: it says what to send next and is told the answer.
//!
//! Constraints:
//! * An item is in one part at a time, and a part that met its fate is never sent again.
//! * Both halves are tried before either is halved. Where both are called malformed twice in a row, and then some single
//!   items too, it is the endpoint and not an item.
//! * The parts together hold what the request held: a part is let go of when it has been cut.
//! * For a malformed request something of the kind should have been taken before, be it an empty request. Else two halves
//!   are all that is tried: where neither is taken, it seems to be the endpoint too.
//! * What is no shorter than a body that this search has seen refused as too large is not sent: where nothing fits, the
//!   requests grow with the logarithm of the items only. A limit may rise meanwhile, so that one such item is tried now
//!   and then, and those that were not wait to the end: where one is taken, so may they be. Where parts are taken in a row,
//!   longer ones are tried again.

use std::ops::Range;

use bytes::Bytes;

use crate::otlp::retain_items;

/// So many times in a row both halves of something were called malformed: it seems to be the endpoint.
const STRIKES: u32 = 2;
/// So many single items are tried then, so that several bad ones do not take the good ones along.
const SAMPLES: u32 = 3;

/// So many parts are taken in a row before something that seemed too large is tried again.
const PATIENCE: u32 = 8;

/// Some items of the request, as a request of their own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) body: Bytes,
    pub(super) items: u64,
    /// How many items of the request are in front of it.
    pub(super) offset: u64,
}

impl Part {
    /// A request as a whole.
    pub(super) fn whole(body: Bytes, items: u64) -> Self {
        Self { body, items, offset: 0 }
    }

    /// Some of its items; `None` where the bytes cannot be cut.
    fn cut(&self, range: Range<u64>) -> Option<Self> {
        let body = Bytes::from(retain_items(&self.body, &range)?);
        Some(Self { body, items: range.end - range.start, offset: self.offset + range.start })
    }

    /// The first items by themselves, and the others; `None` where the bytes cannot be cut.
    fn split(&self, first: u64) -> Option<[Self; 2]> {
        Some([self.cut(0..first)?, self.cut(first..self.items)?])
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

/// A part that was refused, or is no shorter than one that was.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Suspect {
    part: Part,
    refusal: Refusal,
    /// Whether it was sent itself.
    is_tried: bool,
}

/// Why all that is left is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hopeless {
    /// Nothing was ever taken, and neither an empty request nor one of two halves is.
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
    /// So many items are no smaller than one that was too large, and were not tried.
    RejectUntried { items: u64 },
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
    refused: Vec<Suspect>,
    /// Refused before, and not halved yet; the next one last.
    suspects: Vec<Suspect>,
    whole: Part,
    /// Items that seem too large and were not tried: how many are in front of each.
    untried: Vec<u64>,
    /// How many of them there are when the next one is tried all the same.
    probe_at: usize,
    /// Whether what is to be sent now is one of those that are tried all the same.
    is_probe: bool,
    /// Whether one was tried after all else had met its fate.
    is_last_probe: bool,
    /// Whether the halves of a part are being tried.
    is_trying: bool,
    /// How many times in a row both halves were called malformed.
    strikes: u32,
    /// Whether something of the kind was taken; unknown until an empty request is asked with.
    may_bisect: Option<bool>,
    /// The shortest body that was called too large in this search, or twice that: see `patience`.
    too_large: usize,
    /// How many parts were taken in a row.
    taken: u32,
    /// After so many, something larger is tried again, and the next time after twice as many.
    patience: u32,
}

impl Search {
    /// A search in a request that was refused. `confirmed` says whether the endpoint has ever taken one.
    pub(super) fn new(request: Part, refusal: Refusal, confirmed: bool) -> Self {
        let too_large = if refusal == Refusal::TooLarge { request.body.len() } else { usize::MAX };
        Self {
            halves: Vec::new(),
            refused: Vec::new(),
            suspects: vec![Suspect { part: request.clone(), refusal, is_tried: true }],
            whole: request,
            untried: Vec::new(),
            probe_at: 0,
            is_probe: false,
            is_last_probe: false,
            is_trying: false,
            strikes: 0,
            may_bisect: confirmed.then_some(true),
            too_large,
            taken: 0,
            patience: PATIENCE,
        }
    }

    /// What to do next. The same again while nothing was [answered](Self::answered) to it.
    pub(super) fn next(&mut self) -> Step {
        loop {
            while let Some(part) = self.halves.pop() {
                if part.body.len() >= self.too_large && !self.is_probe {
                    self.refused.push(Suspect { part, refusal: Refusal::TooLarge, is_tried: false });
                } else {
                    self.halves.push(part.clone());
                    return Step::Send(part);
                }
            }
            self.judge();
            let Some(suspect) = self.suspects.pop() else {
                // One of them for the last time.
                if !std::mem::replace(&mut self.is_last_probe, true)
                    && let Some(part) = self.untried.last().and_then(|first| self.whole.cut(*first..first + 1))
                {
                    self.untried.pop();
                    self.halves.push(part);
                    (self.is_trying, self.is_probe) = (true, true);
                    continue;
                }
                return match std::mem::take(&mut self.untried).len() {
                    0 => Step::Done,
                    items => Step::RejectUntried { items: items as u64 },
                };
            };
            let Suspect { part, refusal, is_tried } = suspect;
            if !is_tried && self.is_worth_a_try(&part) {
                self.halves.push(part);
                self.is_trying = true;
                continue;
            }
            if part.items <= 1 {
                if is_tried {
                    return Step::Reject { part, refusal };
                }
                self.untried.push(part.offset);
                continue;
            }
            let hopeless = match refusal {
                _ if self.strikes >= STRIKES + SAMPLES => Some(Hopeless::EverythingRefused),
                Refusal::Malformed if self.may_bisect == Some(false) && self.strikes > 0 => {
                    Some(Hopeless::EmptyRefused)
                }
                _ => None,
            };
            if hopeless.is_some() || (refusal == Refusal::Malformed && self.may_bisect.is_none()) {
                self.suspects.push(Suspect { part, refusal, is_tried });
                return hopeless.map_or(Step::Ask, |why| self.give_up(why));
            }
            let first = if self.strikes >= STRIKES { 1 } else { part.items / 2 };
            let Some([first, second]) = part.split(first) else { return Step::Reject { part, refusal } };
            self.halves = vec![second, first];
            self.is_trying = true;
        }
    }

    /// Whether to send something after all that was not sent because it seemed too large.
    fn is_worth_a_try(&mut self, part: &Part) -> bool {
        if part.body.len() < self.too_large {
            return true;
        }
        self.is_probe = part.items <= 1 && self.untried.len() >= self.probe_at;
        if self.is_probe {
            self.probe_at = (2 * self.probe_at).max(1);
        }
        self.is_probe
    }

    /// The answer to what was sent, or to what was asked.
    pub(super) fn answered(&mut self, verdict: Verdict) {
        let Some(part) = self.halves.pop() else {
            self.may_bisect = Some(verdict == Verdict::Taken);
            return;
        };
        self.is_probe = false;
        match verdict {
            Verdict::Refused(refusal) => {
                if refusal == Refusal::TooLarge {
                    self.too_large = self.too_large.min(part.body.len());
                    self.taken = 0;
                }
                self.refused.push(Suspect { part, refusal, is_tried: true });
            }
            Verdict::Settled => {}
            Verdict::Taken => {
                self.may_bisect = Some(true);
                self.taken += 1;
                if self.taken == self.patience {
                    self.too_large = self.too_large.saturating_mul(2);
                    self.taken = 0;
                    self.patience *= 2;
                }
                if part.body.len() >= self.too_large {
                    // The limit has risen: what was refused before says nothing any more.
                    self.too_large = usize::MAX;
                    self.probe_at = 0;
                    self.is_last_probe = false;
                    self.try_untried();
                }
            }
        }
    }

    /// What was not tried is to be, as much at once as stood together.
    fn try_untried(&mut self) {
        let mut untried = std::mem::take(&mut self.untried);
        untried.sort_unstable();
        for together in untried.chunk_by(|one, next| one + 1 == *next) {
            let first = together.first().copied().unwrap_or_default();
            let range = first..first + together.len() as u64;
            match self.whole.cut(range) {
                Some(part) => self.suspects.push(Suspect { part, refusal: Refusal::TooLarge, is_tried: false }),
                // It could be cut when it was found.
                None => self.untried.extend_from_slice(together),
            }
        }
    }

    /// How many items have not met their fates.
    pub(super) fn rest(&self) -> u64 {
        let refused = self.refused.iter().chain(&self.suspects).map(|suspect| &suspect.part);
        self.halves.iter().chain(refused).map(|part| part.items).sum::<u64>() + self.untried.len() as u64
    }

    /// Where both halves have been tried: what was refused is suspect, the first one first.
    fn judge(&mut self) {
        if std::mem::take(&mut self.is_trying) {
            let malformed = self.refused.iter().filter(|suspect| suspect.refusal == Refusal::Malformed).count();
            self.strikes = if malformed == 2 { self.strikes + 1 } else { 0 };
            self.suspects.extend(self.refused.drain(..).rev());
        }
    }

    fn give_up(&mut self, why: Hopeless) -> Step {
        let items = self.rest();
        self.suspects.clear();
        self.untried.clear();
        self.strikes = 0;
        Step::RejectRest { items, why }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
