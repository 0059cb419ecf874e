//! The outcomes of accepted records at endpoints that answer, refuse, hang, or answer late or incorrectly.

#![allow(clippy::expect_used)] // A test may panic.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, DropReason, LevelFilter, Otlp, OtlpCounters, RejectReason};

use crate::undelivered::undelivered;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(400);

fn builder(endpoint: &str) -> Builder {
    let mut builder = Builder::new();
    builder
        .service_name("delivery")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(endpoint))
        .console(Console::off())
        .schedule_delay(Duration::from_millis(10));
    builder
}

fn bridge(receiver: &Receiver) -> Bridge {
    builder(&receiver.endpoint()).build().expect("builds")
}

fn write(bridge: &Bridge, records: usize) {
    let logger = bridge.logger();
    for number in 0..records {
        let args = format_args!("record {number}");
        logger.log(&log::Record::builder().args(args).level(log::Level::Info).target("delivery").build());
    }
}

fn otlp(bridge: &Bridge) -> OtlpCounters {
    bridge.report().counters.otlp
}

fn assert_balanced(bridge: &Bridge) {
    let otlp = otlp(bridge);
    let fates = otlp.delivered + otlp.unconfirmed + otlp.rejected_total() + otlp.dropped_total() + otlp.pending;
    assert_eq!(otlp.accepted, fates, "{otlp:?}");
}

/// One request of three records against one answer that is final.
fn after_one_answer(answer: Answer) -> (Receiver, Bridge, Result<(), logbridge::Error>) {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(answer);
    let bridge = bridge(&receiver);
    write(&bridge, 3);
    let flushed = bridge.flush(LONG);
    assert_balanced(&bridge);
    (receiver, bridge, flushed)
}

#[test]
fn untidy_successes_are_delivered() {
    for answer in [Answer::Ok, Answer::Empty, Answer::JsonToProtobuf, Answer::Text("OK".to_owned())] {
        let (receiver, bridge, flushed) = after_one_answer(answer.clone());
        assert!(flushed.is_ok(), "{answer:?}: {flushed:?}");
        assert_eq!((otlp(&bridge).delivered, receiver.logs().len()), (3, 3), "{answer:?}");
    }
}

#[test]
fn refusals_are_final_counted_by_reason_and_no_flush_says_ok() {
    for (code, reason, requests) in [
        // With an empty request and two halves, which are refused too: it is not one of the records.
        (400, RejectReason::Malformed, 4),
        (401, RejectReason::Auth, 1),
        (403, RejectReason::Auth, 1),
        (404, RejectReason::NotFound, 1),
        // Once more with each record: of so few, all are tried.
        (413, RejectReason::TooLarge, 4),
        (418, RejectReason::OtherStatus, 1),
        (500, RejectReason::OtherStatus, 1),
    ] {
        let (receiver, bridge, flushed) = after_one_answer(Answer::status(code));
        let error = flushed.expect_err("three records are lost");
        assert!(error.is_lost() && !error.is_timeout() && undelivered(&error).logs.lost() == 3, "{code}: {error:?}");
        assert_eq!(otlp(&bridge).rejected, vec![(reason, 3)], "{code}");
        assert_eq!(receiver.requests().len(), requests, "{code}: a final answer is not tried again");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start().expect("a receiver");
    let location = format!("{}/v1/logs", elsewhere.endpoint());
    for code in [301, 302, 307, 308] {
        let (_, bridge, flushed) = after_one_answer(Answer::Redirect { code, location: location.clone() });
        assert!(flushed.is_err_and(|error| error.is_lost()));
        assert_eq!(otlp(&bridge).rejected, vec![(RejectReason::Redirect, 3)]);
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn partial_success_rejects_what_it_says_and_never_more() {
    for (rejected, lost) in [(1, 1), (3, 3), (99, 3)] {
        let message = "timestamp too old".to_owned();
        let (_, bridge, flushed) = after_one_answer(Answer::PartialSuccess { rejected, message });
        assert_eq!(undelivered(&flushed.expect_err("some are lost")).logs.lost(), lost);
        let otlp = otlp(&bridge);
        assert_eq!((otlp.delivered, otlp.rejected), (3 - lost, vec![(RejectReason::PartialSuccess, lost)]));
    }
}

#[test]
fn a_sign_in_page_garbage_and_an_endless_answer_confirm_nothing() {
    for answer in [Answer::Html, Answer::Garbage, Answer::Oversized(5 << 20)] {
        let (receiver, bridge, flushed) = after_one_answer(answer.clone());
        let error = flushed.expect_err("nothing is confirmed");
        assert!(error.is_unconfirmed() && !error.is_lost(), "{answer:?}: {error:?}");
        assert_eq!((otlp(&bridge).unconfirmed, receiver.requests().len()), (3, 1), "{answer:?}");
        // A loss is told once, and not held against the flushes after that.
        receiver.answer_always(Answer::Ok);
        write(&bridge, 1);
        bridge.flush(LONG).expect("the next record is confirmed");
    }
}

#[test]
fn what_may_pass_is_tried_again_until_it_does() {
    for answer in [Answer::status(429), Answer::status(502), Answer::status(503), Answer::status(504), Answer::Reset] {
        let receiver = Receiver::start().expect("a receiver");
        receiver.answer_with([answer.clone(), answer.clone(), Answer::Ok]);
        let bridge = bridge(&receiver);
        write(&bridge, 3);
        bridge.flush(LONG).expect("the third try succeeds");
        let otlp = otlp(&bridge);
        assert_eq!((otlp.delivered, otlp.lost(), otlp.pending), (3, 0, 0), "{answer:?}");
        assert_eq!((receiver.logs().len(), receiver.requests().len()), (3, 3), "{answer:?}");
    }
}

#[test]
fn a_lost_answer_means_once_more_and_counts_once() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([Answer::DropAnswer, Answer::Ok]);
    let bridge = bridge(&receiver);
    write(&bridge, 3);
    bridge.flush(LONG).expect("the second try is confirmed");
    assert_eq!(receiver.logs().len(), 6, "the duplicates that the protocol makes unavoidable");
    assert_eq!(otlp(&bridge).delivered, 3);
}

#[test]
fn retry_after_is_honored_also_by_a_flush() {
    let receiver = Receiver::start().expect("a receiver");
    let wait = Duration::from_secs(1);
    receiver.answer_with([Answer::Status { code: 503, retry_after: Some(wait), body: "busy".to_owned() }, Answer::Ok]);
    let bridge = bridge(&receiver);
    write(&bridge, 1);
    bridge.flush(LONG).expect("the second try succeeds");
    let requests = receiver.requests();
    let [first, second] = requests.as_slice() else { panic!("two requests: {requests:?}") };
    assert!(second.arrived - first.arrived >= wait);
}

#[test]
fn a_flush_at_a_dead_or_hanging_endpoint_returns_in_time_with_the_numbers() {
    let hanging = Receiver::start().expect("a receiver");
    hanging.answer_always(Answer::Hang(Duration::from_secs(60)));
    let dead = format!("http://{}", TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port"));
    for endpoint in [hanging.endpoint(), dead] {
        let bridge = builder(&endpoint).build().expect("builds");
        write(&bridge, 5);
        let start = Instant::now();
        let error = bridge.flush(SHORT).expect_err("nothing was delivered");
        assert!(start.elapsed() < SHORT + Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(error.is_timeout() && !error.is_lost() && undelivered(&error).logs.pending == 5, "{error:?}");
        assert_balanced(&bridge);
        let error = bridge.shutdown(SHORT).expect_err("what is left is dropped");
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(otlp(&bridge).dropped, vec![(DropReason::Shutdown, 5)]);
        assert_balanced(&bridge);
    }
}

#[test]
fn a_request_that_takes_too_long_is_tried_again() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([Answer::Hang(Duration::from_secs(60)), Answer::Ok]);
    let otlp = Otlp::to(receiver.endpoint()).timeout(Duration::from_millis(200));
    let bridge = builder("http://unused").otlp(otlp).build().expect("builds");
    write(&bridge, 1);
    bridge.flush(LONG).expect("the second try succeeds");
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn a_collector_that_starts_late_gets_everything() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let bridge = builder(&format!("http://127.0.0.1:{port}")).build().expect("builds");
    write(&bridge, 1_000);
    assert!(bridge.flush(SHORT).is_err_and(|error| error.is_timeout() && undelivered(&error).logs.pending == 1_000));
    let receiver = Receiver::builder().port(port).start().expect("the port is still free");
    bridge.flush(LONG).expect("everything arrives");
    assert_eq!(receiver.logs().len(), 1_000);
    assert_eq!((otlp(&bridge).delivered, otlp(&bridge).lost()), (1_000, 0));
}

#[test]
fn requests_are_bounded_a_connection_is_kept_and_nothing_is_lost_or_doubled() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    let long = "x".repeat(10_000);
    let logger = bridge.logger();
    for number in 0..2_000 {
        let args = format_args!("{number} {long}");
        logger.log(&log::Record::builder().args(args).level(log::Level::Info).target("delivery").build());
    }
    bridge.flush(LONG).expect("everything arrives");
    let requests = receiver.requests();
    assert!(requests.len() >= 5, "20 MB in requests of 4 MiB: {}", requests.len());
    assert!(requests.iter().all(|request| request.body_bytes <= 4 << 20));
    assert!(requests.iter().all(|request| request.connection == requests[0].connection), "keep-alive");
    let mut seen: Vec<u32> = receiver
        .logs()
        .iter()
        .map(|log| log.message().split(' ').next().and_then(|number| number.parse().ok()).expect("a number"))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
}

#[test]
fn a_full_outbox_drops_the_newest_counts_them_and_keeps_what_it_has() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([Answer::Hang(Duration::from_millis(300)), Answer::Ok]);
    let bridge = builder(&receiver.endpoint()).max_bytes(1 << 20).build().expect("builds");
    let logger = bridge.logger();
    let long = "x".repeat(1_000);
    for number in 0..3_000 {
        let args = format_args!("{number} {long}");
        logger.log(&log::Record::builder().args(args).level(log::Level::Info).target("delivery").build());
    }
    let error = bridge.flush(LONG).expect_err("some were dropped");
    assert!(error.is_lost() && !error.is_timeout(), "{error:?}");
    let otlp = otlp(&bridge);
    assert_eq!((otlp.accepted, otlp.pending), (3_000, 0));
    assert_eq!(otlp.dropped.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), [DropReason::OutboxFull]);
    assert_eq!(receiver.logs().len() as u64, otlp.delivered);
    assert!(otlp.delivered > 300, "about a MiB of them: {}", otlp.delivered);
    assert_balanced(&bridge);
    // There is room again.
    write(&bridge, 10);
    bridge.flush(LONG).expect("the loss was told by the flush before");
    assert_eq!(self::otlp(&bridge).delivered, otlp.delivered + 10);
}

#[test]
fn headers_arrive_and_are_not_shown() {
    let receiver = Receiver::start().expect("a receiver");
    let otlp = Otlp::to(receiver.endpoint()).header("authorization", "s3cret").header("x-tenant", "a");
    let mut builder = builder("http://unused");
    let bridge = builder.otlp(otlp).build().expect("builds");
    write(&bridge, 1);
    bridge.flush(LONG).expect("delivered");
    let requests = receiver.requests();
    assert_eq!(requests[0].header("authorization"), Some("s3cret"));
    assert_eq!(requests[0].header("x-tenant"), Some("a"));
    assert_eq!(requests[0].header("content-type"), Some("application/x-protobuf"));
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/logs"));
    assert!(requests[0].header("user-agent").is_some_and(|agent| agent.starts_with("OTel-OTLP-Exporter-Rust/")));
    for shown in
        [format!("{bridge:?}"), format!("{builder:?}"), bridge.report().to_string(), format!("{:?}", bridge.report())]
    {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

/// A writer that logs, as one that rotates files may do.
struct Logs(Arc<OnceLock<logbridge::Logger>>, Arc<AtomicUsize>);

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        if let Some(logger) = self.0.get() {
            let args = format_args!("from inside the writer");
            logger.log(&log::Record::builder().args(args).level(log::Level::Warn).target("delivery").build());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_logs_does_not_wait_for_itself() {
    let receiver = Receiver::start().expect("a receiver");
    let (logger, lines) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
    let pipe = Console::pipe(Logs(Arc::clone(&logger), Arc::clone(&lines)));
    let bridge = builder(&receiver.endpoint()).console(pipe).build().expect("builds");
    logger.set(bridge.logger()).expect("set once");
    write(&bridge, 1);
    bridge.flush(LONG).expect("both records arrive");
    assert_eq!((receiver.logs().len(), lines.load(Ordering::Relaxed)), (2, 1));
    let console = bridge.report().counters.console;
    assert_eq!((console.accepted, console.failed), (2, 1), "the inner line is not printed, and counted");
}

#[test]
fn times_without_end_mean_for_ever() {
    let receiver = Receiver::start().expect("a receiver");
    let otlp = Otlp::to(receiver.endpoint()).timeout(Duration::MAX);
    let mut builder = builder("http://unused");
    let bridge = builder.otlp(otlp).schedule_delay(Duration::MAX).exit_timeout(Duration::MAX).build().expect("builds");
    write(&bridge, 2);
    bridge.flush(Duration::MAX).expect("delivered");
    bridge.shutdown(Duration::MAX).expect("nothing is left");
    assert_eq!(receiver.logs().len(), 2);
}

#[test]
fn many_flushes_at_once_from_many_threads_all_return() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    write(&bridge, 5);
                    bridge.flush(LONG).expect("delivered");
                }
            });
        }
    });
    assert_eq!(receiver.logs().len(), 8 * 20 * 5);
    assert_balanced(&bridge);
}

#[test]
fn the_last_handle_of_what_was_built_delivers_and_ends_the_thread() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).schedule_delay(Duration::from_secs(3_600)).build().expect("builds");
    let logger = bridge.logger();
    write(&bridge, 3);
    drop(bridge);
    assert!(receiver.logs().is_empty(), "a logger is a handle too");
    drop(logger);
    assert_eq!(receiver.wait_for_logs(3, LONG).len(), 3);
}

#[test]
fn requests_are_as_long_as_the_configuration_says() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).max_request_bytes(10_000).build().expect("builds");
    write(&bridge, 500);
    let long = "x".repeat(20_000);
    bridge
        .logger()
        .log(&log::Record::builder().args(format_args!("{long}")).level(log::Level::Info).target("delivery").build());
    bridge.flush(LONG).expect("delivered");
    assert_eq!(receiver.logs().len(), 501);
    let requests = receiver.requests();
    let longest = requests.iter().filter(|request| request.records > 1).map(|request| request.body_bytes).max();
    assert!(longest.is_some_and(|longest| (5_000..=10_000).contains(&longest)), "{longest:?}");
    let alone: Vec<usize> =
        requests.iter().filter(|request| request.body_bytes > 10_000).map(|request| request.records).collect();
    assert_eq!(alone, [1], "what is longer goes alone");
}

#[test]
fn spans_too_are_sent_in_requests_of_that_length() {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).max_request_bytes(10_000).build().expect("builds");
    let provider =
        opentelemetry_sdk::trace::SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    let tracer = provider.tracer("delivery");
    // The first request tells how long a span is.
    for _ in 0..3 {
        for _ in 0..200 {
            tracer.in_span("a span with a name of some length", |_| ());
        }
        bridge.flush(LONG).expect("delivered");
    }
    assert_eq!(receiver.spans().len(), 600);
    let longest = receiver.requests().iter().skip(1).map(|request| request.body_bytes).max();
    assert!(longest.is_some_and(|longest| longest <= 11_000), "{longest:?}");
}
