//! A flush and a shutdown return in time with a correct result, whatever the endpoint does and wherever they are
//! called.

#![allow(clippy::expect_used)] // A test may panic.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, DropReason, Error, LevelFilter, Otlp, OtlpCounters};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use crate::undelivered::undelivered;

const LONG: Duration = Duration::from_secs(20);
/// What is waited for in vain.
const SHORT: Duration = Duration::from_millis(300);
/// How much later than asked for a call may return on a loaded machine.
const SLACK: Duration = Duration::from_secs(5);
const RECORDS: u64 = 7;

fn bridge(endpoint: &str) -> Bridge {
    Builder::new()
        .service_name("flush")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(endpoint))
        .console(Console::off())
        .schedule_delay(Duration::from_secs(3_600))
        .build()
        .expect("builds")
}

fn write(bridge: &Bridge, records: u64) {
    for number in 0..records {
        let args = format_args!("record {number}");
        bridge.logger().log(&log::Record::builder().args(args).level(log::Level::Info).target("flush").build());
    }
}

fn otlp(bridge: &Bridge) -> OtlpCounters {
    let otlp = bridge.report().counters.otlp;
    assert_eq!(otlp.accepted, otlp.delivered + otlp.unconfirmed + otlp.lost() + otlp.pending, "{otlp:?}");
    otlp
}

/// A port that takes connections and never says a word.
fn black_hole() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let kept: Mutex<Vec<TcpStream>> = Mutex::default();
    // It ends with the test program.
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| kept.lock().expect("no panic").push(stream));
    });
    url
}

/// A port that nobody gets and nobody listens at.
fn dead_end() -> (tokio::net::TcpSocket, String) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    (socket, url)
}

type Task = Box<dyn FnOnce() -> Result<(), Error> + Send>;

/// A place to call from.
type Place = fn(Task) -> Result<(), Error>;

const PLACES: [(&str, Place); 7] = [
    ("no runtime", |task| task()),
    ("another thread", |task| std::thread::spawn(task).join().expect("no panic")),
    ("a thread of a pool", in_pool),
    ("a current-thread runtime", |task| current().block_on(async { task() })),
    ("a worker of a multi-thread runtime", |task| {
        let runtime = multi();
        runtime.block_on(async { tokio::spawn(async { task() }).await.expect("no panic") })
    }),
    ("spawn_blocking of a multi-thread runtime", |task| {
        let runtime = multi();
        runtime.block_on(async { tokio::task::spawn_blocking(task).await.expect("no panic") })
    }),
    ("spawn_blocking of a current-thread runtime", |task| {
        let runtime = current();
        runtime.block_on(async { tokio::task::spawn_blocking(task).await.expect("no panic") })
    }),
];

fn current() -> Runtime {
    RuntimeBuilder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi() -> Runtime {
    // One worker: nobody else can drive anything while it is blocked.
    RuntimeBuilder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// As rayon does it: threads that take jobs from a queue.
fn in_pool(task: Task) -> Result<(), Error> {
    let (jobs, queue) = mpsc::channel::<Task>();
    let queue = Arc::new(Mutex::new(queue));
    let (done, results) = mpsc::channel();
    for _ in 0..2 {
        let (queue, done) = (Arc::clone(&queue), done.clone());
        std::thread::spawn(move || {
            let job = queue.lock().expect("no panic").recv();
            job.into_iter().for_each(|job| done.send(job()).expect("somebody waits"));
        });
    }
    jobs.send(task).expect("somebody works");
    results.recv().expect("a result")
}

/// Calls from there, and looks at the clock.
#[track_caller]
fn call(
    place: Place,
    patience: Duration,
    task: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let start = Instant::now();
    let result = place(Box::new(task));
    assert!(start.elapsed() < patience + SLACK, "{:?}", start.elapsed());
    result
}

#[test]
fn everywhere_a_flush_that_says_ok_has_delivered() {
    for (name, place) in PLACES {
        let receiver = Receiver::start().expect("a receiver");
        let bridge = bridge(&receiver.endpoint());
        let inside = bridge.clone();
        // Written there as well: a runtime's context is no obstacle.
        let task = move || {
            write(&inside, RECORDS);
            inside.flush(LONG)
        };
        call(place, LONG, task).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((otlp(&bridge).delivered, receiver.logs().len() as u64), (RECORDS, RECORDS), "{name}");
        write(&bridge, RECORDS);
        let inside = bridge.clone();
        call(place, LONG, move || inside.shutdown(LONG)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((otlp(&bridge).delivered, otlp(&bridge).pending), (2 * RECORDS, 0), "{name}");
    }
}

#[test]
fn everywhere_a_flush_and_a_shutdown_return_in_time_from_a_dead_and_from_a_hanging_endpoint() {
    let (_bound, dead) = dead_end();
    for (name, place) in PLACES {
        for url in [dead.clone(), black_hole()] {
            let bridge = bridge(&url);
            write(&bridge, RECORDS);
            let inside = bridge.clone();
            let error = call(place, SHORT, move || inside.flush(SHORT)).expect_err(name);
            assert!(error.is_timeout() && !error.is_lost() && !error.is_unconfirmed(), "{name}: {error:?}");
            assert_eq!((undelivered(&error).logs.pending, undelivered(&error).logs.lost()), (RECORDS, 0), "{name}");
            let inside = bridge.clone();
            let error = call(place, SHORT, move || inside.shutdown(SHORT)).expect_err(name);
            assert_eq!(
                (undelivered(&error).logs.pending, undelivered(&error).logs.dropped, undelivered(&error).logs.rejected),
                (0, RECORDS, 0),
                "{name}: {error:?}"
            );
            assert_eq!(otlp(&bridge).dropped, [(DropReason::Shutdown, RECORDS)], "{name}");
        }
    }
}

#[test]
fn everywhere_a_lying_endpoint_is_no_delivery() {
    for (name, place) in PLACES {
        let receiver = Receiver::start().expect("a receiver");
        receiver.answer_always(Answer::Html);
        let bridge = bridge(&receiver.endpoint());
        write(&bridge, RECORDS);
        let inside = bridge.clone();
        let error = call(place, LONG, move || inside.flush(LONG)).expect_err(name);
        assert!(error.is_unconfirmed() && !error.is_timeout() && !error.is_lost(), "{name}: {error:?}");
        assert_eq!((undelivered(&error).logs.unconfirmed, undelivered(&error).logs.pending), (RECORDS, 0), "{name}");
    }
}

#[test]
fn no_time_at_all_is_enough_where_nothing_waits() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver.endpoint());
    bridge.flush(Duration::ZERO).expect("there was nothing");
    write(&bridge, RECORDS);
    let start = Instant::now();
    // Nobody could have sent them in no time, but that is for the machine to say: what it says is true.
    match bridge.flush(Duration::ZERO) {
        Ok(()) => assert_eq!(otlp(&bridge).delivered, RECORDS),
        Err(error) => {
            assert!(error.is_timeout() && undelivered(&error).logs.pending > 0 && !error.is_lost(), "{error:?}")
        }
    }
    assert!(start.elapsed() < SLACK);
    // It has asked for them all the same.
    assert_eq!(receiver.wait_for_logs(RECORDS as usize, LONG).len() as u64, RECORDS);
    bridge.flush(LONG).expect("delivered");
    bridge.flush(Duration::ZERO).expect("nothing waits");
    bridge.shutdown(LONG).expect("nothing is left");
    bridge.flush(Duration::ZERO).expect("nothing waits after the end either");
}

#[test]
fn no_time_at_all_for_a_shutdown_drops_and_tells() {
    let bridge = bridge(&black_hole());
    write(&bridge, RECORDS);
    let start = Instant::now();
    let error = bridge.shutdown(Duration::ZERO).expect_err("nobody took them");
    assert!(start.elapsed() < SLACK);
    assert_eq!(undelivered(&error).logs.pending + undelivered(&error).logs.dropped, RECORDS, "{error:?}");
    // The thread has ended by then, or does so soon; each record is told once.
    let told =
        undelivered(&error).logs.dropped + bridge.flush(LONG).err().map_or(0, |error| undelivered(&error).logs.dropped);
    assert_eq!((told, otlp(&bridge).dropped), (RECORDS, vec![(DropReason::Shutdown, RECORDS)]));
}

#[test]
fn two_flushes_at_a_time_both_return_in_time_and_both_tell_the_loss_that_they_waited_for() {
    for answer in [Answer::Ok, Answer::status(401), Answer::Html, Answer::Hang(Duration::from_millis(100))] {
        let receiver = Receiver::start().expect("a receiver");
        receiver.answer_always(answer.clone());
        let bridge = bridge(&receiver.endpoint());
        write(&bridge, RECORDS);
        let barrier = Barrier::new(2);
        let flush = || {
            barrier.wait();
            let start = Instant::now();
            let flushed = bridge.flush(LONG);
            assert!(start.elapsed() < LONG);
            flushed.err().map_or(0, |error| undelivered(&error).logs.lost() + undelivered(&error).logs.unconfirmed)
        };
        let told: Vec<u64> = std::thread::scope(|scope| {
            let flushes = [scope.spawn(flush), scope.spawn(flush)];
            flushes.into_iter().map(|flush| flush.join().expect("no panic")).collect()
        });
        let otlp = otlp(&bridge);
        assert_eq!((otlp.delivered + otlp.lost() + otlp.unconfirmed, otlp.pending), (RECORDS, 0), "{answer:?}");
        // The second one may have begun when the first one had told already.
        let lost = RECORDS - otlp.delivered;
        assert!(told.contains(&lost) && told.iter().all(|told| *told == lost || *told == 0), "{answer:?}: {told:?}");
        bridge.flush(LONG).expect("told before");
    }
}

#[test]
fn a_short_flush_is_not_held_up_by_a_long_one() {
    let bridge = bridge(&black_hole());
    write(&bridge, RECORDS);
    std::thread::scope(|scope| {
        let long = scope.spawn(|| bridge.flush(LONG));
        let start = Instant::now();
        assert!(bridge.flush(SHORT).is_err_and(|error| error.is_timeout()));
        assert!(start.elapsed() < SHORT + SLACK);
        // The end of the pipeline ends the long one too.
        assert!(bridge.shutdown(SHORT).is_err_and(|error| undelivered(&error).logs.dropped == RECORDS));
        assert!(
            long.join().expect("no panic").is_err_and(|error| undelivered(&error).logs.dropped == RECORDS),
            "it has waited for them"
        );
        assert!(start.elapsed() < 2 * SHORT + 2 * SLACK);
    });
}

#[test]
fn flushes_and_writers_during_a_shutdown_return_and_everything_is_accounted_for() {
    for url in [None, Some(black_hole()), Some(dead_end().1)] {
        let receiver = Receiver::start().expect("a receiver");
        let bridge = bridge(&url.clone().unwrap_or_else(|| receiver.endpoint()));
        let patience = if url.is_some() { SHORT } else { LONG };
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..20 {
                        write(&bridge, RECORDS);
                        let start = Instant::now();
                        let _told_in_numbers = bridge.flush(SHORT / 20);
                        assert!(start.elapsed() < SHORT + SLACK);
                    }
                });
            }
            barrier.wait();
            let start = Instant::now();
            let _told_in_numbers = bridge.shutdown(patience);
            assert!(start.elapsed() < patience + SLACK);
        });
        // Once more: what was written while it ended.
        let _told_in_numbers = bridge.shutdown(patience);
        let otlp = otlp(&bridge);
        assert_eq!((otlp.accepted, otlp.pending), (3 * 20 * RECORDS, 0), "{url:?}: {otlp:?}");
        assert_eq!(receiver.logs().len() as u64, otlp.delivered, "{url:?}");
    }
}

#[test]
fn a_shutdown_tries_again_until_its_deadline() {
    let receiver = Receiver::start().expect("a receiver");
    // With pauses that double, the time is over before the seventh.
    receiver.answer_with(std::iter::repeat_n(Answer::status(503), 8).chain([Answer::Ok]));
    let bridge = bridge(&receiver.endpoint());
    write(&bridge, RECORDS);
    bridge.shutdown(Duration::from_secs(4)).expect("the ninth try succeeds");
    assert_eq!(otlp(&bridge).delivered, RECORDS);
}
