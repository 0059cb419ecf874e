//! A request that is too large is sent in parts, and a request with a bad item is searched for it. Every item that the
//! endpoint accepts arrives once, and every other item is counted and named.

#![allow(clippy::expect_used)] // A test may panic.

use std::time::{Duration, Instant};

use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, DropReason, LevelFilter, Otlp, OtlpCounters, RejectReason};
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::undelivered::undelivered;

const LONG: Duration = Duration::from_secs(20);

/// Nothing is sent before a flush asks for it, so that it is known what is in a request.
fn builder(receiver: &Receiver) -> Builder {
    let mut builder = Builder::new();
    builder
        .service_name("split")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .schedule_delay(Duration::from_secs(3_600));
    builder
}

fn bridge(receiver: &Receiver) -> Bridge {
    builder(receiver).build().expect("builds")
}

fn write(bridge: &Bridge, text: &str) {
    let args = format_args!("{text}");
    let record = log::Record::builder().args(args).level(log::Level::Error).target("shop::db").build();
    bridge.logger().log(&record);
}

fn write_numbers(bridge: &Bridge, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| write(bridge, &format!("record {number}")));
}

/// One record is confirmed, so that the endpoint is one that takes records.
fn warm_up(bridge: &Bridge) {
    write(bridge, "the first");
    bridge.flush(LONG).expect("delivered");
}

fn otlp(bridge: &Bridge) -> OtlpCounters {
    let otlp = bridge.report().counters.otlp;
    let fates = otlp.delivered + otlp.unconfirmed + otlp.lost() + otlp.pending;
    assert_eq!(otlp.accepted, fates, "{otlp:?}");
    otlp
}

/// Every one of these records arrived, once.
#[track_caller]
fn assert_arrived(receiver: &Receiver, numbers: impl Iterator<Item = u32>) {
    let mut arrived: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    arrived.retain(|message| message.starts_with("record "));
    arrived.sort();
    let mut expected: Vec<String> = numbers.map(|number| format!("record {number}")).collect();
    expected.sort();
    assert_eq!(arrived, expected);
}

/// What was said about this receiver: the tests of this file share one voice.
fn notices(bridge: &Bridge, receiver: &Receiver) -> String {
    let notices = bridge.report().notices;
    notices.into_iter().filter(|notice| notice.contains(&receiver.endpoint())).collect::<Vec<_>>().join("\n")
}

fn busy() -> Answer {
    Answer::status(503)
}

fn poison() -> Answer {
    Answer::Poison("bad".to_owned())
}

#[test]
fn what_is_too_large_is_sent_in_parts_and_the_limit_is_remembered() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(Answer::MaxBytes(20_000));
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..1_000);
    bridge.flush(LONG).expect("all of them fit in parts");
    let first = receiver.requests();
    assert!(first.iter().any(|request| request.status == Some(413)), "one request was too large");
    write_numbers(&bridge, 1_000..2_000);
    bridge.flush(LONG).expect("all of them fit");
    let requests = receiver.requests();
    let largest = first.iter().filter(|request| request.stored).map(|request| request.body_bytes).max();
    for request in &requests[first.len()..] {
        assert!(request.stored && Some(request.body_bytes) <= largest, "{request:?}: {largest:?}");
    }
    assert!(requests.len() - first.len() < 60, "requests are filled up to the limit");
    assert_arrived(&receiver, 0..2_000);
    assert_eq!((otlp(&bridge).delivered, otlp(&bridge).lost()), (2_000, 0));
    let notices = notices(&bridge, &receiver);
    let said = format!("{}/v1/logs refuses logs in requests of ", receiver.endpoint());
    assert_eq!(notices.matches(&said).count(), 1, "{notices}");
}

#[test]
fn one_record_that_is_too_large_is_lost_alone_and_named() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(Answer::MaxBytes(20_000));
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..5);
    write(&bridge, &"large ".repeat(10_000));
    write_numbers(&bridge, 5..10);
    let error = bridge.flush(LONG).expect_err("one is lost");
    assert_eq!(
        (undelivered(&error).logs.lost(), undelivered(&error).logs.rejected, undelivered(&error).logs.dropped),
        (1, 1, 0),
        "{error:?}"
    );
    assert_arrived(&receiver, 0..10);
    assert_eq!(otlp(&bridge).rejected, [(RejectReason::TooLarge, 1)]);
    let notices = notices(&bridge, &receiver);
    let named = format!("it is ERROR of shop::db: \"{}\"", &"large ".repeat(100)[..200]);
    assert!(notices.contains("lost: 1 record") && notices.contains("413") && notices.contains(&named), "{notices}");
}

#[test]
fn a_poison_record_is_found_dropped_and_named_and_all_others_arrive() {
    for is_warm in [true, false] {
        let receiver = Receiver::start().expect("a receiver");
        receiver.answer_always(poison());
        let bridge = bridge(&receiver);
        if is_warm {
            warm_up(&bridge);
        }
        write_numbers(&bridge, 0..300);
        write(&bridge, "a bad one");
        write_numbers(&bridge, 300..1_000);
        assert_eq!(undelivered(&bridge.flush(LONG).expect_err("one is lost")).logs.rejected, 1);
        assert_arrived(&receiver, 0..1_000);
        assert_eq!(otlp(&bridge).rejected, [(RejectReason::Malformed, 1)]);
        let empty = receiver.requests().iter().filter(|request| request.body_bytes == 0).count();
        assert_eq!(empty, usize::from(!is_warm), "it is asked only where nothing was confirmed");
        assert!(receiver.requests().len() < 25, "{}", receiver.requests().len());
        let notices = notices(&bridge, &receiver);
        let named =
            "it could not read the request): \"cannot read one of the items\"; it is ERROR of shop::db: \"a bad one\"";
        assert!(notices.contains("lost: 1 record, which ") && notices.contains(named), "{notices}");
    }
}

#[test]
fn an_endpoint_that_refuses_everything_is_not_asked_about_each_record() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    warm_up(&bridge);
    receiver.answer_always(Answer::status(400));
    write_numbers(&bridge, 0..1_000);
    assert_eq!(undelivered(&bridge.flush(LONG).expect_err("all are lost")).logs.rejected, 1_000);
    assert!(receiver.requests().len() <= 12, "{}", receiver.requests().len());
    assert_eq!(otlp(&bridge).rejected, [(RejectReason::Malformed, 1_000)]);
    let notices = notices(&bridge, &receiver);
    assert!(
        notices.contains("it refused every part of them that was sent, so the endpoint seems to be at fault"),
        "{notices}"
    );
}

#[test]
fn what_may_pass_in_the_middle_delays_the_search_and_nothing_is_sent_twice() {
    for middle in [busy(), Answer::Reset] {
        let receiver = Receiver::start().expect("a receiver");
        // The whole, an empty one, a half; then three times what passes; and so on in the same place.
        let plan = [poison(), middle.clone(), poison(), poison(), middle.clone(), middle, poison()];
        receiver.answer_with(plan);
        let bridge = bridge(&receiver);
        write_numbers(&bridge, 0..50);
        write(&bridge, "a bad one");
        assert_eq!(undelivered(&bridge.flush(LONG).expect_err("one is lost")).logs.lost(), 1);
        assert_arrived(&receiver, 0..50);
        assert_eq!((otlp(&bridge).delivered, otlp(&bridge).pending), (50, 0));
    }
}

#[test]
fn a_shutdown_in_the_middle_counts_what_was_delivered_as_delivered() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    warm_up(&bridge);
    // The whole, the first half, the second half; the second half's first one and all after it never.
    let bad = Answer::status(400);
    receiver.answer_with([bad.clone(), Answer::Ok, bad, busy()]);
    write_numbers(&bridge, 0..100);
    assert!(
        bridge
            .flush(Duration::from_millis(300))
            .is_err_and(|error| error.is_timeout() && undelivered(&error).logs.pending == 50)
    );
    assert_eq!((otlp(&bridge).delivered, otlp(&bridge).pending), (51, 50), "counted as soon as it is confirmed");
    let start = Instant::now();
    let error = bridge.shutdown(Duration::from_millis(300)).expect_err("half of it is lost");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!((undelivered(&error).logs.dropped, undelivered(&error).logs.rejected), (50, 0), "{error:?}");
    assert_eq!((otlp(&bridge).delivered, otlp(&bridge).dropped), (51, vec![(DropReason::Shutdown, 50)]));
    assert_arrived(&receiver, 0..50);
}

#[test]
fn records_written_during_a_search_wait_for_their_turn() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([poison(), busy(), poison()]);
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..20);
    write(&bridge, "a bad one");
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| bridge.flush(LONG));
        receiver.wait_for_requests(1, LONG);
        write_numbers(&bridge, 20..40);
        let lost = [flush.join().expect("no panic"), bridge.flush(LONG)];
        assert_eq!(
            lost.iter()
                .filter_map(|flushed| flushed.as_ref().err())
                .map(|error| undelivered(error).logs.lost())
                .sum::<u64>(),
            1
        );
    });
    assert_arrived(&receiver, 0..40);
}

#[test]
fn a_partial_success_of_a_half_counts_its_rejected() {
    let receiver = Receiver::start().expect("a receiver");
    let partial = Answer::PartialSuccess { rejected: 3, message: "too old".to_owned() };
    receiver.answer_with([Answer::status(413), partial, Answer::Ok]);
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..100);
    assert_eq!(undelivered(&bridge.flush(LONG).expect_err("three are lost")).logs.rejected, 3);
    assert_eq!((otlp(&bridge).delivered, otlp(&bridge).rejected), (97, vec![(RejectReason::PartialSuccess, 3)]));
    assert_arrived(&receiver, 0..100);
}

#[test]
fn spans_are_split_and_searched_as_records_are() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    let tracer = provider.tracer("checkout");
    let span = |name: String| drop(tracer.start(name));
    receiver.answer_traces_always(Answer::MaxBytes(5_000));
    (0..300).for_each(|number| span(format!("span {number}")));
    bridge.flush(LONG).expect("all of them fit in parts");
    let before = receiver.requests().len();
    (300..600).for_each(|number| span(format!("span {number}")));
    bridge.flush(LONG).expect("all of them fit");
    let refused = receiver.requests()[before..].iter().filter(|request| !request.stored).count();
    assert!(refused <= 4, "the limit is remembered: {refused}");
    receiver.answer_traces_always(poison());
    (600..700).for_each(|number| span(format!("span {number}")));
    span("a bad one".to_owned());
    assert_eq!(undelivered(&bridge.flush(LONG).expect_err("one is lost")).spans.rejected, 1);
    let mut arrived: Vec<String> = receiver.spans().into_iter().map(|span| span.name).collect();
    arrived.sort();
    let mut expected: Vec<String> = (0..700).map(|number| format!("span {number}")).collect();
    expected.sort();
    assert_eq!(arrived, expected);
    let spans = bridge.report().counters.spans;
    assert_eq!((spans.delivered, spans.rejected, spans.pending), (700, vec![(RejectReason::Malformed, 1)], 0));
    let notices = notices(&bridge, &receiver);
    assert!(notices.contains("it is a span of checkout: \"a bad one\""), "{notices}");
}

#[test]
fn an_endpoint_may_take_more_again() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(Answer::MaxBytes(20_000));
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..500);
    bridge.flush(LONG).expect("in parts");
    receiver.answer_always(Answer::Ok);
    // One record that is longer than anything that was taken: it is tried.
    write(&bridge, &"large ".repeat(10_000));
    write_numbers(&bridge, 500..1_500);
    bridge.flush(LONG).expect("everything fits");
    let before = receiver.requests().len();
    write_numbers(&bridge, 1_500..2_000);
    bridge.flush(LONG).expect("everything fits");
    assert_eq!(receiver.requests().len(), before + 1, "in one request again");
    assert_arrived(&receiver, 0..2_000);
}

#[test]
fn an_endpoint_that_nothing_fits_is_soon_done_with() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(Answer::status(413));
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..3_000);
    let start = Instant::now();
    assert_eq!(undelivered(&bridge.flush(LONG).expect_err("all are lost")).logs.rejected, 3_000);
    assert!(start.elapsed() < LONG);
    assert_eq!(otlp(&bridge).rejected, [(RejectReason::TooLarge, 3_000)]);
    // A record is longer than the next one only where its number is: halves, and a few single ones.
    assert!(receiver.requests().len() < 60, "{}", receiver.requests().len());
    let notices = notices(&bridge, &receiver);
    let told = notices
        .lines()
        .find(|line| line.contains(" each refused separately by "))
        .expect("not only the first one is told");
    let number = |after: &str| -> u64 {
        let rest = told.split(after).nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
        rest.parse().unwrap_or_else(|_| panic!("{after} {told}"))
    };
    assert_eq!(number("lost: ") + number("; and "), 3_000, "{told}");
    assert!(told.ends_with(" more of at least that size were not sent"), "{told}");
}

#[test]
fn a_bad_record_is_found_where_no_empty_request_is_taken() {
    // The whole, an empty request; then what a half is sent as: the second one holds it, down to itself.
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([poison(), Answer::status(400), poison()]);
    let bridge = bridge(&receiver);
    write_numbers(&bridge, 0..499);
    write(&bridge, "a bad one");
    assert_eq!(undelivered(&bridge.flush(LONG).expect_err("one is lost")).logs.rejected, 1);
    assert_arrived(&receiver, 0..499);
}
