//! Statements of `explain`, `check`, reports and notices, each in a configuration in which it was once wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logbridge::{Bridge, Builder, Console, Env, Facade, Level, LevelFilter, Otlp};
use tracing_subscriber::filter::{LevelFilter as Limit, dynamic_filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::runner::{Group, named};
use crate::support::{Child, receiver};

pub(crate) const GROUP: Group = Group {
    name: "truth",
    tests: named![
        a_composed_logger_that_nobody_opened_reaches_nothing,
        a_composed_loggers_level_opens_log_and_closes_it_again,
        a_count_of_cuts_is_a_lower_bound_where_the_facades_have_closed,
        a_default_filter_is_kept_by_the_advice,
        a_directive_with_a_hyphen_that_a_record_has_met_is_no_finding,
        a_filter_of_the_whole_subscriber_is_named,
        a_level_that_was_lowered_is_said_below_what_the_levels_need_too,
        a_target_that_no_filter_can_name_is_set_in_code,
        a_message_filter_is_a_condition_and_the_canary_names_it,
        a_variable_that_is_not_read_is_not_named,
        no_layer_beside_ours_hears_our_own_threads,
        otlp_that_code_has_switched_off_is_switched_on_in_code,
        the_variable_that_is_read_is_named,
    ],
    scenarios: named![
        composed_and_set,
        default_filter,
        global_filter,
        lowered_below,
        met_hyphen,
        nobody_opened,
        no_variables,
        off_in_code,
        other_variable,
        own_threads,
        message_filter,
        three_cuts,
        unwritable,
    ],
};

const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn says(text: impl std::fmt::Display, words: &[&str]) {
    let text = text.to_string();
    for words in words {
        assert!(text.contains(words), "nothing says `{words}`:\n{text}");
    }
}

#[track_caller]
fn says_not(text: impl std::fmt::Display, words: &[&str]) {
    let text = text.to_string();
    for words in words {
        assert!(!text.contains(words), "something says `{words}`:\n{text}");
    }
}

fn message_filter(_: &[String]) {
    let bridge = logbridge::try_init().expect("installs");
    let explanation = bridge.explain("app", Level::Info);
    says(&explanation, &["if    text filter", "RUST_LOG: only records whose text matches `foo`"]);
    says(&explanation, &["it reaches otlp and the console if its text matches `foo`\n"]);
    let conditions: Vec<_> = explanation.conditions_of_otlp().collect();
    assert_eq!(conditions, ["its text matches `foo`"]);
    log::info!("bar");
    log::info!("foo");
    let check = bridge.check(PATIENCE);
    says(&check, &["(1) text filter: RUST_LOG: only records whose text matches `foo` pass", "no record was sent"]);
}

fn a_message_filter_is_a_condition_and_the_canary_names_it() {
    let receiver = receiver();
    Child::new("message_filter").to(&receiver).env("RUST_LOG", "info/foo").run().success().quiet();
    assert_eq!(receiver.logs().len(), 1);
}

fn other_variable(_: &[String]) {
    let bridge = logbridge::try_init_from_env(Env::new().filter("MY_LOG")).expect("installs");
    says(bridge.explain("app", Level::Info), &["change:  add app=info to MY_LOG\n"]);
    log::info!(target: "app", "cut");
    let report = bridge.report();
    says(&report, &["MY_LOG=info, or `Builder::filter_level(LevelFilter::Info)`"]);
    says_not(&report, &["RUST_LOG"]);
    says_not(bridge.explain("app", Level::Info), &["RUST_LOG"]);
}

fn the_variable_that_is_read_is_named() {
    let child = Child::new("other_variable").env("RUST_LOG", "trace").run().success();
    let child = child.said("help: MY_LOG=info passes all of them, MY_LOG=app=info only records of app");
    assert_eq!(child.count("RUST_LOG"), 0, "{child}");
    // What a destination has no use for, too.
    let child = Child::new("other_variable").env("LOGBRIDGE_CONSOLE_LEVEL", "app=debug").run();
    child.said(
        "so lower the threshold of the module stage, too: add app=debug to MY_LOG, or in code: Builder::filter_module(",
    );
}

fn default_filter(arguments: &[String]) {
    let env = Env::new().default_filter_or("warn,me=info");
    let bridge = logbridge::try_init_from_env(env).expect("installs");
    let explanation = bridge.explain("hyper", Level::Info);
    let change = "RUST_LOG=warn,me=info,hyper=info";
    if !arguments.is_empty() {
        assert!(explanation.stopped_before_console().is_none(), "{explanation}");
        assert!(bridge.explain("me", Level::Info).stopped_before_console().is_none());
    } else {
        says(explanation, &[&format!("change:  set {change}\n")]);
    }
}

fn a_default_filter_is_kept_by_the_advice() {
    Child::new("default_filter").run().success().quiet();
    // And the advice is true.
    Child::new("default_filter").arg("taken").env("RUST_LOG", "warn,me=info,hyper=info").run().success().quiet();
}

fn no_variables(_: &[String]) {
    let bridge = Builder::new().console(Console::stderr().level(LevelFilter::Debug)).try_init().expect("installs");
    let explanation = bridge.explain("app", Level::Info);
    says(&explanation, &["change:  in code: Builder::filter_module(\"app\", LevelFilter::Info)\n"]);
    says(bridge.explain("app", Level::Error), &["change:  set Builder::otlp in code"]);
    says_not(bridge.explain("app", Level::Info), &["RUST_LOG", "LOGBRIDGE_", "OTEL_"]);
    says_not(bridge.report(), &["RUST_LOG", "LOGBRIDGE_", "OTEL_"]);
}

fn a_variable_that_is_not_read_is_not_named() {
    let child = Child::new("no_variables").env("RUST_LOG", "trace").run().success();
    assert_eq!((child.count("RUST_LOG"), child.count("LOGBRIDGE_")), (0, 0), "{child}");
}

fn off_in_code(_: &[String]) {
    let bridge = logbridge::builder().otlp(Otlp::off()).console(Console::off()).try_init().expect("installs");
    let explanation = bridge.explain("app", Level::Error);
    says(&explanation, &["otlp is on", "code says Otlp::off()", "change:  remove Otlp::off() from the code"]);
    says(&explanation, &["change:  Builder::console(Console::stderr()) in code\n"]);
    says_not(&explanation, &["OTEL_EXPORTER_OTLP_ENDPOINT", "LOGBRIDGE_CONSOLE"]);
    says(bridge.report(), &["help: remove Otlp::off() from the code"]);
    says_not(bridge.report(), &["OTEL_EXPORTER_OTLP_ENDPOINT in the"]);
}

fn otlp_that_code_has_switched_off_is_switched_on_in_code() {
    let receiver = receiver();
    Child::new("off_in_code").to(&receiver).run().success().quiet();
}

fn lowered_below(_: &[String]) {
    let bridge = logbridge::try_init().expect("installs");
    log::set_max_level(LevelFilter::Error);
    let explanation = bridge.explain("app", Level::Debug);
    says(&explanation, &["STOP  log::max_level()", "ERROR: the levels need INFO; it was lowered after `init`"]);
    says_not(&explanation, &["as the levels require"]);
    let explanation = bridge.explain("app", Level::Info);
    says(&explanation, &["through log it reaches neither", "through tracing it reaches otlp and the console"]);
    log::set_max_level(LevelFilter::Info);
}

fn a_level_that_was_lowered_is_said_below_what_the_levels_need_too() {
    let receiver = receiver();
    Child::new("lowered_below").to(&receiver).run().success();
}

fn composed(printed: bool) -> Bridge {
    let console = if printed { Console::stderr() } else { Console::off() };
    Builder::new().filter_level(LevelFilter::Info).console(console).build().expect("builds")
}

fn nobody_opened(_: &[String]) {
    let bridge = composed(true);
    let explanation = bridge.explain("app", Level::Error);
    says(&explanation, &["STOP  log::max_level()", "OFF: the levels need INFO", "no subscriber is set"]);
    says(&explanation, &["it reaches neither otlp nor the console\n"]);
    let logger = bridge.logger();
    log::error!(logger: logger, "never");
    log::set_max_level(logger.filter());
    let explanation = bridge.explain("app", Level::Error);
    says(&explanation, &["through log it reaches the console if the logger in log's slot forwards it to this"]);
    log::error!(logger: logger, "now");
    log::set_boxed_logger(Box::new(logger)).expect("the slot is free");
    says(bridge.explain("app", Level::Error), &["through log it reaches the console, not otlp\n"]);
    says(bridge.check(PATIENCE), &["no subscriber is set, so tracing discards it"]);
}

fn a_composed_logger_that_nobody_opened_reaches_nothing() {
    let child = Child::new("nobody_opened").run().success();
    assert_eq!((child.count("never"), child.count("now")), (0, 1), "{child}");
}

fn composed_and_set(_: &[String]) {
    let bridge = composed(false);
    let levels = bridge.levels();
    levels.set("app", LevelFilter::Trace);
    assert_eq!(log::max_level(), LevelFilter::Off, "there is no logger of ours yet");
    levels.unset("app");
    let logger = bridge.logger();
    log::set_max_level(logger.filter());
    levels.set("app", LevelFilter::Debug);
    assert_eq!(log::max_level(), LevelFilter::Debug);
    levels.set_for("app", LevelFilter::Trace, Duration::from_millis(1));
    let deadline = std::time::Instant::now() + PATIENCE;
    while log::max_level() != LevelFilter::Info {
        assert!(std::time::Instant::now() < deadline, "it stays {}", log::max_level());
        std::thread::yield_now();
    }
    // Never below what whoever set it wanted.
    levels.set("", LevelFilter::Off);
    assert_eq!(log::max_level(), LevelFilter::Info);
    levels.set("", LevelFilter::Info);
    // Somebody has closed it: that stays, and is said.
    log::set_max_level(LevelFilter::Error);
    levels.set("app", LevelFilter::Debug);
    assert_eq!(log::max_level(), LevelFilter::Error);
    says(bridge.report(), &["note[LB057]: log: log::max_level() is ERROR, but the levels need DEBUG"]);
}

fn a_composed_loggers_level_opens_log_and_closes_it_again() {
    let child = Child::new("composed_and_set").run().success().warned(1);
    child.said("warning[LB057]: log::max_level() is ERROR, but the levels need DEBUG from now on");
}

fn global_filter(_: &[String]) {
    let bridge = composed(false);
    tracing_subscriber::registry().with(bridge.layer()).with(Limit::WARN).init();
    let explanation = bridge.explain("app", Level::Info).through(Facade::Tracing);
    let gate = explanation.stopped_before_otlp().map(|gate| gate.name);
    // With otlp off, what stops both comes first.
    assert_eq!(gate, Some("otlp is on"), "{explanation}");
    says(explanation, &["STOP  tracing's subscriber", "its filters pass nothing beyond WARN"]);
    says(bridge.explain("app", Level::Warn), &["it forwards events of this target and level to this Bridge's layer"]);
}

fn a_filter_of_the_whole_subscriber_is_named() {
    Child::new("global_filter").run().success().quiet();
}

fn three_cuts(arguments: &[String]) {
    let mut builder = logbridge::builder();
    if !arguments.is_empty() {
        builder.count_below(LevelFilter::Info);
    }
    let bridge = builder.try_init().expect("installs");
    (0..3).for_each(|number| log::info!("{number}"));
    let report = bridge.report();
    match arguments.first() {
        None => says(
            &report,
            &["levels: at least 1 record was filtered", "discard records below WARN without counting them"],
        ),
        Some(_) => says(&report, &["levels: 3 records were filtered because no level is set"]),
    }
    assert_eq!(report.complete_to, if arguments.is_empty() { LevelFilter::Warn } else { LevelFilter::Info });
}

fn a_count_of_cuts_is_a_lower_bound_where_the_facades_have_closed() {
    Child::new("three_cuts").run().success().quiet();
    Child::new("three_cuts").arg("counted").run().success().quiet();
}

fn met_hyphen(_: &[String]) {
    let bridge = logbridge::try_init().expect("installs");
    says(
        bridge.report(),
        &[
            "warning[LB011]: RUST_LOG: `my-target` has a `-`, but targets of Rust modules have `_`: it matches only targets written with `-`",
        ],
    );
    log::debug!(target: "my-target", "it has met it");
    assert!(bridge.report().findings.iter().all(|finding| finding.code != "LB011"), "{}", bridge.report());
    says_not(bridge.configuration(), &["LB011"]);
}

fn a_directive_with_a_hyphen_that_a_record_has_met_is_no_finding() {
    let child = Child::new("met_hyphen").env("RUST_LOG", "warn,my-target=debug").run().success();
    child.warned(1).said("help: if a module is meant, write: `warn,my_target=debug`");
}

fn unwritable(_: &[String]) {
    let bridge = logbridge::try_init().expect("installs");
    let explanation = bridge.explain("k=v,x", Level::Debug);
    let change = "in code, since this target cannot be written in RUST_LOG: Builder::filter_module(\"k=v,x\", LevelFilter::Debug)";
    says(&explanation, &[change]);
    says_not(&explanation, &["add k=v"]);
    log::info!(target: "k=v,x::y", "cut first");
}

fn a_target_that_no_filter_can_name_is_set_in_code() {
    let child = Child::new("unwritable").run().success();
    child
        .said("RUST_LOG=info passes all of them, Builder::filter_module(\"k=v,x\", LevelFilter::Info) only records of");
}

/// Counts the events and the spans that it hears of, as a layer that prints them would.
#[derive(Clone, Default)]
struct Heard(Arc<[AtomicUsize; 2]>);

impl Heard {
    fn note(&self, metadata: &tracing::Metadata<'_>) {
        self.0[usize::from(metadata.target() != "app")].fetch_add(1, Ordering::Relaxed);
    }

    /// Of the application, and of others.
    fn counts(&self) -> [usize; 2] {
        [0, 1].map(|place| self.0[place].load(Ordering::Relaxed))
    }
}

impl<S: tracing::Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        self.note(event.metadata());
    }

    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _context: Context<'_, S>) {
        self.note(attributes.metadata());
    }
}

fn own_threads(arguments: &[String]) {
    let bridge = logbridge::builder().filter_level(LevelFilter::Trace).console(Console::off()).build().expect("builds");
    let heard = Heard::default();
    let registry = tracing_subscriber::registry();
    match arguments[0].as_str() {
        "inside" => registry.with(bridge.layer()).with(heard.clone()).init(),
        "outside" => registry.with(heard.clone()).with(bridge.layer()).init(),
        "filtered" => {
            registry.with(heard.clone()).with(bridge.layer()).with(Heard::default().with_filter(Limit::WARN)).init()
        }
        "by itself" => registry.with(heard.clone()).with(dynamic_filter_fn(|_, _| !logbridge::is_own_thread())).init(),
        _ => registry.with(heard.clone()).init(),
    }
    let logger = bridge.logger();
    log::set_max_level(LevelFilter::Trace);
    for number in 0..3 {
        log::info!(logger: logger, target: "app", "{number}");
        tracing::info!(target: "app", "{number}");
        bridge.flush(PATIENCE).expect("delivered");
    }
    let [own, others] = heard.counts();
    assert_eq!(own, 3);
    // The events of the transport are real: otherwise nothing is tested here.
    assert_eq!(others > 0, arguments[0] == "nobody", "{others}");
}

fn no_layer_beside_ours_hears_our_own_threads() {
    for protocol in ["http/protobuf", "grpc"] {
        for place in ["inside", "outside", "filtered", "by itself", "nobody"] {
            let receiver = receiver();
            let child = Child::new("own_threads").arg(place).to(&receiver);
            child.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol).run().success().quiet();
        }
    }
}
