//! Spans at every kind of exit, in forks, with failing endpoints and in the debug mirror: the ids of a record always
//! refer to an exported span.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use logbridge::Otlp;
use logbridge::testing::{Answer, Attributes, ReceivedSpan, Receiver, Value};
use opentelemetry::Context;
use opentelemetry::trace::{Span as _, Tracer as _};

use crate::runner::{Group, named};
use crate::support::{
    Child, Finished, SLACK, assert_arrived, dead_end, flush, print_counters, receiver, wait_for_runner,
};

pub(crate) const GROUP: Group = Group {
    name: "spans",
    tests: named![
        a_dead_traces_endpoint_disturbs_no_record,
        a_full_queue_drops_and_counts,
        a_hanging_traces_endpoint_delays_the_exit_only_so_long,
        a_panic_in_main_delivers_its_span,
        a_panic_tells_its_span_no_more_than_redaction_allows,
        a_span_processor_that_logs_and_panics_does_not_deadlock,
        an_exit_while_threads_make_spans_does_not_go_on_for_ever,
        spans_and_carried_contexts_in_exit_handlers_do_no_harm,
        the_end_of_a_provider_is_not_the_end_of_the_records,
        an_idle_process_with_spans_at_trace_sends_nothing,
        errors_are_span_events_where_that_is_asked_for,
        forked_children_export_their_own_spans_and_no_others,
        records_of_unsampled_traces_are_cut_where_that_is_asked_for,
        shutdown_ends_what_is_open,
        spans_are_shown_by_the_mirror_behind_the_records_in_them,
        spans_arrive_on_return_from_main,
        spans_by_module,
        spans_of_a_suppressed_context_are_not_exported,
        spans_that_are_open_at_exit_are_ended_and_exported,
        with_the_traces_exporter_none_nothing_is_posted_there,
        without_opentelemetry_spans_cost_nothing_and_are_not_counted,
    ],
    scenarios: named![
        busy_exit,
        errors_in_spans,
        exit_in_a_span,
        fork_in_a_span,
        idle_with_spans,
        many_spans,
        nested_spans,
        panic_in_a_span,
        panics_in_spans_of_the_api,
        processor_that_logs_and_panics,
        providers_end,
        spans_in_an_exit_handler,
        shut_down_in_a_span,
        spans_of_modules,
        suppressed_spans,
        trace_based,
    ],
};

fn names(spans: &[ReceivedSpan]) -> BTreeSet<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// These spans arrived, once each, and every id on a record is that of one of them.
#[track_caller]
fn assert_spans(receiver: &Receiver, expected: &[&str], child: &Finished) {
    let spans = receiver.spans();
    assert_eq!((names(&spans), spans.len()), (expected.iter().copied().collect(), expected.len()), "{child}");
    assert_eq!(receiver.orphans(), [], "{child}");
}

/// Without regard to order.
fn sorted(attributes: &Attributes) -> BTreeMap<&str, &Value> {
    attributes.iter().collect()
}

fn nested_spans(_: &[String]) {
    logbridge::init();
    let outer = tracing::info_span!("outer", order = 1001).entered();
    log::info!("in outer");
    tracing::info_span!("inner").in_scope(|| tracing::info!("in inner"));
    let mut api = opentelemetry::global::tracer("api").start("by the api");
    api.end();
    drop(outer);
    log::info!("outside");
    print_counters();
}

fn spans_arrive_on_return_from_main() {
    let receiver = receiver();
    let child = Child::new("nested_spans").to(&receiver).run().success().quiet().within(SLACK);
    assert_arrived(&receiver, &["in outer", "in inner", "outside"], &child);
    assert_spans(&receiver, &["outer", "inner", "by the api"], &child);
    child.numbers().expect(&[("spans.ended", 3), ("spans.accepted", 3), ("spans.open", 0), ("spans.pending", 3)]);
    let spans = receiver.spans();
    let [outer, inner, api] = ["outer", "inner", "by the api"].map(|n| spans.iter().find(|s| s.name == n).expect("it"));
    assert_eq!((&inner.parent_span_id, &api.parent_span_id), (&outer.span_id, &outer.span_id));
    assert_eq!(outer.attribute("order"), Some(&1001.into()));
    assert_eq!(sorted(&outer.resource), sorted(&receiver.logs()[0].resource), "one resource");
    assert_eq!(receiver.requests().len(), 2, "one for each signal");
    let connections: BTreeSet<_> = receiver.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 2);
}

fn exit_in_a_span(_: &[String]) {
    logbridge::init();
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _worker = tracing::info_span!("worker").entered();
        log::info!("at work");
        ready.send(()).expect("main waits");
        std::thread::park_timeout(Duration::from_secs(60));
    });
    wait.recv().expect("the worker is at work");
    let main = tracing::info_span!("main", kind = "batch", result = tracing::field::Empty).entered();
    log::info!("about to exit");
    let _never_entered = tracing::info_span!("never entered");
    let mut api = opentelemetry::global::tracer("api").start("by the api");
    api.set_attribute(opentelemetry::KeyValue::new("late", true));
    main.record("result", "failed");
    let error = std::io::Error::other("disk full");
    tracing::error!(error = &error as &dyn std::error::Error, "giving up");
    std::process::exit(3);
}

fn spans_that_are_open_at_exit_are_ended_and_exported() {
    let receiver = receiver();
    let child = Child::new("exit_in_a_span").to(&receiver).run().code(3).quiet().within(SLACK);
    assert_arrived(&receiver, &["at work", "about to exit", "giving up"], &child);
    assert_spans(&receiver, &["worker", "main", "never entered", "by the api"], &child);
    let spans = receiver.spans();
    let main = spans.iter().find(|span| span.name == "main").expect("arrived");
    // With all that was recorded since it started.
    assert_eq!(main.attribute("result"), Some(&"failed".into()), "{main}");
    assert_eq!((main.status_code, main.status_message.as_str()), (2, "disk full"), "{main}");
    for span in spans {
        assert_eq!(span.attribute("logbridge.ended_at_exit"), Some(&true.into()), "{span}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
}

fn panic_in_a_span(_: &[String]) {
    logbridge::init();
    let _span = tracing::info_span!("doomed").entered();
    panic!("out of tea");
}

fn a_panic_in_main_delivers_its_span() {
    let receiver = receiver();
    let child = Child::new("panic_in_a_span").to(&receiver).run().code(101).quiet().within(SLACK);
    assert_spans(&receiver, &["doomed"], &child);
    let logs = receiver.logs();
    assert_eq!((logs.len(), &logs[0].span_id), (1, &receiver.spans()[0].span_id), "the panic belongs to it");
    let span = &receiver.spans()[0];
    assert_eq!(span.attribute("logbridge.ended_at_exit"), None, "unwinding ended it");
    assert_eq!((span.status_code, span.status_message.as_str()), (2, "out of tea"), "{span}");
}

fn panics_in_spans_of_the_api(arguments: &[String]) {
    use opentelemetry::trace::Tracer as _;
    let redact = arguments.iter().fold(logbridge::Redact::new(), |redact, word| match word.split_once('=') {
        Some(("key", key)) => redact.keys([key]),
        Some((_, value)) => redact.values([value]),
        None => redact,
    });
    logbridge::builder().redact(redact).init();
    // The hook may not be the first to ask for this thread's context.
    log::info!("before");
    let caught = std::panic::catch_unwind(|| {
        opentelemetry::global::tracer("api").in_span("doomed", |_| panic!("the password is rose"))
    });
    assert!(caught.is_err());
}

fn a_panic_tells_its_span_no_more_than_redaction_allows() {
    for (arguments, expected) in [
        (&[][..], "the password is rose"),
        (&["value=rose"], "the password is [redacted]"),
        (&["key=exception.message"], ""),
    ] {
        let receiver = receiver();
        let child = Child::new("panics_in_spans_of_the_api").to(&receiver);
        let child = arguments.iter().fold(child, Child::arg).run().success().quiet().within(SLACK);
        assert_spans(&receiver, &["doomed"], &child);
        let span = &receiver.spans()[0];
        assert_eq!((span.status_code, span.status_message.as_str()), (2, expected), "{span}");
    }
}

/// It is called while the SDK holds the lock of the span.
#[derive(Debug)]
struct LogsAndPanics;

impl opentelemetry_sdk::trace::SpanProcessor for LogsAndPanics {
    fn on_start(&self, _span: &mut opentelemetry_sdk::trace::Span, _context: &Context) {}

    fn on_end(&self, _span: opentelemetry_sdk::trace::SpanData) {
        let error = std::io::Error::other("inside");
        tracing::error!(error = &error as &dyn std::error::Error, "of tracing");
        log::error!(error:err = error; "of log");
        panic!("of a processor");
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

fn processor_that_logs_and_panics(_: &[String]) {
    use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
    logbridge::builder().span_processor(LogsAndPanics).exception_events(true).init();
    log::info!("before");
    let span = opentelemetry::global::tracer("api").start("ended while it is active");
    let _active = Context::current_with_span(span).attach();
    let end = || Context::map_current(|context| context.span().end());
    assert!(std::panic::catch_unwind(end).is_err());
    log::info!("after");
}

fn a_span_processor_that_logs_and_panics_does_not_deadlock() {
    let receiver = receiver();
    let child = Child::new("processor_that_logs_and_panics").to(&receiver).run().success().within(SLACK);
    let messages: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    for message in ["before", "of tracing", "of log", "after"] {
        assert!(messages.iter().any(|found| found == message), "{message}: {messages:?} {child}");
    }
}

fn shut_down_in_a_span(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    let span = tracing::info_span!("open").entered();
    log::info!("before");
    bridge.shutdown(Duration::from_secs(10)).expect("everything delivered");
    drop(span);
    drop(tracing::info_span!("after").entered());
    print_counters();
}

fn shutdown_ends_what_is_open() {
    let receiver = receiver();
    let child = Child::new("shut_down_in_a_span").to(&receiver).run().success().quiet().within(SLACK);
    assert_spans(&receiver, &["open"], &child);
    let expected = [("spans.ended", 2), ("spans.ended_at_exit", 1), ("spans.delivered", 1), ("spans.lost", 1)];
    child.numbers().expect(&expected);
}

/// Runs `child` in a forked process, which ends by `process::exit`; waits for it.
fn in_a_child(child: impl FnOnce()) {
    // SAFETY: the child runs ordinary code although the parent has other threads, which is what is tested.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child();
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the forked child did not end well");
}

fn fork_in_a_span(_: &[String]) {
    logbridge::init();
    drop(tracing::info_span!("before").entered());
    let mut parents = Some(tracing::info_span!("parent's").entered());
    in_a_child(|| {
        tracing::info_span!("child's").in_scope(|| log::info!("in the child"));
        // The child drops its copy of the parent's span.
        drop(parents.take());
        flush();
    });
    in_a_child(|| ());
    log::info!("in the parent");
}

fn forked_children_export_their_own_spans_and_no_others() {
    let receiver = receiver();
    let child = Child::new("fork_in_a_span").to(&receiver).run().success().quiet().within(SLACK);
    assert_arrived(&receiver, &["in the child", "in the parent"], &child);
    assert_spans(&receiver, &["before", "parent's", "child's"], &child);
    for log in receiver.logs() {
        let span = receiver.spans().into_iter().find(|span| span.span_id == log.span_id).expect("no orphans");
        assert_eq!(sorted(&span.resource), sorted(&log.resource), "{log}");
    }
    let pids: BTreeSet<_> = receiver.spans().iter().map(|span| span.resource["process.pid"].as_int()).collect();
    assert_eq!(pids.len(), 2);
}

fn many_spans(arguments: &[String]) {
    let number: u32 = arguments[0].parse().expect("a number");
    logbridge::init();
    for number in 0..number {
        tracing::info_span!("work", number).in_scope(|| log::info!("{number}"));
    }
    let flushed = logbridge::bridge().expect("installed").flush(Duration::from_millis(1_500));
    println!("{flushed:?}");
    print_counters();
}

fn a_dead_traces_endpoint_disturbs_no_record() {
    let dead = dead_end();
    let receiver = receiver();
    for (what, answer) in [
        ("refused", None),
        ("hanging", Some(Answer::Hang(Duration::from_secs(60)))),
        ("not there", Some(Answer::status(404))),
        ("busy", Some(Answer::status(503))),
        ("a page", Some(Answer::Html)),
    ] {
        receiver.clear();
        let traces = match answer {
            None => dead.url.clone(),
            Some(answer) => {
                receiver.answer_traces_always(answer);
                format!("{}/v1/traces", receiver.endpoint())
            }
        };
        let child = Child::new("many_spans").arg("20").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "300ms");
        let child = child.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces).run().success();
        let child = child.within(SLACK + Duration::from_millis(1_800));
        assert_eq!(receiver.logs().len(), 20, "{what}: {child}");
        child.numbers().expect(&[("otlp.delivered", 20), ("otlp.lost", 0), ("spans.ended", 20)]);
        assert!(child.stdout.contains("span"), "{what}: the flush tells of the spans: {child}");
        assert!(child.stderr.contains("span"), "{what}: {child}");
        assert!(!child.stderr.contains("records were"), "{what}: {child}");
    }
}

fn a_hanging_traces_endpoint_delays_the_exit_only_so_long() {
    let receiver = receiver();
    receiver.answer_traces_always(Answer::Hang(Duration::from_secs(60)));
    let child = Child::new("nested_spans").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "300ms");
    let child = child.run().success().within(SLACK).said("3 spans were not delivered before the process ended");
    assert_arrived(&receiver, &["in outer", "in inner", "outside"], &child);
}

fn a_full_queue_drops_and_counts() {
    let receiver = receiver();
    receiver.answer_traces_always(Answer::Hang(Duration::from_secs(60)));
    let child = Child::new("many_spans").arg("100").to(&receiver).env("OTEL_BSP_MAX_QUEUE_SIZE", "10");
    let child = child.env("LOGBRIDGE_EXIT_TIMEOUT", "100ms").run().success();
    child.numbers().expect(&[
        ("spans.accepted", 100),
        ("spans.pending", 10),
        ("spans.lost", 90),
        ("otlp.delivered", 100),
    ]);
    child.said("the queue of 10 spans is full").said("OTEL_BSP_MAX_QUEUE_SIZE");
}

fn idle_with_spans(_: &[String]) {
    logbridge::init();
    tracing::trace_span!("one").in_scope(|| log::trace!("one"));
    wait_for_runner();
    print_counters();
}

fn an_idle_process_with_spans_at_trace_sends_nothing() {
    let receiver = receiver();
    let child =
        Child::new("idle_with_spans").to(&receiver).env("RUST_LOG", "trace").env("LOGBRIDGE_SPAN_LEVEL", "trace");
    let child = child.env("OTEL_BLRP_SCHEDULE_DELAY", "20").env("OTEL_BSP_SCHEDULE_DELAY", "20");
    let mut child = child.start();
    assert_eq!(receiver.wait_for_requests(2, Duration::from_secs(20)).len(), 2);
    assert_eq!(receiver.wait_for_requests(3, Duration::from_millis(1_200)).len(), 2, "requests");
    child.release();
    let child = child.finish().success().quiet();
    child.numbers().expect(&[("spans.ended", 1), ("spans.delivered", 1), ("offered", 1)]);
    assert_spans(&receiver, &["one"], &child);
}

fn with_the_traces_exporter_none_nothing_is_posted_there() {
    let receiver = receiver();
    let child = Child::new("nested_spans").to(&receiver).env("OTEL_TRACES_EXPORTER", "none").run().success().quiet();
    assert!(receiver.requests().iter().all(|request| request.path == "/v1/logs"));
    assert_eq!(receiver.orphans().len(), 2, "records keep their ids: {child}");
    child.numbers().expect(&[("spans.ended", 0), ("spans.open", 0)]);
}

fn without_opentelemetry_spans_cost_nothing_and_are_not_counted() {
    let child = Child::new("nested_spans").env("RUST_LOG", "info").run().success().quiet();
    child.numbers().expect(&[("spans.ended", 0), ("offered", 3), ("otlp.off", 3)]);
}

fn trace_based(arguments: &[String]) {
    let wanted = arguments[0] == "yes";
    logbridge::builder().otlp(Otlp::from_env().trace_based(wanted)).init();
    tracing::info_span!("unsampled").in_scope(|| {
        log::info!("in a span");
        tracing::info!("in a span");
    });
    log::info!("outside");
    flush();
    print_counters();
}

fn records_of_unsampled_traces_are_cut_where_that_is_asked_for() {
    for (wanted, arrive, cut) in [("yes", &["outside"][..], 2), ("no", &["in a span", "in a span", "outside"], 0)] {
        let receiver = receiver();
        let child = Child::new("trace_based").arg(wanted).to(&receiver).env("OTEL_TRACES_SAMPLER", "always_off");
        let child = child.run().success().quiet();
        assert_arrived(&receiver, arrive, &child);
        assert_eq!(child.count("in a span"), 2, "the console shows them: {child}");
        let expected = [("otlp.unsampled", cut), ("passed", 3), ("otlp.accepted", 3 - cut), ("spans.ended", 0)];
        child.numbers().expect(&expected);
        assert!(receiver.spans().is_empty(), "{child}");
    }
}

mod noisy {
    pub(super) fn work() {
        let _span = tracing::info_span!("noise").entered();
        log::info!("from the noisy module");
    }
}

fn spans_of_modules(_: &[String]) {
    logbridge::init();
    let _span = tracing::info_span!("work").entered();
    noisy::work();
}

fn spans_by_module() {
    for (levels, expected) in [
        ("info,process::spans::noisy=off", &["work"][..]),
        ("off,process::spans::noisy=info", &["noise"]),
        ("info", &["work", "noise"]),
        ("warn", &[]),
    ] {
        let receiver = receiver();
        // Independent of the levels of records.
        let child = Child::new("spans_of_modules").to(&receiver).env("LOGBRIDGE_SPAN_LEVEL", levels);
        let child = child.run().success().quiet();
        assert_arrived(&receiver, &["from the noisy module"], &child);
        assert_spans(&receiver, expected, &child);
    }
}

fn suppressed_spans(_: &[String]) {
    logbridge::init();
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    tracing::info_span!("hidden").in_scope(|| log::info!("hidden"));
    print_counters();
}

fn spans_of_a_suppressed_context_are_not_exported() {
    let receiver = receiver();
    let child = Child::new("suppressed_spans").to(&receiver).run().success().quiet();
    assert_eq!(receiver.requests().len(), 0, "{child}");
    child.numbers().expect(&[("otlp.suppressed", 1), ("spans.ended", 0)]);
}

fn errors_in_spans(_: &[String]) {
    use std::error::Error;
    logbridge::init();
    let error = "tea".parse::<u32>().expect_err("no number");
    tracing::info_span!("of tracing").in_scope(|| {
        tracing::error!(error = &error as &dyn Error, "failed");
    });
    tracing::info_span!("of log").in_scope(|| log::error!(error:err = error; "failed"));
    tracing::info_span!("no error in it").in_scope(|| tracing::error!("just words"));
    let parent = tracing::info_span!("explicit");
    tracing::error!(parent: &parent, error = &error as &dyn Error, "failed");
    tracing::info_span!("warned").in_scope(|| tracing::warn!(error = &error as &dyn Error, "not so bad"));
    let panicked = std::panic::catch_unwind(|| {
        let _span = tracing::info_span!("panicked").entered();
        panic!("out of tea");
    });
    assert!(panicked.is_err());
}

fn errors_are_span_events_where_that_is_asked_for() {
    for wanted in [false, true] {
        let receiver = receiver();
        let child = Child::new("errors_in_spans").to(&receiver).env("LOGBRIDGE_EXCEPTION_EVENTS", wanted.to_string());
        let child = child.run().success().quiet();
        let spans = receiver.spans();
        assert_eq!(spans.len(), 6, "{child}");
        for span in &spans {
            let has_error = matches!(span.name.as_str(), "of tracing" | "of log" | "explicit" | "panicked");
            let events: Vec<&str> = span.events.iter().map(|event| event.name.as_str()).collect();
            assert_eq!(events, if wanted && has_error { &["exception"][..] } else { &[] }, "{span}");
            for event in &span.events {
                let message = if span.name == "panicked" { "out of tea" } else { "invalid digit found in string" };
                assert_eq!(event.attributes.get("exception.message"), Some(&message.into()), "{span}");
            }
            // As tracing-opentelemetry has it, for tracing's events.
            let status = match span.name.as_str() {
                "of tracing" | "explicit" => (2, "invalid digit found in string"),
                "no error in it" => (2, ""),
                "panicked" => (2, "out of tea"),
                _ => (0, ""),
            };
            assert_eq!((span.status_code, span.status_message.as_str()), status, "{span}");
        }
        assert_eq!(receiver.orphans(), [], "{child}");
    }
}

fn spans_are_shown_by_the_mirror_behind_the_records_in_them() {
    let receiver = receiver();
    let child = Child::new("nested_spans").to(&receiver).env("DEBUG", "true").run().success();
    let at = |text: &str| child.stdout.find(text).unwrap_or_else(|| panic!("no `{text}`: {child}"));
    assert!(at("in outer") < at("in inner") && at("in inner") < at(" SPAN  logbridge inner "), "{child}");
    assert!(
        at(" SPAN  logbridge inner ") < at(" SPAN  api by the api ")
            && at(" SPAN  api by the api ") < at(" SPAN  logbridge outer "),
        "{child}"
    );
    let line = child.stdout.lines().find(|line| line.contains(" SPAN  logbridge outer ")).expect("a line");
    let span = receiver.spans().into_iter().find(|span| span.name == "outer").expect("arrived");
    assert!(line.contains("SPAN") && line.contains(" order=1001 "), "{line}");
    assert!(line.ends_with(&format!("trace={} span={}", span.trace_id, span.span_id)), "{line}");
    // Also while they are not sent.
    let child = Child::new("nested_spans").env("OTEL_TRACES_EXPORTER", "console").env("RUST_LOG", "info");
    let child = child.env("OTEL_LOGS_EXPORTER", "none").run().success();
    assert_eq!(child.stdout.matches("SPAN").count(), 3, "{child}");
    child.numbers().expect(&[("mirrored", 3), ("spans.off", 3), ("spans.ended", 3), ("otlp.off", 3)]);
    assert_eq!(child.count("in outer"), 1, "the console stays: {child}");
}

fn busy_exit(_: &[String]) {
    logbridge::init();
    for _ in 0..4 {
        std::thread::spawn(|| {
            loop {
                let _span = tracing::info_span!("request").entered();
                std::thread::sleep(Duration::from_micros(50));
            }
        });
    }
    while logbridge::bridge().expect("installed").report().counters.spans.ended < 200 {
        std::thread::yield_now();
    }
    std::process::exit(0);
}

fn an_exit_while_threads_make_spans_does_not_go_on_for_ever() {
    let dead = dead_end();
    let child = Child::new("busy_exit").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run().success();
    child.within(Duration::from_secs(20));
}

extern "C" fn in_exit_handler() {
    let _span = tracing::info_span!("too late").entered();
    logbridge::carry_context(|| log::info!("in the exit handler"))();
}

struct InDestructor;

impl Drop for InDestructor {
    fn drop(&mut self) {
        let _span = tracing::info_span!("too late").entered();
        logbridge::carry_context(|| log::info!("in a destructor"))();
        // A panic inside which nothing may panic.
        assert!(std::panic::catch_unwind(|| panic!("in a destructor")).is_err());
    }
}

fn spans_in_an_exit_handler(_: &[String]) {
    thread_local! {
        static LATE: InDestructor = const { InDestructor };
    }
    logbridge::init();
    // SAFETY: the handler is a function that lives for ever; what it does is what is tested.
    assert_eq!(unsafe { libc::atexit(in_exit_handler) }, 0);
    for use_the_api_alone in [false, true] {
        let thread = std::thread::spawn(move || {
            LATE.with(|_| ());
            if use_the_api_alone {
                opentelemetry::global::tracer("api").start("in time").end();
            } else {
                tracing::info_span!("in time").in_scope(|| log::info!("in time"));
            }
        });
        thread.join().expect("no panic comes out");
    }
    tracing::info_span!("in time, in main").in_scope(|| log::info!("in time"));
}

fn spans_and_carried_contexts_in_exit_handlers_do_no_harm() {
    let receiver = receiver();
    let child = Child::new("spans_in_an_exit_handler").to(&receiver).run().success();
    let count = |message: &str| receiver.logs().iter().filter(|log| log.message() == message).count();
    assert_eq!((count("in the exit handler"), count("in a destructor"), count("in time")), (1, 2, 2), "{child}");
}

fn providers_end(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    let provider =
        opentelemetry_sdk::trace::SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    use opentelemetry::trace::TracerProvider as _;
    provider.tracer("theirs").start("of theirs").end();
    drop(provider);
    let logs = opentelemetry_sdk::logs::SdkLoggerProvider::builder().with_log_processor(bridge.log_processor()).build();
    logs.shutdown().expect("delivered");
    log::info!("the application goes on");
    tracing::info_span!("so do its spans").in_scope(|| ());
}

fn the_end_of_a_provider_is_not_the_end_of_the_records() {
    let receiver = receiver();
    let child = Child::new("providers_end").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["the application goes on"], &child);
    assert_spans(&receiver, &["of theirs", "so do its spans"], &child);
}
