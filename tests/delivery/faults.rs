//! The table of faults: each row is an endpoint that fails in its own way, tested with a whole pipeline.
//!
//! `play` checks the rules for every row. Each record has one outcome, and nothing is stored twice. A flush returns
//! `Ok` only if all records were confirmed, and flush and shutdown return in time. The cause is reported with the URL.

#![allow(clippy::expect_used)] // A test may panic.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, DropReason, Error, LevelFilter, Otlp, OtlpCounters, RejectReason};

use crate::undelivered::undelivered;

/// Enough for everything that ends well; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(30);
/// What is waited for in vain.
const SHORT: Duration = Duration::from_millis(400);
/// How much later than asked for a call may return on a loaded machine.
const SLACK: Duration = Duration::from_secs(5);
const RECORDS: u64 = 100;

/// An endpoint with its fault, and who keeps what it stores.
struct Fault {
    url: String,
    /// It keeps its port until the program ends: what is said is kept by URL for all tests together, and another test must
    /// not get this one.
    receiver: Option<&'static Receiver>,
    /// How long one request may take.
    timeout: Duration,
    records: u64,
    /// Whether the protocol cannot avoid that records are stored twice.
    may_repeat: bool,
}

impl Fault {
    fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), receiver: None, timeout: LONG, records: RECORDS, may_repeat: false }
    }

    /// A receiver that gives these answers, the last one for ever.
    fn answers(answers: impl IntoIterator<Item = Answer>) -> Self {
        let receiver: &Receiver = Box::leak(Box::new(Receiver::start().expect("a receiver")));
        receiver.answer_with(answers);
        Self { receiver: Some(receiver), ..Self::at("") }.with_url(|receiver| receiver.endpoint())
    }

    fn with_url(self, url: impl Fn(&Receiver) -> String) -> Self {
        let url = self.receiver.map(url).unwrap_or_default();
        Self { url, ..self }
    }

    /// A port whose connections are given to this function.
    fn port(serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        // It ends with the test program.
        std::thread::spawn(move || listener.incoming().flatten().for_each(&serve));
        Self::at(url)
    }

    fn records(self, records: u64) -> Self {
        Self { records, ..self }
    }

    fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    fn may_repeat(self) -> Self {
        Self { may_repeat: true, ..self }
    }
}

/// What came of it.
struct Played {
    flushed: Result<(), Error>,
    /// The ledger after the flush, and after the shutdown.
    flush: OtlpCounters,
    end: OtlpCounters,
    /// How many different records the receiver has.
    stored: u64,
    requests: usize,
    /// What was said about this endpoint.
    notices: String,
}

fn play(fault: &Fault, patience: Duration) -> Played {
    let bridge = Builder::new()
        .service_name("faults")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(&fault.url).timeout(fault.timeout))
        .console(Console::off())
        // The flush decides what is in a request, and not the time that the loop takes.
        .schedule_delay(Duration::from_secs(3_600))
        .build()
        .expect("builds");
    write(&bridge, fault.records);
    let flushed = in_time(patience, || bridge.flush(patience));
    let flush = otlp(&bridge);
    assert_eq!(flushed.is_ok(), flush.delivered == fault.records, "{flushed:?}: {flush:?}");
    if let Err(error) = &flushed {
        let logs = undelivered(error).logs;
        assert_eq!(flush.delivered + logs.pending + logs.lost() + logs.unconfirmed, fault.records, "{error:?}");
        assert_eq!(error.is_timeout(), logs.pending > 0, "{error:?}");
    }
    let shut = in_time(patience, || bridge.shutdown(patience));
    let end = otlp(&bridge);
    // The flush has told its losses; the shutdown tells its own.
    assert_eq!(shut.is_ok(), end.lost() == flush.lost() && end.unconfirmed == flush.unconfirmed, "{shut:?}: {end:?}");
    assert_eq!((end.accepted, end.pending), (fault.records, 0), "{end:?}");
    let mut stored: HashMap<String, u32> = HashMap::new();
    let receiver = fault.receiver;
    for log in receiver.map(Receiver::logs).unwrap_or_default() {
        *stored.entry(log.message()).or_default() += 1;
    }
    assert!(fault.may_repeat || stored.values().all(|times| *times == 1), "a record was stored twice");
    if receiver.is_some() {
        assert!(stored.len() as u64 >= end.delivered, "delivered, and not stored: {} {end:?}", stored.len());
    }
    let report = bridge.report().notices.into_iter().filter(|notice| notice.contains(&fault.url));
    Played {
        flushed,
        flush,
        end,
        stored: stored.len() as u64,
        requests: receiver.map_or(0, |receiver| receiver.requests().len()),
        notices: report.collect::<Vec<_>>().join("\n"),
    }
}

fn write(bridge: &Bridge, records: u64) {
    let logger = bridge.logger();
    for number in 0..records {
        let args = format_args!("record {number}");
        logger.log(&log::Record::builder().args(args).level(log::Level::Info).target("faults").build());
    }
}

#[track_caller]
fn in_time<T>(patience: Duration, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    assert!(start.elapsed() < patience + SLACK, "{:?}", start.elapsed());
    result
}

fn otlp(bridge: &Bridge) -> OtlpCounters {
    let otlp = bridge.report().counters.otlp;
    assert_eq!(otlp.accepted, otlp.delivered + otlp.unconfirmed + otlp.lost() + otlp.pending, "{otlp:?}");
    otlp
}

/// All arrive, and are confirmed.
#[track_caller]
fn delivers(fault: &Fault) -> Played {
    let played = play(fault, LONG);
    played.flushed.as_ref().expect("everything is confirmed");
    assert_eq!((played.end.delivered, played.stored), (fault.records, fault.records));
    played
}

/// Nothing gets through: the time is up, all still wait, and the end drops them.
#[track_caller]
fn never_delivers(fault: &Fault, cause: &str) -> Played {
    let played = play(fault, SHORT);
    assert_eq!((played.flush.delivered, played.flush.pending), (0, fault.records));
    assert_eq!(played.end.dropped, [(DropReason::Shutdown, fault.records)]);
    let said = format!("cannot deliver logs to {}/v1/logs: {cause}", fault.url);
    assert!(played.notices.contains(&said), "{said}\n{}", played.notices);
    played
}

/// All are refused for good.
#[track_caller]
fn refuses(fault: &Fault, reason: RejectReason, cause: &str) -> Played {
    let played = play(fault, LONG);
    assert_eq!((played.flush.rejected.as_slice(), played.stored), (&[(reason, fault.records)][..], 0));
    assert_said(&played, &["lost: ", &format!(", which {}/v1/logs refused: {cause}", fault.url)]);
    played
}

/// A success that confirms nothing.
#[track_caller]
fn confirms_nothing(fault: &Fault, cause: &str) -> Played {
    let played = play(fault, LONG);
    assert_eq!((played.flush.unconfirmed, played.flush.delivered), (fault.records, 0));
    assert_eq!(played.requests, 1, "it is not sent again");
    let which = format!("perhaps lost: {} records, which {}/v1/logs did not confirm: ", fault.records, fault.url);
    assert_said(&played, &[&which, cause]);
    played
}

#[track_caller]
fn assert_said(played: &Played, words: &[&str]) {
    words.iter().for_each(|words| assert!(played.notices.contains(words), "{words}\n{}", played.notices));
}

#[test]
fn none_with_a_hundred_thousand_records_in_a_tight_loop() {
    let played = delivers(&Fault::answers([Answer::Ok]).records(100_000));
    assert_eq!(played.notices, "");
}

#[test]
fn busy_for_a_while() {
    let played = delivers(&Fault::answers([503, 503, 503, 200].map(Answer::status)));
    assert_eq!(played.requests, 4);
    assert_said(&played, &["it answered 503 Service Unavailable (try again later)", "again"]);
}

/// One request per record, with its retries.
fn play_one_by_one(fault: &Fault, records: u64) -> (OtlpCounters, Vec<String>) {
    let bridge = Builder::new()
        .service_name("faults")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(&fault.url))
        .console(Console::off())
        .schedule_delay(Duration::from_secs(3_600))
        .build()
        .expect("builds");
    for _ in 0..records {
        write(&bridge, 1);
        // Refusals make it fail.
        bridge.flush(LONG).ok();
    }
    bridge.shutdown(LONG).ok();
    let notices = bridge.report().notices.into_iter().filter(|notice| notice.contains(&fault.url)).collect();
    (otlp(&bridge), notices)
}

#[test]
fn busy_now_and_then_is_summarized_and_the_last_word_is_true() {
    let answers = (0..13).flat_map(|_| [503, 200, 200].map(Answer::status));
    let fault = Fault::answers(answers.chain([Answer::Ok]));
    let (end, notices) = play_one_by_one(&fault, 26);
    assert_eq!(end.delivered, 26);
    let starts =
        ["warning[LB081]: cannot deliver logs to ", "note: logs reach ", "note: 12 of 36 requests with logs to "];
    assert_eq!(notices.len(), starts.len(), "{notices:#?}");
    notices.iter().zip(starts).for_each(|(notice, start)| assert!(notice.starts_with(start), "{notices:#?}"));
    assert!(notices[2].ends_with("; retries delivered them all"), "{notices:#?}");
}

#[test]
fn a_server_that_words_each_refusal_differently_is_quoted_once_and_briefly() {
    let long = "x".repeat(1 << 20);
    let status =
        |code: u16, number: u64| Answer::Status { code, retry_after: None, body: format!("id {number} {long}") };
    let partial =
        |rejected: i64, number: u64| Answer::PartialSuccess { rejected, message: format!("id {number} {long}") };
    type Answers<'a> = &'a dyn Fn(u64) -> Answer;
    let kinds: [Answers<'_>; 5] = [
        &|number| status(500, number),
        &|number| status(401, number),
        &|number| partial(1, number),
        &|number| partial(0, number),
        // Retried until it is taken.
        &|number| if number % 2 == 0 { status(503, number) } else { Answer::Ok },
    ];
    for (kind, answer) in kinds.iter().enumerate() {
        let fault = Fault::answers((0..20).map(answer));
        let (_, notices) = play_one_by_one(&fault, 10);
        let most = if kind == 4 { 3 } else { 1 };
        assert!((1..=most).contains(&notices.len()), "{kind}: {} notices", notices.len());
        assert!(notices.iter().all(|notice| notice.chars().count() < 500), "{kind}: too long");
        assert!(notices[0].contains("id 0 xxx") && notices[0].contains('…'), "{kind}: {notices:#?}");
    }
}

#[test]
fn busy_for_ever() {
    let played = never_delivers(&Fault::answers([Answer::status(503)]), "it answered 503 Service Unavailable");
    assert_eq!(played.stored, 0);
}

#[test]
fn dead() {
    // Bound, so that nobody else gets the port, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    never_delivers(&Fault::at(url), "connection refused: nothing listens there");
    // Nobody gets it later, either.
    std::mem::forget(socket);
}

#[test]
fn refused_for_ever() {
    for (status, reason, cause, requests) in [
        (400, RejectReason::Malformed, "it answered 400 Bad Request (it could not read the request)", 4),
        (401, RejectReason::Auth, "it answered 401 Unauthorized (it refused the credentials)", 1),
        (403, RejectReason::Auth, "it answered 403 Forbidden (it refused the credentials)", 1),
        (404, RejectReason::NotFound, "it answered 404 Not Found (no receiver for this signal at this path)", 1),
        (413, RejectReason::TooLarge, "it answered 413 Payload Too Large (the request is too large for it)", 18),
        (415, RejectReason::OtherStatus, "it answered 415 Unsupported Media Type", 1),
        (500, RejectReason::OtherStatus, "it answered 500 Internal Server Error", 1),
    ] {
        let played = refuses(&Fault::answers([Answer::status(status)]), reason, cause);
        assert!(played.requests <= requests, "{status}: {} requests", played.requests);
    }
}

#[test]
fn too_large_above_a_limit() {
    let fault = Fault::answers([Answer::MaxBytes(3_000)]).records(1_000);
    let played = delivers(&fault);
    assert_said(&played, &[&format!("{}/v1/logs refuses logs in requests of ", fault.url)]);
}

#[test]
fn malformed_for_one_record() {
    let played = play(&Fault::answers([Answer::Poison("record 77".to_owned())]), LONG);
    assert_eq!((played.end.delivered, played.stored), (RECORDS - 1, RECORDS - 1));
    assert_eq!(played.end.rejected, [(RejectReason::Malformed, 1)]);
    assert_said(&played, &["lost: 1 record, which ", "it answered 400 Bad Request", "INFO of faults: \"record 77\""]);
}

#[test]
fn a_rate_limit_with_retry_after() {
    let wait = Duration::from_secs(1);
    let slow = Answer::Status { code: 429, retry_after: Some(wait), body: "slow down".to_owned() };
    let fault = Fault::answers([slow, Answer::Ok]);
    let played = delivers(&fault);
    assert_said(&played, &["it answered 429 Too Many Requests (try again later): \"slow down\""]);
    let requests = fault.receiver.map(Receiver::requests).unwrap_or_default();
    let [first, second] = requests.as_slice() else { panic!("two requests: {requests:?}") };
    assert!(second.arrived - first.arrived >= wait);
}

#[test]
fn partial_success() {
    let partial = Answer::PartialSuccess { rejected: 2, message: "timestamp too old".to_owned() };
    let fault = Fault::answers([partial]);
    let played = play(&fault, LONG);
    assert_eq!((played.end.delivered, &*played.end.rejected), (RECORDS - 2, &[(RejectReason::PartialSuccess, 2)][..]));
    let said = format!("{}/v1/logs rejected 2 of {RECORDS} records: \"timestamp too old\"", fault.url);
    assert_said(&played, &[&said]);
}

#[test]
fn a_reset_when_the_request_has_been_read() {
    delivers(&Fault::answers([Answer::Reset, Answer::Reset, Answer::Ok]));
}

#[test]
fn a_reset_in_the_middle_of_the_request() {
    // What is left unread makes the end of the connection a reset.
    let fault = Fault::port(|mut stream| drop(stream.read(&mut [0; 100]))).records(20_000);
    let played = never_delivers(&fault, "");
    let causes = ["Connection reset by peer", "Broken pipe", "connection closed", "connection error"];
    assert!(causes.iter().any(|cause| played.notices.contains(cause)), "{}", played.notices);
}

#[test]
fn stored_and_the_answer_is_lost() {
    let played = delivers(&Fault::answers([Answer::DropAnswer, Answer::Ok]).may_repeat());
    assert_eq!(played.requests, 2, "sent again, since the protocol leaves nothing else");
}

#[test]
fn a_hang() {
    let keep = std::sync::Mutex::new(Vec::new());
    let fault = Fault::port(move |stream| keep.lock().expect("no panic").push(stream));
    never_delivers(&fault.timeout(Duration::from_millis(100)), "no answer within 100ms");
}

#[test]
fn a_hang_that_outlasts_the_flush() {
    let keep = std::sync::Mutex::new(Vec::new());
    let fault = Fault::port(move |stream| keep.lock().expect("no panic").push(stream));
    let played = play(&fault, SHORT);
    assert_eq!((played.flush.pending, &*played.end.dropped), (RECORDS, &[(DropReason::Shutdown, RECORDS)][..]));
}

#[test]
fn an_oversized_answer() {
    confirms_nothing(&Fault::answers([Answer::Oversized(5 << 20)]), "it answered 200 with ");
}

#[test]
fn a_garbage_answer() {
    confirms_nothing(
        &Fault::answers([Answer::Garbage]),
        "it answered 200 with application/x-protobuf and a body that is not an OTLP response",
    );
}

#[test]
fn a_sign_in_page() {
    confirms_nothing(&Fault::answers([Answer::Html]), "it answered 200 with text/html, which is not an OTLP response");
}

#[test]
fn a_redirect() {
    let location = "https://elsewhere.example/v1/logs?key=s3cret".to_owned();
    let fault = Fault::answers([Answer::Redirect { code: 307, location }]);
    let cause = "it redirects to https://elsewhere.example/v1/logs?… (307), which is never followed";
    let played = refuses(&fault, RejectReason::Redirect, cause);
    assert!(!played.notices.contains("s3cret"), "{}", played.notices);
}

#[test]
fn a_name_that_does_not_exist() {
    // A label is 63 characters long at most: no name server is asked about this one.
    let host = format!("{}.invalid", "x".repeat(64));
    never_delivers(&Fault::at(format!("http://{host}:4318")), "the host name was not found: ");
}

#[test]
fn tls_to_a_plain_port() {
    let fault = Fault::answers([Answer::Ok]).with_url(|receiver| receiver.endpoint().replace("http://", "https://"));
    let played = never_delivers(&fault, "this port does not speak TLS");
    assert_eq!(played.stored, 0);
}

/// Reads the request, and answers with these bytes.
fn answering(bytes: &'static [u8]) -> Fault {
    Fault::port(move |mut stream| {
        // The answer comes when the request's head has been read; what is wrong with it does not depend on the rest.
        let _head = stream.read(&mut [0; 65_536]);
        let _written = stream.write_all(bytes);
        let _until_closed = stream.read(&mut [0; 65_536]);
    })
}

#[test]
fn a_port_that_speaks_http_2_only() {
    // SETTINGS, and GOAWAY with PROTOCOL_ERROR.
    let frames = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    never_delivers(&answering(frames), "the answer is not HTTP/1.1: ");
}

#[test]
fn a_handshake_that_stops_half_way() {
    // Nothing at all; and the beginning of a record that never ends.
    for hello in [&b""[..], b"\x16\x03\x03\x10\0\x02\0\0\x50half of it"] {
        let keep = std::sync::Mutex::new(Vec::new());
        let fault = Fault::port(move |mut stream| {
            let _hello = stream.read(&mut [0; 65_536]);
            let _written = stream.write_all(hello);
            keep.lock().expect("no panic").push(stream);
        });
        let url = fault.url.replace("http://", "https://");
        never_delivers(&Fault { url, ..fault }.timeout(Duration::from_millis(100)), "no answer within 100ms");
    }
}

#[test]
fn an_answer_whose_head_is_too_large() {
    let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    let played = play(&answering(head.leak().as_bytes()), LONG);
    assert_eq!((played.flush.unconfirmed, played.flush.lost()), (RECORDS, 0));
    assert_said(&played, &["perhaps lost: ", "the header of its answer is too large"]);
}

#[test]
fn a_refusal_that_breaks_off() {
    for (answer, reason, cause) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\n\r\nbad",
            RejectReason::Auth,
            "it answered 401 Unauthorized",
        ),
        ("HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\nzz", RejectReason::OtherStatus, "it answered 500 "),
    ] {
        let fault = Fault::port(move |mut stream| {
            let _head = stream.read(&mut [0; 65_536]);
            let _written = stream.write_all(answer.as_bytes());
        });
        refuses(&fault, reason, cause);
    }
    // One that never ends is not waited for.
    let keep = std::sync::Mutex::new(Vec::new());
    let fault = Fault::port(move |mut stream| {
        let _head = stream.read(&mut [0; 65_536]);
        let _written = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nbad");
        keep.lock().expect("no panic").push(stream);
    });
    refuses(&fault.timeout(SHORT), RejectReason::Auth, "it answered 403 Forbidden");
    // A success that breaks off is another matter.
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbad";
    let fault = Fault::port(move |mut stream| {
        let _head = stream.read(&mut [0; 65_536]);
        let _written = stream.write_all(answer);
    });
    never_delivers(&fault, "");
}

#[test]
fn a_garbled_answer_while_the_program_ends() {
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let fault = Fault::port(move |mut stream| {
        let _head = stream.read(&mut [0; 65_536]);
        let answer: &[u8] = match is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => b"garbled\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        };
        let _written = stream.write_all(answer);
        let _until_closed = stream.read(&mut [0; 65_536]);
    });
    let bridge = Builder::new()
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(&fault.url).traces_off())
        .console(Console::off())
        .schedule_delay(Duration::from_secs(3_600))
        .build()
        .expect("builds");
    write(&bridge, 1);
    bridge.shutdown(LONG).expect("delivered at the second try");
    assert_eq!(otlp(&bridge).delivered, 1);
}

#[test]
fn a_port_that_speaks_something_else() {
    never_delivers(&answering(b"220 mail.example ESMTP\r\n"), "the answer is not HTTP/1.1: ");
}
