//! Levels that change while the program runs, the notice about the first filtered record, counts of filtered records,
//! and explanations.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use logbridge::{Level, LevelFilter, Stage, Threshold};

use crate::runner::{Group, named};
use crate::support::{Child, Finished, arrived, assert_arrived, flush, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "levels",
    tests: named![
        a_call_after_a_change_obeys_it_in_both_facades,
        a_file_is_watched_and_half_written_ones_never_count,
        a_limited_time_ends_also_in_a_forked_child,
        cuts_are_counted_by_target_and_directive,
        explanations_name_the_gate,
        nobody_is_told_of_a_first_cut_where_somebody_chose_levels,
        probes_before_events_lose_none,
        texts_are_filtered_as_in_env_logger,
        the_first_cut_is_said_once_and_closes_the_facades,
        the_table_is_shown_at_the_start_where_that_is_asked_for,
    ],
    scenarios: named![change_levels, count_cuts, filtered_texts, explain, first_cut, limited_time, probes, watch_file],
};

/// Writes through both facades, and each time from the same callsites.
fn write(what: &str, number: u32) {
    log::info!(target: "app", "{what} log {number}");
    tracing::info!(target: "app", "{what} tracing {number}");
    log::debug!(target: "app::db", "{what} log deep {number}");
    tracing::debug!(target: "app::db", "{what} tracing deep {number}");
}

fn change_levels(arguments: &[String]) {
    let rounds: u32 = arguments[0].parse().expect("a number");
    const THREADS: usize = 3;
    logbridge::init();
    let levels = logbridge::bridge().expect("installed").levels();
    let barrier = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let barrier = &barrier;
            scope.spawn(move || {
                for round in 0..rounds {
                    let number = round * THREADS as u32 + thread as u32;
                    barrier.wait();
                    write("wanted", number);
                    barrier.wait();
                    // While the levels change.
                    (0..20).for_each(|_| write("either", number));
                    barrier.wait();
                    write("unwanted", number);
                    barrier.wait();
                    (0..20).for_each(|_| write("either", number));
                }
            });
        }
        for round in 0..rounds {
            // Sometimes the facades are open anyway, sometimes they open and close with the change.
            levels.set("other", if round % 2 == 0 { LevelFilter::Trace } else { LevelFilter::Off });
            levels.replace("off,app=info,app::db=debug").expect("good");
            barrier.wait();
            barrier.wait();
            levels.replace(if round % 3 == 0 { "off" } else { "warn,app=error" }).expect("good");
            barrier.wait();
            barrier.wait();
            levels.set("app", Threshold::NotSet);
        }
    });
    flush();
    print_counters();
}

fn a_call_after_a_change_obeys_it_in_both_facades() {
    let receiver = receiver();
    let child = Child::new("change_levels").arg("40").to(&receiver).env("LOGBRIDGE_CONSOLE", "off");
    let child = child.run().success().quiet();
    let logs = receiver.logs();
    assert!(!logs.iter().any(|log| log.message().starts_with("unwanted")), "{child}");
    for number in 0..120 {
        for what in ["log", "tracing", "log deep", "tracing deep"] {
            let message = format!("wanted {what} {number}");
            assert_eq!(arrived(&logs, &message), 1, "{message}: {child}");
        }
    }
    let counters = child.numbers();
    assert_eq!(counters.get("offered"), counters.get("below") + counters.get("passed"));
    assert_eq!(counters.get("otlp.delivered"), counters.get("passed"));
}

fn limited_time(_: &[String]) {
    logbridge::init();
    let levels = logbridge::bridge().expect("installed").levels();
    let wait_until = |threshold: Threshold| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while levels.threshold("app") != threshold {
            assert!(Instant::now() < deadline, "it stays {:?}", levels.threshold("app"));
            std::thread::yield_now();
        }
    };
    levels.set_for("app", Level::Trace, Duration::from_millis(50));
    assert_eq!(levels.threshold("app"), Threshold::Trace);
    wait_until(Threshold::Info);
    // Set for good meanwhile, it stays.
    levels.set_for("app", Level::Trace, Duration::from_millis(20));
    levels.set("app", Level::Debug);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(levels.threshold("app"), Threshold::Debug);
    assert!(levels.unset("app") && !levels.unset("app"));
    // A child that was forked meanwhile keeps the appointment too, from its first record on.
    levels.set_for("app", Level::Trace, Duration::from_millis(50));
    // SAFETY: the child runs ordinary code; the parent's other threads hold nothing that it needs.
    let pid = unsafe { libc::fork() };
    log::info!("a record");
    wait_until(Threshold::Info);
    if pid == 0 {
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child ended well");
}

fn a_limited_time_ends_also_in_a_forked_child() {
    let receiver = receiver();
    Child::new("limited_time").to(&receiver).run().success().quiet();
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

fn watch_file(arguments: &[String]) {
    let path = Path::new(&arguments[0]);
    logbridge::init();
    let levels = logbridge::bridge().expect("installed").levels();
    assert_eq!(levels.threshold("app"), Threshold::Debug, "read at the start");
    assert_eq!(levels.of(Stage::Otlp).threshold("app"), Threshold::Error);
    println!("{levels}");
    let becomes = |threshold: Threshold| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while levels.threshold("app") != threshold {
            assert!(Instant::now() < deadline, "it stays {:?}", levels.threshold("app"));
            std::thread::yield_now();
        }
    };
    std::fs::write(path, "app=trace\n").expect("written");
    becomes(Threshold::Trace);
    assert_eq!(levels.of(Stage::Otlp).threshold("app"), Threshold::NotSet, "what the file no longer says is gone");
    // No line break at the end, as while somebody writes it.
    std::fs::write(path, "app=in").expect("written");
    std::fs::write(path, "app=inof\n").expect("written");
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(levels.threshold("app"), Threshold::Trace, "the last good one stays");
    std::fs::remove_file(path).expect("removed");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(levels.threshold("app"), Threshold::Trace, "the last good one stays");
    std::fs::write(path, "app=warn\n").expect("written");
    becomes(Threshold::Warn);
    levels.set("app", Level::Info);
    assert_eq!(levels.threshold("app"), Threshold::Info, "run time wins over the file");
}

fn a_file_is_watched_and_half_written_ones_never_count() {
    let path = scratch("levels");
    std::fs::write(&path, "# of the test\napp=debug\n[otlp]\napp=error\n").expect("written");
    let receiver = receiver();
    let child = Child::new("watch_file").arg(path.display().to_string()).to(&receiver);
    let child = child.env("LOGBRIDGE_LEVELS_FILE", path.display().to_string()).run().success();
    std::fs::remove_file(&path).expect("removed");
    assert!(child.stdout.contains(&format!("{}:2: app=DEBUG", path.display())), "{child}");
    child.said(":1: `app=inof`: its level is not one of").said("cannot be read").warned(2);
}

fn first_cut(arguments: &[String]) {
    logbridge::init();
    assert_eq!(log::max_level(), if arguments[0] == "told" { LevelFilter::Info } else { LevelFilter::Warn });
    let records = || {
        log::debug!(target: "shop::db", "never the first");
        tracing::info!(target: "shop::cart", "cut");
        log::info!(target: "shop::db", "cut");
    };
    records();
    assert_eq!(log::max_level(), LevelFilter::Warn, "closed");
    // tracing closes some time soon. A closed callsite evaluates no field.
    let is_open = || {
        let evaluated = std::cell::Cell::new(false);
        tracing::info!(target: "shop::cart", evaluated = evaluated.replace(true), "cut");
        evaluated.get()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_open() {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(tracing::level_filters::LevelFilter::current(), tracing::level_filters::LevelFilter::DEBUG, "for spans");
    records();
    log::warn!("passes");
}

/// The lines on stderr that speak of a first cut.
fn told(child: &Finished) -> usize {
    child.count("was filtered: no level is set, so only WARN and above pass")
}

fn the_first_cut_is_said_once_and_closes_the_facades() {
    let child = Child::new("first_cut").arg("told").run().success().quiet();
    assert_eq!(told(&child), 1, "{child}");
    let child = child
        .said("logbridge: note: a record of shop::cart at INFO was filtered: no level is set")
        .said("so only WARN and above pass")
        .said("this is shown once")
        .said("help: RUST_LOG=info passes all of them, RUST_LOG=shop=info only records of shop");
    assert_eq!(child.count("help: RUST_LOG="), 1);
    // Unless logbridge's own voice is turned down.
    for (level, times) in [("none", 0), ("warn", 0), ("info", 1)] {
        let child = Child::new("first_cut")
            .arg("told")
            .env("OTEL_LOG_LEVEL", level)
            .env("OTEL_SDK_DISABLED", "true")
            .run()
            .success()
            .quiet();
        assert_eq!(told(&child), times, "{level}: {child}");
    }
    // Also with an empty RUST_LOG, which is unset.
    let child = Child::new("first_cut").arg("told").env("RUST_LOG", "").run().success();
    assert_eq!(told(&child), 1, "{child}");
    // And what it says is true.
    let child = Child::new("first_cut").arg("chosen").env("RUST_LOG", "shop=warn").run().success();
    assert_eq!(told(&child), 0, "{child}");
}

fn nobody_is_told_of_a_first_cut_where_somebody_chose_levels() {
    for (name, value) in [
        ("RUST_LOG", "warn"),
        ("RUST_LOG", "other=warn"),
        ("LOGBRIDGE_OTLP_LEVEL", "error"),
        ("LOGBRIDGE_CONSOLE_LEVEL", "warn"),
        ("LOGBRIDGE_FIRST_CUT", "false"),
    ] {
        let child = Child::new("first_cut").arg("chosen").env(name, value).run().success().quiet();
        assert_eq!(told(&child), 0, "{name}={value}: {child}");
    }
}

fn count_cuts(arguments: &[String]) {
    let mut builder = logbridge::builder();
    if let Some(level) = arguments.first() {
        builder.count_below(level.parse().expect("a level"));
    }
    builder.init();
    for number in 0..3 {
        log::info!(target: "shop::cart", "{number}");
        tracing::info!(target: "shop::db", "{number}");
        log::debug!(target: "shop::db", "{number}");
        log::warn!(target: "shop::db", "{number}");
    }
    for target in 0..600 {
        log::info!(target: &format!("tenant-{target}"), "too many to tell apart");
    }
    let report = logbridge::bridge().expect("installed").report();
    for cut in report.cuts.iter().filter(|cut| !cut.target.starts_with("tenant")) {
        println!("{}|{}|{}|{}|{}", cut.stage, cut.target, cut.level, cut.records, cut.by);
    }
    println!("cuts={}", report.cuts.iter().map(|cut| cut.records).sum::<u64>());
    print!("{report}");
    print_counters();
}

fn cuts_are_counted_by_target_and_directive() {
    let child = Child::new("count_cuts")
        .env("RUST_LOG", "warn,shop::cart=error,x=info")
        .env("LOGBRIDGE_CONSOLE_LEVEL", "error");
    let child = child.run().success().quiet();
    for line in [
        "module stage|shop::cart|INFO|3|RUST_LOG: shop::cart=ERROR",
        "module stage|shop::db|INFO|3|RUST_LOG: WARN",
        "console|shop::db|WARN|3|LOGBRIDGE_CONSOLE_LEVEL: ERROR",
    ] {
        assert!(child.stdout.lines().any(|found| found == line), "{line}: {child}");
    }
    assert!(
        child
            .stdout
            .lines()
            .any(|line| line.starts_with("module stage||INFO|") && line.ends_with("counted separately")),
        "{child}"
    );
    let counters = child.numbers();
    assert_eq!(counters.get("cuts"), counters.get("below") + counters.get("console.below"), "all are counted: {child}");
    assert_eq!(counters.get("below"), 606, "DEBUG never came: {child}");
    // Opened for counting.
    for child in [
        Child::new("count_cuts").arg("debug").env("RUST_LOG", "warn"),
        Child::new("count_cuts").env("RUST_LOG", "warn").env("LOGBRIDGE_COUNT_BELOW", "debug"),
    ] {
        let child = child.run().success().quiet();
        child.numbers().expect(&[("below", 609), ("passed", 3)]);
        assert!(
            child.stdout.contains("3       shop::db at DEBUG, by RUST_LOG: WARN")
                || child.stdout.contains("module stage|shop::db|DEBUG|3|RUST_LOG: WARN"),
            "{child}"
        );
    }
}

fn explain(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    let stopped = |target: &str, level| {
        let explanation = bridge.explain(target, level);
        let name = |gate: Option<&logbridge::Gate>| gate.map_or("-", |gate| gate.name);
        println!(
            "{target} {level}: otlp {} console {}",
            name(explanation.stopped_before_otlp()),
            name(explanation.stopped_before_console())
        );
        explanation
    };
    stopped("app", Level::Info);
    stopped("app::db", Level::Debug);
    stopped("app::db", Level::Info);
    let explanation = stopped("other", Level::Info);
    println!("{explanation}");
    log::set_max_level(LevelFilter::Off);
    stopped("app", Level::Error);
    log::set_max_level(LevelFilter::Trace);
    let suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
    stopped("app", Level::Error);
    drop(suppressed);
    tracing::subscriber::with_default(tracing_subscriber::registry(), || drop(stopped("app", Level::Error)));
    bridge.shutdown(Duration::from_secs(10)).expect("nothing to deliver");
    stopped("app", Level::Error);
    print_counters();
}

fn explanations_name_the_gate() {
    let receiver = receiver();
    let child = Child::new("explain").to(&receiver).env("RUST_LOG", "warn,app=debug");
    let child = child.env("LOGBRIDGE_CONSOLE_LEVEL", "app::db=warn").env("LOGBRIDGE_OTLP_LEVEL", "app::db=info").run();
    let child = child.success().quiet();
    let lines: Vec<&str> = child.stdout.lines().filter(|line| line.contains(": otlp ")).collect();
    assert_eq!(
        lines,
        [
            "app INFO: otlp - console -",
            "app::db DEBUG: otlp otlp's levels console console's levels",
            "app::db INFO: otlp - console console's levels",
            "other INFO: otlp module stage console module stage",
            "app ERROR: otlp log::max_level() console log::max_level()",
            "app ERROR: otlp suppression console -",
            "app ERROR: otlp tracing's subscriber console tracing's subscriber",
            "app ERROR: otlp running console -",
        ],
        "{child}"
    );
    for text in [
        "STOP  module stage",
        "RUST_LOG: WARN",
        "add other=info to RUST_LOG",
        "it reaches neither otlp nor the console",
    ] {
        assert!(child.stdout.contains(text), "{text}: {child}");
    }
    child.numbers().expect(&[("offered", 0)]);
}

/// What makes the usual layout lose every event: see `tests/stale_filter.rs`.
fn probes(_: &[String]) {
    logbridge::init();
    for number in 0..100 {
        assert!(!tracing::enabled!(target: "library", tracing::Level::DEBUG));
        assert!(!log::log_enabled!(target: "library", Level::Debug));
        tracing::info!(target: "app", "event {number}");
    }
    let levels = logbridge::bridge().expect("installed").levels();
    levels.set("library", Level::Debug);
    assert!(tracing::enabled!(target: "library", tracing::Level::DEBUG));
    assert!(log::log_enabled!(target: "library", Level::Debug));
}

fn probes_before_events_lose_none() {
    let receiver = receiver();
    let child = Child::new("probes").to(&receiver).env("LOGBRIDGE_CONSOLE", "off").run().success().quiet();
    assert_eq!(receiver.logs().len(), 100, "{child}");
}

fn the_table_is_shown_at_the_start_where_that_is_asked_for() {
    let receiver = receiver();
    let child = Child::new("explain").to(&receiver).env("LOGBRIDGE_SHOW_LEVELS", "1").env("RUST_LOG", "warn,app=debug");
    let child = child.run().success().quiet();
    let child = child.said(
        "logbridge: levels\nmodule stage\n  (root)  WARN    RUST_LOG: WARN\n  app     DEBUG   RUST_LOG: app=DEBUG\n",
    );
    assert_arrived(&receiver, &[], &child);
}

fn filtered_texts(_: &[String]) {
    logbridge::init();
    log::info!("paid 12 euro");
    log::info!("paid nothing");
    tracing::info!("paid 7 euro");
    tracing::info!(paid = 3, "not in the text");
    log::debug!("paid 1 euro");
    assert!(std::panic::catch_unwind(|| panic!("a panic is told all the same")).is_err());
    print_counters();
}

fn texts_are_filtered_as_in_env_logger() {
    let receiver = receiver();
    let child = Child::new("filtered_texts").to(&receiver).env("RUST_LOG", r"info/paid \d+").run().success().quiet();
    let arrived: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    assert_eq!(arrived.len(), 3, "{arrived:?}: {child}");
    assert!(["paid 12 euro", "paid 7 euro"].iter().all(|text| arrived.iter().any(|message| message == text)));
    child.numbers().expect(&[("below", 2), ("passed", 3), ("offered", 5)]);
    // What is no expression is said, and the levels count.
    let child = Child::new("filtered_texts").to(&receiver).env("RUST_LOG", "info/paid (").run().success().warned(1);
    child.numbers().expect(&[("passed", 5)]);
}
