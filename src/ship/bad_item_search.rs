//! Searches a refused request for the items that the endpoint does not accept, by halving it repeatedly. Pure: it
//! returns the next request to send, and receives the answer.
//!
//! Constraints:
//! * An item is in one part at a time, and a part that has an outcome is never sent again.
//! * Both halves are sent before either is halved again. If both are refused as malformed twice in a row, and then some
//!   single items too, the endpoint is at fault, not an item.
//! * The parts together hold no more than the request: a part is released once it has been cut.
//! * Before a malformed request is halved, the endpoint should have accepted something, be it an empty request.
//!   Otherwise only two halves are sent. If it refuses both, the endpoint seems to be at fault.
//! * A part is not sent if it is no shorter than a body that was too large in this search. So if nothing fits, the
//!   number of requests grows only with the logarithm of the number of items.
//! * The limit may rise during the search. So such an item is sent occasionally, and unsent items wait until the end:
//!   if the endpoint accepts one, it may accept the others too. After several accepted parts in a row, longer ones are
//!   tried again.

use std::ops::Range;

use bytes::Bytes;

use crate::otlp::retain_items;

/// After this many consecutive refusals of both halves as malformed, the endpoint is suspected.
const MAX_REFUSED_PAIRS: u32 = 2;
/// The number of single items to send then, so that a few bad items do not condemn the good ones.
const SAMPLES: u32 = 3;

/// After this many accepted parts in a row, something that seemed too large is sent again.
const PROBE_INTERVAL: u32 = 8;

/// Some items of the request, as a separate request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) body: Bytes,
    pub(super) items: u64,
    /// How many items of the request come before it.
    pub(super) offset: u64,
}

impl Part {
    /// Creates a part of all items.
    pub(super) fn whole(body: Bytes, items: u64) -> Self {
        Self { body, items, offset: 0 }
    }

    /// Returns some of the items, or `None` if the bytes cannot be cut.
    fn cut(&self, range: Range<u64>) -> Option<Self> {
        let body = Bytes::from(retain_items(&self.body, &range)?);
        Some(Self { body, items: range.end - range.start, offset: self.offset + range.start })
    }

    /// Splits the part after `first` items. Returns `None` if the bytes cannot be cut.
    fn split(&self, first: u64) -> Option<[Self; 2]> {
        Some([self.cut(0..first)?, self.cut(first..self.items)?])
    }
}

/// Why a part was refused, if halving it may help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    Malformed,
    TooLarge,
}

/// The endpoint's answer to the last part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PartOutcome {
    Refused(Refusal),
    /// The items got another outcome.
    Settled,
    Accepted,
}

/// A part that was refused, or is no shorter than one that was too large.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Suspect {
    part: Part,
    refusal: Refusal,
    /// Whether the part itself was sent.
    was_sent: bool,
}

/// Why the search gives up on all remaining items.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum GiveUpReason {
    /// The endpoint never accepted anything, and refuses an empty request and both halves.
    EmptyRefused,
    /// The endpoint refused both halves several times in a row, and some single items too.
    EverythingRefused,
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Send an empty request.
    SendEmpty,
    /// All items have an outcome.
    Done,
    /// The endpoint does not accept this part: one item, unless the bytes cannot be cut.
    Reject { part: Part, refusal: Refusal },
    /// These items were not sent, because they are no smaller than one that was too large.
    RejectUnsent { items: u64 },
    /// The search gives up on all these items.
    RejectRest { items: u64, why: GiveUpReason },
    /// Send this part.
    Send(Part),
}

/// The state of a search in one request.
#[derive(Debug)]
pub(super) struct BadItemSearch {
    /// Halves of one part that are to be sent, the next one last.
    halves: Vec<Part>,
    /// The refused ones of these halves, in order.
    refused: Vec<Suspect>,
    /// Parts that were refused and not halved yet, the next one last.
    suspects: Vec<Suspect>,
    whole: Part,
    /// Offsets of items that seem too large and were not sent.
    unsent: Vec<u64>,
    /// The number of unsent items at which the next one is sent anyway.
    probe_at: usize,
    /// Whether the part to send now is such an item.
    is_probe: bool,
    /// Whether one was sent after all other items got their outcome.
    is_last_probe: bool,
    /// Whether the halves of a part are being sent.
    is_sending_halves: bool,
    /// How many times in a row both halves were refused as malformed.
    refused_pairs: u32,
    /// Whether the endpoint ever accepted anything; `None` until an empty request was sent.
    may_bisect: Option<bool>,
    /// The shortest body that was too large in this search. Doubled after each `probe_interval`.
    too_large: usize,
    /// How many parts were accepted in a row.
    accepted: u32,
    /// After this many accepted parts, something larger is sent again. Doubled each time.
    probe_interval: u32,
}

impl BadItemSearch {
    /// Starts a search in a refused request. `confirmed` if the endpoint has ever accepted one.
    pub(super) fn new(request: Part, refusal: Refusal, confirmed: bool) -> Self {
        let too_large = if refusal == Refusal::TooLarge { request.body.len() } else { usize::MAX };
        Self {
            halves: Vec::new(),
            refused: Vec::new(),
            suspects: vec![Suspect { part: request.clone(), refusal, was_sent: true }],
            whole: request,
            unsent: Vec::new(),
            probe_at: 0,
            is_probe: false,
            is_last_probe: false,
            is_sending_halves: false,
            refused_pairs: 0,
            may_bisect: confirmed.then_some(true),
            too_large,
            accepted: 0,
            probe_interval: PROBE_INTERVAL,
        }
    }

    /// Returns the next step, and the same step again until it is [answered](Self::answered).
    pub(super) fn next(&mut self) -> Step {
        loop {
            while let Some(part) = self.halves.pop() {
                if part.body.len() >= self.too_large && !self.is_probe {
                    self.refused.push(Suspect { part, refusal: Refusal::TooLarge, was_sent: false });
                } else {
                    self.halves.push(part.clone());
                    return Step::Send(part);
                }
            }
            self.collect_refused();
            let Some(suspect) = self.suspects.pop() else {
                // Sends one of the unsent items, once.
                if !std::mem::replace(&mut self.is_last_probe, true)
                    && let Some(part) = self.unsent.last().and_then(|first| self.whole.cut(*first..first + 1))
                {
                    self.unsent.pop();
                    self.halves.push(part);
                    (self.is_sending_halves, self.is_probe) = (true, true);
                    continue;
                }
                return match std::mem::take(&mut self.unsent).len() {
                    0 => Step::Done,
                    items => Step::RejectUnsent { items: items as u64 },
                };
            };
            let Suspect { part, refusal, was_sent } = suspect;
            if !was_sent && self.should_send(&part) {
                self.halves.push(part);
                self.is_sending_halves = true;
                continue;
            }
            if part.items <= 1 {
                if was_sent {
                    return Step::Reject { part, refusal };
                }
                self.unsent.push(part.offset);
                continue;
            }
            let give_up_reason = match refusal {
                _ if self.refused_pairs >= MAX_REFUSED_PAIRS + SAMPLES => Some(GiveUpReason::EverythingRefused),
                Refusal::Malformed if self.may_bisect == Some(false) && self.refused_pairs > 0 => {
                    Some(GiveUpReason::EmptyRefused)
                }
                _ => None,
            };
            if give_up_reason.is_some() || (refusal == Refusal::Malformed && self.may_bisect.is_none()) {
                self.suspects.push(Suspect { part, refusal, was_sent });
                return give_up_reason.map_or(Step::SendEmpty, |why| self.give_up(why));
            }
            let first = if self.refused_pairs >= MAX_REFUSED_PAIRS { 1 } else { part.items / 2 };
            let Some([first, second]) = part.split(first) else { return Step::Reject { part, refusal } };
            self.halves = vec![second, first];
            self.is_sending_halves = true;
        }
    }

    /// Whether to send a part that was not sent because it seemed too large.
    fn should_send(&mut self, part: &Part) -> bool {
        if part.body.len() < self.too_large {
            return true;
        }
        self.is_probe = part.items <= 1 && self.unsent.len() >= self.probe_at;
        if self.is_probe {
            self.probe_at = (2 * self.probe_at).max(1);
        }
        self.is_probe
    }

    /// Takes the answer to the last step.
    pub(super) fn answered(&mut self, outcome: PartOutcome) {
        let Some(part) = self.halves.pop() else {
            self.may_bisect = Some(outcome == PartOutcome::Accepted);
            return;
        };
        self.is_probe = false;
        match outcome {
            PartOutcome::Refused(refusal) => {
                if refusal == Refusal::TooLarge {
                    self.too_large = self.too_large.min(part.body.len());
                    self.accepted = 0;
                }
                self.refused.push(Suspect { part, refusal, was_sent: true });
            }
            PartOutcome::Settled => {}
            PartOutcome::Accepted => {
                self.may_bisect = Some(true);
                self.accepted += 1;
                if self.accepted == self.probe_interval {
                    self.too_large = self.too_large.saturating_mul(2);
                    self.accepted = 0;
                    self.probe_interval *= 2;
                }
                if part.body.len() >= self.too_large {
                    // The limit has risen, so earlier refusals are no longer relevant.
                    self.too_large = usize::MAX;
                    self.probe_at = 0;
                    self.is_last_probe = false;
                    self.retry_unsent();
                }
            }
        }
    }

    /// Sends the unsent items again, neighbors together.
    fn retry_unsent(&mut self) {
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.sort_unstable();
        for together in unsent.chunk_by(|one, next| one + 1 == *next) {
            let first = together.first().copied().unwrap_or_default();
            let range = first..first + together.len() as u64;
            match self.whole.cut(range) {
                Some(part) => self.suspects.push(Suspect { part, refusal: Refusal::TooLarge, was_sent: false }),
                // Unreachable, because the items were cut before.
                None => self.unsent.extend_from_slice(together),
            }
        }
    }

    /// Returns how many items have no outcome.
    pub(super) fn rest(&self) -> u64 {
        let refused = self.refused.iter().chain(&self.suspects).map(|suspect| &suspect.part);
        self.halves.iter().chain(refused).map(|part| part.items).sum::<u64>() + self.unsent.len() as u64
    }

    /// After both halves were sent, makes the refused ones suspects, the first one first.
    fn collect_refused(&mut self) {
        if std::mem::take(&mut self.is_sending_halves) {
            let malformed = self.refused.iter().filter(|suspect| suspect.refusal == Refusal::Malformed).count();
            self.refused_pairs = if malformed == 2 { self.refused_pairs + 1 } else { 0 };
            self.suspects.extend(self.refused.drain(..).rev());
        }
    }

    fn give_up(&mut self, why: GiveUpReason) -> Step {
        let items = self.rest();
        self.suspects.clear();
        self.unsent.clear();
        self.refused_pairs = 0;
        Step::RejectRest { items, why }
    }
}

#[cfg(test)]
#[path = "bad_item_search_tests.rs"]
mod tests;
