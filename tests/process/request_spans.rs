//! Request spans that libraries create at DEBUG, spans below the span threshold, and records without ids.
//!
//! Stand-ins with the target and name of the real spans take the place of the libraries.

use std::collections::BTreeSet;
use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Bridge, Level, LevelFilter, Severity, Stage, Threshold};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::span::EnteredSpan;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, assert_arrived, flush, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "request_spans",
    tests: named![
        a_levels_file_decides_about_request_spans,
        a_run_time_level_decides_about_request_spans,
        a_second_server_span_of_a_request_is_not_created,
        calls_of_filtered_spans_are_counted_on_request,
        disabled_events_stay_disabled,
        filtered_spans_are_named,
        in_a_registry_of_the_application_its_filters_decide,
        levels_of_the_code_decide_about_request_spans,
        probes_get_the_answer_of_the_levels,
        programs_without_spans_raise_no_finding,
        records_in_a_request_have_ids,
        shares_of_records_without_ids_are_noted_by_target,
        spans_below_the_threshold_may_be_why,
        threads_without_context_are_named,
    ],
    scenarios: named![
        code_levels,
        count_spans,
        disabled_events,
        file_levels,
        filtered,
        guest,
        no_spans,
        probed,
        requests,
        run_time_levels,
        shares,
        spans_below,
        threads,
        two_server_spans,
    ],
};

const REQUEST: &str = "tower_http::trace::make_span";

/// As `TraceLayer` creates it.
fn request() -> EnteredSpan {
    tracing::debug_span!(target: "tower_http::trace::make_span", "request", method = "GET").entered()
}

/// As kube-client creates it.
fn kube() -> EnteredSpan {
    tracing::debug_span!(target: "kube_client::client::builder", "HTTP").entered()
}

/// As `logbridge-http` creates it.
fn server() -> EnteredSpan {
    tracing::info_span!(target: "logbridge_http::server", "GET /").entered()
}

fn span_names(receiver: &Receiver) -> Vec<String> {
    let mut names: Vec<String> = receiver.spans().into_iter().map(|span| span.name).collect();
    names.sort_unstable();
    names
}

/// The messages of records that have no ids.
fn without_ids(receiver: &Receiver) -> BTreeSet<String> {
    receiver.logs().iter().filter(|log| log.trace_id.is_empty()).map(|log| log.message()).collect()
}

fn is_enabled_now() -> bool {
    !request().is_disabled()
}

fn print_findings(bridge: &Bridge) {
    for finding in bridge.report().findings {
        println!(
            "finding {} {}: {} | {}",
            finding.code,
            finding.severity,
            finding.text,
            finding.help.unwrap_or_default()
        );
        assert!(finding.severity == Severity::Note || !["LB093", "LB100"].contains(&finding.code));
    }
}

fn findings<'c>(child: &'c Finished, code: &str) -> Vec<&'c str> {
    let start = format!("finding {code} ");
    child.stdout.lines().filter_map(|line| line.strip_prefix(&start)).collect()
}

fn requests(_: &[String]) {
    logbridge::init();
    {
        let _span = request();
        log::info!("log in a request");
        tracing::info!("tracing in a request");
        tracing::info_span!("handler").in_scope(|| log::info!("in the handler"));
    }
    {
        let _span = kube();
        log::info!("in kube");
        // Another span of that target is none of a request.
        let _other = tracing::debug_span!(target: "kube_client::client::builder", "other").entered();
        log::info!("deep in kube");
    }
    tracing::debug_span!("inner").in_scope(|| ());
    print_counters();
}

fn records_in_a_request_have_ids() {
    let all = ["log in a request", "tracing in a request", "in the handler", "in kube", "deep in kube"];
    for (levels, expected) in [
        (None, &["HTTP", "handler", "request"][..]),
        (Some("info"), &["HTTP", "handler", "request"]),
        (Some("app=debug"), &["HTTP", "handler", "request"]),
        (Some("warn"), &[]),
        (Some("off"), &[]),
        (Some("debug"), &["HTTP", "handler", "inner", "other", "request"]),
        (Some("tower_http=info"), &["HTTP", "handler"]),
        (Some("tower_http=off"), &["HTTP", "handler"]),
        (Some("kube_client=off"), &["handler", "request"]),
        (Some("warn,tower_http=debug"), &["request"]),
    ] {
        let receiver = receiver();
        let child = Child::new("requests").to(&receiver);
        let child = match levels {
            Some(levels) => child.env("LOGBRIDGE_SPAN_LEVEL", levels),
            None => child,
        };
        let child = child.run().success().quiet();
        assert_arrived(&receiver, &all, &child);
        assert_eq!(span_names(&receiver), expected, "{levels:?} {child}");
        assert_eq!(receiver.orphans(), [], "{levels:?} {child}");
        let has_all = expected.contains(&"request") && expected.contains(&"HTTP");
        assert_eq!(without_ids(&receiver).is_empty(), has_all, "{levels:?} {child}");
    }
}

fn code_levels(arguments: &[String]) {
    let mut builder = logbridge::builder();
    match arguments[0].as_str() {
        "root" => builder.span_level(LevelFilter::Warn),
        "target" => builder.span_module_level("tower_http", LevelFilter::Info),
        "other" => builder.span_module_level("app", LevelFilter::Debug),
        _ => builder.span_level(Threshold::NotSet),
    };
    builder.init();
    println!("enabled={}", u8::from(is_enabled_now()));
}

fn levels_of_the_code_decide_about_request_spans() {
    // Code takes precedence over the variable.
    for (code, variable, expected) in [
        ("root", "debug", 0),
        ("root", "tower_http=debug", 1),
        ("target", "tower_http=debug", 0),
        ("other", "", 1),
        ("not set", "warn", 1),
    ] {
        let receiver = receiver();
        let child = Child::new("code_levels").arg(code).to(&receiver).env("LOGBRIDGE_SPAN_LEVEL", variable);
        let child = child.run().success().quiet();
        assert_eq!(child.numbers().get("enabled"), expected, "{code} {variable} {child}");
    }
}

fn run_time_levels(_: &[String]) {
    logbridge::init();
    let levels = logbridge::bridge().expect("installed").levels().of(Stage::Span);
    let max = log::max_level();
    assert!(is_enabled_now());
    assert_eq!(levels.threshold(REQUEST), Threshold::Debug);
    levels.set("tower_http", LevelFilter::Info);
    assert!(!is_enabled_now());
    // The application may rebuild the interests of all callsites, too.
    tracing::callsite::rebuild_interest_cache();
    assert!(!is_enabled_now());
    levels.set("tower_http", Threshold::NotSet);
    assert!(is_enabled_now(), "NOTSET names no threshold");
    levels.unset("tower_http");
    levels.set("", LevelFilter::Error);
    assert!(!is_enabled_now());
    levels.set("", LevelFilter::Info);
    assert!(is_enabled_now());
    tracing::callsite::rebuild_interest_cache();
    assert!(is_enabled_now());
    levels.replace("tower_http::trace=notset").expect("good");
    assert!(!is_enabled_now(), "at its own target, NOTSET inherits from the root");
    levels.replace("").expect("good");
    assert!(is_enabled_now());
    levels.set("tower_http", LevelFilter::Trace);
    assert_eq!(log::max_level(), max, "spans do not open `log`");
}

fn a_run_time_level_decides_about_request_spans() {
    let receiver = receiver();
    Child::new("run_time_levels").to(&receiver).run().success().quiet();
}

fn file_levels(_: &[String]) {
    logbridge::init();
    println!("enabled={}", u8::from(is_enabled_now()));
}

fn a_levels_file_decides_about_request_spans() {
    for (text, expected) in
        [("[spans]\ntower_http=off\n", 0), ("[spans]\napp=debug\n", 1), ("[spans]\nwarn\n", 0), ("info\n", 1)]
    {
        let path = std::env::temp_dir().join(format!("logbridge-request-spans-{}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        let receiver = receiver();
        let child = Child::new("file_levels").to(&receiver);
        let child = child.env("LOGBRIDGE_LEVELS_FILE", path.to_str().expect("a readable name")).run();
        std::fs::remove_file(&path).expect("it is there");
        let child = child.success().quiet();
        assert_eq!(child.numbers().get("enabled"), expected, "{text} {child}");
    }
}

fn two_server_spans(_: &[String]) {
    logbridge::init();
    let explained = || logbridge::bridge().expect("installed").explain_span(REQUEST, "request", Level::Debug);
    assert_eq!(explained().stopped_by(), None, "{}", explained());
    {
        let _server = server();
        assert_eq!(explained().stopped_by().map(|gate| gate.name), Some("one span for a request"), "{}", explained());
        let second = request();
        assert!(second.is_disabled());
        log::info!("in both");
        tracing::info_span!("handler").in_scope(|| log::info!("in the handler"));
        let at_info = tracing::info_span!(target: "tower_http::trace::make_span", "request");
        assert!(at_info.is_disabled(), "at any level");
        // Of the same target, or of the same name, but not the span of a request.
        tracing::info_span!(target: "tower_http::trace::make_span", "other").in_scope(|| ());
        tracing::info_span!("request").in_scope(|| ());
    }
    {
        let _server = server();
        let _middleware = tracing::info_span!("middleware").entered();
        // A request of its own, as far as anybody knows.
        let _request = request();
        log::info!("in the inner request");
    }
    // On another thread, and after the server span.
    std::thread::spawn(|| drop(request())).join().expect("no panic");
    drop(request());
}

fn a_second_server_span_of_a_request_is_not_created() {
    for levels in ["info", "debug", "tower_http=debug"] {
        let receiver = receiver();
        let child = Child::new("two_server_spans").to(&receiver).env("LOGBRIDGE_SPAN_LEVEL", levels).run();
        let child = child.success().quiet();
        assert_arrived(&receiver, &["in both", "in the handler", "in the inner request"], &child);
        let expected = ["GET /", "GET /", "handler", "middleware", "other", "request", "request", "request", "request"];
        assert_eq!(span_names(&receiver), expected, "{child}");
        let (spans, logs) = (receiver.spans(), receiver.logs());
        let log = logs.iter().find(|log| log.message() == "in both").expect("arrived");
        let server = spans.iter().find(|span| span.span_id == log.span_id).expect("the server span");
        assert_eq!(server.name, "GET /", "the record has the ids of the server span");
        let handler = spans.iter().find(|span| span.name == "handler").expect("arrived");
        assert_eq!(handler.parent_span_id, server.span_id);
    }
}

fn guest(arguments: &[String]) {
    let bridge = logbridge::builder().build().expect("builds");
    let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("theirs"));
    let registry = tracing_subscriber::registry().with(layer).with(bridge.layer());
    if arguments[0] == "filter" {
        let filter = tracing_subscriber::filter::LevelFilter::INFO;
        tracing::subscriber::set_global_default(registry.with(filter)).expect("the slot is free");
    } else {
        tracing::subscriber::set_global_default(registry).expect("the slot is free");
    }
    {
        let _server = server();
        let _request = request();
        tracing::info!("in a request");
    }
    let explained = bridge.explain_span(REQUEST, "request", Level::Debug);
    let stopped_by = (arguments[0] == "filter").then_some("tracing's subscriber");
    assert_eq!(explained.stopped_by().map(|gate| gate.name), stopped_by, "{explained}");
    assert!(explained.to_string().contains("your own subscriber creates the spans"), "{explained}");
    assert_eq!(bridge.report().filtered_spans, [], "it filters no spans");
}

/// The layer hides no span from the other layers of the registry, and the span threshold is not theirs.
fn in_a_registry_of_the_application_its_filters_decide() {
    for (filter, expected) in [("none", &["GET /", "request"][..]), ("filter", &["GET /"])] {
        let receiver = receiver();
        let child = Child::new("guest").arg(filter).to(&receiver).env("LOGBRIDGE_SPAN_LEVEL", "off");
        let child = child.run().success().quiet();
        assert_arrived(&receiver, &["in a request"], &child);
        assert_eq!(span_names(&receiver), expected, "{child}");
        assert_eq!(without_ids(&receiver), BTreeSet::new(), "{child}");
    }
}

fn disabled_events(_: &[String]) {
    logbridge::init();
    assert_eq!(log::max_level(), LevelFilter::Info);
    assert_eq!(tracing::level_filters::LevelFilter::current(), tracing::level_filters::LevelFilter::DEBUG);
    let unformatted = || -> u8 { panic!("a disabled event evaluates no field") };
    let event = || tracing::debug!(value = unformatted(), "disabled");
    event();
    let levels = logbridge::bridge().expect("installed").levels();
    levels.set("process", LevelFilter::Debug);
    assert!(std::panic::catch_unwind(event).is_err(), "enabled");
    levels.unset("process");
    event();
    assert_eq!(log::max_level(), LevelFilter::Info);
    print_counters();
}

fn disabled_events_stay_disabled() {
    let receiver = receiver();
    let child = Child::new("disabled_events").to(&receiver).run().success().quiet();
    child.numbers().expect(&[("below", 0)]);
}

fn probed(_: &[String]) {
    logbridge::init();
    let levels = logbridge::bridge().expect("installed").levels();
    let event = || tracing::event_enabled!(target: "app", tracing::Level::DEBUG);
    let any = || tracing::enabled!(target: "app", tracing::Level::DEBUG);
    let request = || tracing::span_enabled!(target: "tower_http::trace::make_span", tracing::Level::DEBUG);
    let span = || tracing::span_enabled!(target: "app", tracing::Level::DEBUG);
    for _ in 0..2 {
        assert!(!event() && !any() && request() && !span());
        levels.set("app", LevelFilter::Debug);
        assert!(event() && any());
        levels.of(Stage::Span).replace("off,app=debug").expect("good");
        assert!(span() && !request());
        levels.unset("app");
        levels.of(Stage::Span).replace("").expect("good");
    }
}

fn probes_get_the_answer_of_the_levels() {
    let receiver = receiver();
    Child::new("probed").to(&receiver).run().success().quiet();
}

/// A span below the threshold, and one above it.
fn filtered_span() -> EnteredSpan {
    tracing::debug_span!(target: "app::db", "query").entered()
}

fn filtered(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    let names = || bridge.report().filtered_spans.iter().map(|span| span.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(), [""; 0]);
    drop(filtered_span());
    let report = bridge.report();
    let [span] = &report.filtered_spans[..] else { panic!("{:?}", report.filtered_spans) };
    assert_eq!(
        (span.target.as_str(), span.name.as_str(), span.level, span.calls),
        ("app::db", "query", Level::Debug, 0)
    );
    assert_eq!(span.by, "not set, so it is INFO");
    let shown = "filtered: `app::db` (`query` at DEBUG), by not set, so it is INFO";
    assert!(report.to_string().contains(shown), "{report}");
    assert!(
        report.to_json().contains(r#""filtered_spans":[{"by":"not set, so it is INFO","calls":0,"#),
        "{}",
        report.to_json()
    );
    assert!(bridge.levels().to_string().contains("  filtered so far: `app::db` (`query` at DEBUG)\n"));
    assert!(bridge.levels().to_string().contains("built in: tower_http::trace=DEBUG, for spans named `request`"));
    let explained = bridge.explain_span("app::db", "query", Level::Debug);
    let gate = explained.stopped_by().expect("filtered");
    assert_eq!((gate.name, gate.why.as_str()), ("span threshold", "not set, so it is INFO"));
    assert_eq!(gate.changes[0], "add app::db=debug to LOGBRIDGE_SPAN_LEVEL");
    assert!(explained.to_string().contains("filtered so far: `app::db` (`query` at DEBUG)"), "{explained}");
    assert_eq!(bridge.explain_span("app", "other", Level::Debug).filtered.len(), 1, "below the target");
    assert_eq!(bridge.explain_span("ap", "other", Level::Debug).filtered.len(), 0);
    // A span that passes now is no longer listed.
    bridge.levels().of(Stage::Span).set("app", LevelFilter::Debug);
    assert_eq!(names(), [""; 0]);
    assert!(!filtered_span().is_disabled());
    assert_eq!(bridge.explain_span("app::db", "query", Level::Debug).stopped_by(), None);
    bridge.levels().of(Stage::Span).replace("off").expect("good");
    drop((filtered_span(), request(), tracing::info_span!("at info").entered()));
    assert_eq!(names(), ["query", "at info", "request"]);
    assert!(bridge.report().filtered_spans.iter().all(|span| span.by == "run time: OFF"));
    print_counters();
}

fn filtered_spans_are_named() {
    let receiver = receiver();
    let child = Child::new("filtered").to(&receiver).run().success().quiet();
    child.numbers().expect(&[("offered", 0), ("spans.ended", 1)]);
}

fn count_spans(arguments: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    (0..3).for_each(|_| drop(filtered_span()));
    let other = || tracing::debug_span!(target: "app::db", "query").entered();
    (0..4).for_each(|_| drop(other()));
    // Neither of these is filtered by the threshold.
    drop(request());
    let _server = server();
    drop(request());
    let calls = || bridge.report().filtered_spans.iter().map(|span| span.calls).sum::<u64>();
    println!("spans={}\ncalls={}", bridge.report().filtered_spans.len(), calls());
    // SAFETY: the child runs ordinary code; this process has no other thread whose locks it needs.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        log::info!("in the child");
        assert_eq!(calls(), 0, "a child counts its own calls");
        drop(filtered_span());
        assert_eq!(calls(), u64::from(arguments[0] == "debug"));
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the forked child did not end well");
}

fn calls_of_filtered_spans_are_counted_on_request() {
    for (below, calls) in [("", 0), ("info", 0), ("debug", 7)] {
        let receiver = receiver();
        let child = Child::new("count_spans")
            .arg(below)
            .to(&receiver)
            .env("LOGBRIDGE_COUNT_BELOW", below)
            .run()
            .success()
            .quiet();
        child.numbers().expect(&[("spans", 1), ("calls", calls)]);
        assert_eq!(span_names(&receiver), ["GET /", "request"], "{child}");
    }
}

fn shares(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    tracing::info_span!("job").in_scope(|| (0..2).for_each(|n| log::info!(target: "app", "inside {n}")));
    (0..5).for_each(|n| log::info!(target: "app", "outside {n}"));
    flush();
    print_findings(&bridge);
    println!("--");
    // Most records have ids now, so that only targets with several records are noted.
    tracing::info_span!("job").in_scope(|| (0..40).for_each(|n| log::info!(target: "app", "inside {n}")));
    (0..3).for_each(|n| log::info!(target: "startup", "outside {n}"));
    (0..6).for_each(|n| log::info!(target: "worker", "outside {n}"));
    flush();
    assert!(bridge.check(Duration::from_secs(30)).findings.is_empty());
    print_findings(&bridge);
}

fn shares_of_records_without_ids_are_noted_by_target() {
    let receiver = receiver();
    let child = Child::new("shares").to(&receiver).run().success().quiet();
    let found = findings(&child, "LB093");
    let [first, second] = &found[..] else { panic!("{child}") };
    assert!(first.starts_with("note: 5 of 7 records have no trace id: 5 of 7 of `app` | log inside spans"), "{child}");
    assert!(second.starts_with("note: 14 of 56 records have no trace id: 6 of 6 of `worker` | "), "{child}");
    assert_eq!(findings(&child, "LB100"), [""; 0], "no span was filtered: {child}");
}

fn spans_below(_: &[String]) {
    logbridge::init();
    for round in 0..5 {
        // Filtered spans of the HTTP client are no suspects.
        let _client = tracing::debug_span!(target: "h2::proto::connection", "Connection").entered();
        let _span = tracing::debug_span!(target: "shop::orders", "order").entered();
        log::info!(target: "shop", "in a span that is not created {round}");
    }
    let _span = request();
    log::info!(target: "shop", "in a request");
    log::info!(target: "shop", "in a request, too");
    flush();
    print_findings(&logbridge::bridge().expect("installed"));
}

fn spans_below_the_threshold_may_be_why() {
    let receiver = receiver();
    let child = Child::new("spans_below").to(&receiver).run().success().quiet();
    let found = findings(&child, "LB100");
    assert_eq!(found.len(), 1, "{child}");
    let expected = "note: 5 of 7 records have no ids; spans of `shop::orders` (`order` at DEBUG) are below the span \
                    threshold and may be why | add shop::orders=debug to LOGBRIDGE_SPAN_LEVEL, or in code: ";
    assert!(found[0].starts_with(expected), "{child}");
    let child = Child::new("spans_below").to(&receiver).env("LOGBRIDGE_SPAN_LEVEL", "shop=debug").run().success();
    assert_eq!(findings(&child, "LB100"), [""; 0], "{child}");
}

fn threads(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    let many = |target: &str, number: u32| (0..number).for_each(|n| log::info!(target: target, "record {n}"));
    let run = |name: Option<&str>, work: &(dyn Fn() + Sync)| {
        let builder = name.map_or_else(std::thread::Builder::new, |name| std::thread::Builder::new().name(name.into()));
        std::thread::scope(|scope| builder.spawn_scoped(scope, work).expect("a thread").join().expect("no panic"));
    };
    // The main thread logs outside of spans while the program starts.
    many("app", 8);
    run(Some("requests"), &|| tracing::info_span!("request").in_scope(|| many("app", 90)));
    print_findings(&bridge);
    println!("--");
    run(Some("pool"), &|| many("app", 6));
    run(Some("pool"), &|| many("app", 1));
    run(None, &|| many("app", 5));
    run(Some("few"), &|| many("app", 4));
    flush();
    print_findings(&bridge);
    let report = bridge.report();
    let rows: Vec<_> =
        report.traced_threads.iter().map(|row| (row.name.as_deref(), row.records, row.with_trace)).collect();
    let expected =
        [(Some("requests"), 90, 90), (Some("main"), 8, 0), (Some("pool"), 7, 0), (None, 5, 0), (Some("few"), 4, 0)];
    assert_eq!(rows, expected);
    assert!(report.to_json().contains(r#"{"name":"pool","records":7,"with_trace":0}"#));
}

fn threads_without_context_are_named() {
    let receiver = receiver();
    let child = Child::new("threads").to(&receiver).run().success().quiet();
    let found = findings(&child, "LB093");
    assert_eq!(found.len(), 1, "{child}");
    let expected = "note: no record of these threads has a trace id, unlike others: `pool` (7 records), without a name \
                    (5 records) | ";
    assert!(found[0].starts_with(expected), "{child}");
}

fn no_spans(arguments: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    if arguments[0] == "request spans" {
        // Most records are in requests, and the rest is from startup and from a background thread.
        (0..3).for_each(|n| log::info!(target: "app::config", "startup {n}"));
        for number in 0..100 {
            let _span = request();
            log::info!(target: "app", "request {number}");
        }
        drop(filtered_span());
        std::thread::spawn(|| log::info!(target: "app::signal", "stopping")).join().expect("no panic");
    } else {
        (0..100).for_each(|n| log::info!(target: "job", "step {n}"));
        std::thread::spawn(|| (0..100).for_each(|n| tracing::info!(target: "job", "step {n}")))
            .join()
            .expect("no panic");
    }
    flush();
    print_findings(&bridge);
}

fn programs_without_spans_raise_no_finding() {
    for program in ["batch job", "request spans"] {
        let receiver = receiver();
        let child = Child::new("no_spans").arg(program).to(&receiver).run().success().quiet();
        assert_eq!((findings(&child, "LB093"), findings(&child, "LB100")), (vec![], vec![]), "{child}");
    }
}
