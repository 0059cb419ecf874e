//! Runs the search against simulated endpoints. Each accepted item is sent once, each bad item is found, and the number
//! of requests stays small.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;

use super::*;

/// Returns a request of records, each with its number as the time and an event name of this length.
fn request(lengths: &[usize]) -> Part {
    let record = |(number, length): (usize, &usize)| LogRecord {
        time_unix_nano: number as u64,
        event_name: "x".repeat(*length),
        ..LogRecord::default()
    };
    let log_records = lengths.iter().enumerate().map(record).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    let body = Bytes::from(ExportLogsServiceRequest { resource_logs }.encode_to_vec());
    Part::whole(body, lengths.len() as u64)
}

/// Returns the numbers of the items in a part.
fn numbers(part: &Part) -> Vec<u32> {
    let request = ExportLogsServiceRequest::decode(part.body.clone()).expect("a request");
    let records = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs).flat_map(|s| &s.log_records);
    let numbers: Vec<u32> = records.map(|record| record.time_unix_nano as u32).collect();
    assert_eq!(numbers.len() as u64, part.items);
    numbers
}

#[derive(Debug, Default)]
struct Played {
    /// How often each item was accepted.
    taken: BTreeMap<u32, u32>,
    rejected: BTreeMap<u32, Refusal>,
    given_up: Option<(u64, GiveUpReason)>,
    requests: usize,
    unsent: usize,
}

/// Runs a search to its end. The endpoint gets the items of a part, and none for an empty request.
fn play(whole: &Part, first: Refusal, confirmed: bool, endpoint: impl Fn(&[u32], usize) -> PartOutcome) -> Played {
    let mut search = BadItemSearch::new(whole.clone(), first, confirmed);
    let mut played = Played::default();
    let mut outcomes = 0;
    loop {
        assert_eq!(search.rest(), whole.items - outcomes, "{search:?}");
        let step = search.next();
        match step {
            Step::SendEmpty => {
                played.requests += 1;
                search.answered(endpoint(&[], 0));
            }
            Step::Done => {
                assert_eq!(outcomes, whole.items);
                return played;
            }
            Step::Reject { part, refusal } => {
                assert_eq!(part.items, 1);
                outcomes += 1;
                assert_eq!(played.rejected.insert(numbers(&part)[0], refusal), None);
            }
            Step::RejectUnsent { items } => {
                played.unsent += items as usize;
                outcomes += items;
            }
            Step::RejectRest { items, why } => {
                assert_eq!(played.given_up.replace((items, why)), None);
                outcomes += items;
            }
            Step::Send(part) => {
                assert_eq!(search.next(), Step::Send(part.clone()), "the same until it is answered");
                played.requests += 1;
                let items = numbers(&part);
                let verdict = endpoint(&items, part.body.len());
                if verdict != PartOutcome::Refused(Refusal::Malformed)
                    && verdict != PartOutcome::Refused(Refusal::TooLarge)
                {
                    outcomes += part.items;
                    items.iter().for_each(|number| *played.taken.entry(*number).or_default() += 1);
                }
                search.answered(verdict);
            }
        }
        assert!(played.requests < 10_000, "{search:?}");
    }
}

fn all_but(rejected: &[u32], total: u32) -> BTreeMap<u32, u32> {
    (0..total).filter(|number| !rejected.contains(number)).map(|number| (number, 1)).collect()
}

const MALFORMED: PartOutcome = PartOutcome::Refused(Refusal::Malformed);
const TOO_LARGE: PartOutcome = PartOutcome::Refused(Refusal::TooLarge);

#[test]
fn one_bad_item_is_found_wherever_it_is_and_all_others_are_taken_once() {
    for total in 1..=33_u32 {
        let whole = request(&vec![8; total as usize]);
        for bad in 0..total {
            for confirmed in [true, false] {
                let endpoint = |items: &[u32], _| if items.contains(&bad) { MALFORMED } else { PartOutcome::Accepted };
                let played = play(&whole, Refusal::Malformed, confirmed, endpoint);
                assert_eq!(played.taken, all_but(&[bad], total));
                assert_eq!(played.rejected, BTreeMap::from([(bad, Refusal::Malformed)]));
                let levels = usize::BITS as usize - (total as usize - 1).leading_zeros() as usize;
                assert!(played.requests <= 2 * levels + 1, "{total}: {}", played.requests);
            }
        }
    }
}

#[test]
fn any_two_bad_items_are_found() {
    const TOTAL: u32 = 16;
    let whole = request(&[8; TOTAL as usize]);
    for bad in 0..TOTAL * TOTAL {
        let bad = [bad / TOTAL, bad % TOTAL];
        let endpoint = |items: &[u32], _| match bad.iter().any(|bad| items.contains(bad)) {
            true => MALFORMED,
            false => PartOutcome::Accepted,
        };
        let played = play(&whole, Refusal::Malformed, true, endpoint);
        assert_eq!((played.taken, played.given_up), (all_but(&bad, TOTAL), None), "{bad:?}");
        assert!(bad.iter().all(|bad| played.rejected[bad] == Refusal::Malformed));
    }
}

/// Tests every set of bad items, and every set of items that are too large, in a small request.
#[test]
fn every_item_gets_one_outcome_whatever_the_endpoint_refuses() {
    const TOTAL: u32 = 5;
    for bad in 0..1_u32 << TOTAL {
        for large in 0..1_u32 << TOTAL {
            let length = |number: u32| if large >> number & 1 == 1 { 400 } else { 8 };
            let whole = request(&(0..TOTAL).map(length).collect::<Vec<_>>());
            let endpoint = |items: &[u32], length: usize| match length {
                300.. => TOO_LARGE,
                _ if items.iter().any(|number| bad >> number & 1 == 1) => MALFORMED,
                _ => PartOutcome::Accepted,
            };
            let first = if whole.body.len() >= 300 { Refusal::TooLarge } else { Refusal::Malformed };
            // `play` checks that the outcomes add up.
            let played = play(&whole, first, false, endpoint);
            for number in 0..TOTAL {
                let (is_bad, is_large) = (bad >> number & 1 == 1, large >> number & 1 == 1);
                assert!(!played.taken.contains_key(&number) || !is_bad && !is_large);
                assert!(played.taken.get(&number).is_none_or(|times| *times == 1));
                if let Some(refusal) = played.rejected.get(&number) {
                    assert_eq!(*refusal == Refusal::TooLarge, is_large, "{number} of {bad:b} {large:b}");
                }
            }
            if bad == 0 {
                assert_eq!(played.given_up, None);
                assert_eq!(played.taken.len() as u32, TOTAL - large.count_ones());
            }
        }
    }
}

#[test]
fn what_is_too_large_together_fits_in_parts() {
    let whole = request(&[100; 64]);
    let most = whole.body.len() / 5;
    let endpoint = |_: &[u32], length| if length > most { TOO_LARGE } else { PartOutcome::Accepted };
    let played = play(&whole, Refusal::TooLarge, false, endpoint);
    assert_eq!((played.taken, played.rejected.len()), (all_but(&[], 64), 0));
    assert!(played.requests <= 8 + 2, "halves that are as long as refused ones are not sent: {}", played.requests);
}

#[test]
fn an_endpoint_that_nothing_fits_costs_few_requests() {
    let whole = request(&[100; 4_096]);
    let played = play(&whole, Refusal::TooLarge, false, |_, _| TOO_LARGE);
    assert_eq!((played.rejected.len() + played.unsent, played.given_up), (4_096, None));
    // One for each halving, one for each doubling of the number of unsent items, and a last one.
    assert!(played.requests <= 13 + 13 + 1, "{}", played.requests);
    assert_eq!(played.unsent, 4_096 - 1 - 13 - 1);
}

#[test]
fn an_endpoint_that_calls_everything_malformed_costs_few_requests() {
    let whole = request(&[8; 1_000]);
    let played = play(&whole, Refusal::Malformed, false, |_, _| MALFORMED);
    assert_eq!((played.requests, played.given_up), (3, Some((1_000, GiveUpReason::EmptyRefused))));
    let played = play(&whole, Refusal::Malformed, true, |_, _| MALFORMED);
    assert_eq!((played.requests, played.given_up), (10, Some((997, GiveUpReason::EverythingRefused))));
    let empty_only = |items: &[u32], _| if items.is_empty() { PartOutcome::Accepted } else { MALFORMED };
    let played = play(&whole, Refusal::Malformed, false, empty_only);
    assert_eq!((played.requests, played.given_up), (11, Some((997, GiveUpReason::EverythingRefused))));
    assert!(played.rejected.keys().eq(&[0, 1, 2]), "those that were tried alone");
}

#[test]
fn one_bad_item_is_found_where_no_empty_request_is_taken() {
    for bad in 0..500 {
        let whole = request(&[8; 500]);
        let endpoint = |items: &[u32], _| match items.is_empty() || items.contains(&bad) {
            true => MALFORMED,
            false => PartOutcome::Accepted,
        };
        let played = play(&whole, Refusal::Malformed, false, endpoint);
        assert_eq!((played.taken, played.given_up), (all_but(&[bad], 500), None));
    }
}

#[test]
fn a_limit_that_rises_again_costs_what_was_tried_only() {
    let whole = request(&[100; 256]);
    // No item fits in the first requests, and every item fits later.
    for busy in 0..40 {
        let left = std::cell::Cell::new(busy);
        let endpoint = |_: &[u32], _| match left.get() {
            0 => PartOutcome::Accepted,
            more => {
                left.set(more - 1);
                TOO_LARGE
            }
        };
        let played = play(&whole, Refusal::TooLarge, false, endpoint);
        // It was sent again after the limit had risen.
        if !played.taken.is_empty() {
            assert_eq!(played.unsent, 0, "{busy}");
            assert!(played.rejected.len() <= busy, "{busy}: {}", played.rejected.len());
            assert_eq!(played.taken.len() + played.rejected.len(), 256);
        }
        assert!(busy > 17 || !played.taken.is_empty(), "{busy}");
        assert!(played.requests < 100, "{busy}: {}", played.requests);
    }
}

#[test]
fn a_limit_that_falls_and_rises_loses_nothing_that_was_not_tried() {
    let whole = request(&[100; 64]);
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..200 {
        let seed = rng.u64(..);
        let limits = std::cell::RefCell::new(fastrand::Rng::with_seed(seed));
        let length = whole.body.len();
        let endpoint = |_: &[u32], sent| match sent > limits.borrow_mut().usize(length / 64 * 2..length) {
            true => TOO_LARGE,
            false => PartOutcome::Accepted,
        };
        // Two items always fit.
        let played = play(&whole, Refusal::TooLarge, false, endpoint);
        assert_eq!((played.taken, played.rejected.len()), (all_but(&[], 64), 0), "{seed}");
    }
}

#[test]
fn many_bad_items_do_not_take_the_good_ones_along() {
    const TOTAL: u32 = 256;
    let whole = request(&[8; TOTAL as usize]);
    let mut rng = fastrand::Rng::with_seed(13);
    for _ in 0..100 {
        let mut bad: Vec<u32> = (0..rng.usize(3..40)).map(|_| rng.u32(0..TOTAL)).collect();
        bad.sort_unstable();
        bad.dedup();
        let endpoint = |items: &[u32], _| match bad.iter().any(|bad| items.contains(bad)) {
            true => MALFORMED,
            false => PartOutcome::Accepted,
        };
        let played = play(&whole, Refusal::Malformed, true, endpoint);
        assert_eq!((played.taken, played.given_up), (all_but(&bad, TOTAL), None), "{bad:?}");
    }
}

#[test]
fn parts_that_get_another_outcome_are_done_with() {
    let whole = request(&[8; 10]);
    let endpoint = |items: &[u32], _| match items {
        items if items.contains(&2) => MALFORMED,
        items if items.contains(&7) => PartOutcome::Settled,
        _ => PartOutcome::Accepted,
    };
    let played = play(&whole, Refusal::Malformed, true, endpoint);
    assert_eq!(played.rejected.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(played.taken, all_but(&[2], 10));
}

#[test]
fn bytes_that_cannot_be_cut_are_rejected_whole() {
    let part = Part::whole(Bytes::from_static(b"<html>"), 7);
    let mut search = BadItemSearch::new(part.clone(), Refusal::TooLarge, true);
    assert_eq!(search.next(), Step::Reject { part, refusal: Refusal::TooLarge });
    assert_eq!((search.next(), search.rest()), (Step::Done, 0));
}
