//! `explain` predicts the outcome of each record. The tests use random configurations, log records through both
//! facades, and check which records arrive at the receiver and on the console. `check` and the report agree.
//!
//! Composed pipelines share one process; each installed pipeline has its own. A failure shows the seed of its
//! configuration; `cargo test --test process -- consistency` uses the same seeds each time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use fastrand::Rng;
use log::Log;
use logbridge::testing::Receiver;
use logbridge::{
    Bridge, Builder, Console, Env, Explanation, Facade, Level, LevelFilter, Logger, Otlp, Place, Repetition, Stage,
    Threshold,
};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter as Limit, Targets};
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt as _};

use crate::runner::{Group, named};
use crate::support::{Child, Finished, is_long};

pub(crate) const GROUP: Group = Group {
    name: "consistency",
    tests: named![
        explain_predicts_what_becomes_of_records_of_composed_pipelines,
        explain_predicts_what_becomes_of_records_of_installed_pipelines,
    ],
    scenarios: named![consistent_composed, consistent_installed],
};

/// How many configurations one process plays.
const COMPOSED: u64 = 500;
const PROCESSES: u64 = 4;
const INSTALLED: u64 = 40;

const PATIENCE: Duration = Duration::from_secs(30);
const UNANSWERED: &str = "the active subscriber forwards it";
const TARGETS: [&str; 6] = ["app", "app::db", "application", "lib", "my-target", "k=v,x"];
const WORDS: [&str; 8] = ["off", "error", "warn", "info", "debug", "trace", "notset", "warning"];

fn explain_predicts_what_becomes_of_records_of_composed_pipelines() {
    let configurations = if is_long() { COMPOSED * 10 } else { COMPOSED };
    let play = |process: u64| {
        let first = process * configurations;
        let child = with_filters(Child::new("consistent_composed"), first);
        let child = child.arg(first.to_string()).arg(configurations.to_string());
        child.deadline(Duration::from_secs(1_200)).run()
    };
    let children: Vec<Finished> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PROCESSES).map(|process| scope.spawn(move || play(process))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a child that ends")).collect()
    });
    for child in children {
        let child = child.success();
        assert_eq!(child.numbers().get("played"), configurations, "{child}");
        assert!(child.numbers().get("arrived") > configurations, "{child}");
    }
}

fn explain_predicts_what_becomes_of_records_of_installed_pipelines() {
    for seed in 0..INSTALLED {
        let mut random = Rng::with_seed(seed);
        let mut child = with_filters(Child::new("consistent_installed"), seed).arg(seed.to_string());
        for variable in ["RUST_LOG", "LOGBRIDGE_OTLP_LEVEL", "LOGBRIDGE_CONSOLE_LEVEL"] {
            if random.u8(..3) == 0 {
                child = child.env(variable, spec(&mut random));
            }
        }
        if random.u8(..4) == 0 {
            child = child.env("LOGBRIDGE_SPAN_LEVEL", WORDS[random.usize(..WORDS.len())]);
        }
        if random.u8(..6) == 0 {
            child = child.env("LOGBRIDGE_COUNT_BELOW", "debug");
        }
        child.run().success();
    }
}

/// Filters that the builders of the child may read.
fn with_filters(child: Child, seed: u64) -> Child {
    let mut random = Rng::with_seed(seed);
    (0..VARIABLES).fold(child, |child, number| child.env(&variable(number), filter(&mut random)))
}

const VARIABLES: usize = 8;

fn variable(number: usize) -> String {
    format!("CONSISTENCY_{number}")
}

/// Directives, at random.
fn spec(random: &mut Rng) -> String {
    let mut directives = Vec::new();
    for _ in 0..random.usize(..4) {
        let word = WORDS[random.usize(..WORDS.len())];
        directives.push(match random.usize(..TARGETS.len() * 2) {
            // The last target cannot be written.
            number if number < TARGETS.len() - 1 => format!("{}={word}", TARGETS[number]),
            _ => word.to_owned(),
        });
    }
    directives.join(",")
}

/// The same, sometimes with a message filter.
fn filter(random: &mut Rng) -> String {
    let spec = spec(random);
    if random.u8(..6) == 0 { format!("{spec}/foo") } else { spec }
}

fn level_filter(random: &mut Rng) -> LevelFilter {
    LevelFilter::iter().nth(random.usize(..6)).expect("a level")
}

fn limit(random: &mut Rng) -> Limit {
    [Limit::OFF, Limit::ERROR, Limit::WARN, Limit::INFO, Limit::DEBUG, Limit::TRACE][random.usize(..6)]
}

fn threshold(random: &mut Rng) -> Threshold {
    if random.u8(..8) == 0 { Threshold::NotSet } else { level_filter(random).into() }
}

/// What a console prints into.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The logger in `log`'s slot: somebody else's, which may hand records on.
struct Switch(RwLock<Option<(Logger, Hands)>>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hands {
    /// Records, and the question whether they are wanted.
    Everything,
    /// Records, and says itself that they are wanted.
    Records,
    /// Records, and says that none is wanted.
    RecordsAndDenies,
    Nothing,
}

static SWITCH: Switch = Switch(RwLock::new(None));

impl Log for Switch {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        match &*self.0.read().expect("no panic") {
            Some((logger, Hands::Everything)) => logger.enabled(metadata),
            Some((_, Hands::Records)) => true,
            _ => false,
        }
    }

    fn log(&self, record: &log::Record<'_>) {
        match &*self.0.read().expect("no panic") {
            None | Some((_, Hands::Nothing)) => {}
            Some((logger, _)) => logger.log(record),
        }
    }

    fn flush(&self) {}
}

/// Another layer beside ours.
struct Other;

impl<S: tracing::Subscriber> Layer<S> for Other {
    fn on_event(&self, _event: &tracing::Event<'_>, _context: LayerContext<'_, S>) {}
}

/// A subscriber of somebody else; none where nobody listens.
fn subscriber(random: &mut Rng, bridge: &Bridge, said: &mut String) -> Option<Dispatch> {
    let kind = random.u8(..12);
    let limit = limit(random);
    let mut targets = Targets::new();
    for _ in 0..random.u8(..3) {
        targets = targets.with_target(TARGETS[random.usize(..TARGETS.len())], self::limit(random));
    }
    if random.bool() {
        targets = targets.with_default(self::limit(random));
    }
    write!(said, " subscriber={kind} limit={limit} targets={targets}").expect("a string");
    let registry = tracing_subscriber::registry();
    Some(match kind {
        0 => return None,
        1 => Dispatch::new(registry.with(bridge.layer()).with(limit)),
        2 => Dispatch::new(registry.with(limit).with(bridge.layer())),
        3 => Dispatch::new(registry.with(bridge.layer().with_filter(limit))),
        4 => Dispatch::new(registry.with(bridge.layer().with_filter(targets)).with(Other)),
        5 => Dispatch::new(registry.with(Other)),
        6 => Dispatch::new(registry.with(bridge.layer()).with(targets)),
        7 => Dispatch::new(registry.with(Other.with_filter(limit)).with(bridge.layer())),
        8 => {
            Dispatch::new(registry.with(Other.with_filter(targets)).with(bridge.layer()).with(Other.with_filter(limit)))
        }
        _ => Dispatch::new(registry.with(bridge.layer())),
    })
}

/// One configuration as it is played.
struct Played<'a> {
    seed: u64,
    /// For whoever reads a failure.
    said: String,
    random: Rng,
    bridge: &'a Bridge,
    receiver: &'a Receiver,
    printed: Option<Printed>,
    hands: Option<Hands>,
    /// How many similar records pass.
    repetition: Option<u64>,
    suppressed: bool,
    unsampled: bool,
    expected: Vec<Expected>,
    /// Of all records so far: how many, whether each was explained in time, how many arrived (with the canary), were printed.
    written: usize,
    is_known: bool,
    arrived: usize,
    prints: usize,
    passed: HashMap<(Facade, usize, Level), u64>,
}

#[derive(Debug)]
struct Expected {
    text: String,
    sent: bool,
    printed: bool,
    /// Whether all that was asked has answered.
    is_known: bool,
    explanation: String,
}

impl Played<'_> {
    /// Whether a condition of an explanation is met by this record.
    fn meets(&self, condition: &str, text: &str, passed: u64) -> bool {
        match condition {
            "its text matches `foo`" => text.contains("foo"),
            "the logger in log's slot forwards it to this Bridge's logger" => self.hands != Some(Hands::Nothing),
            "it is not part of an unsampled trace" => !self.unsampled,
            // On a machine that is too busy to ask: then nothing is promised.
            UNANSWERED => true,
            text if text.starts_with("its callsite logs no more than ") => {
                self.repetition.is_some_and(|most| passed < most)
            }
            other => panic!("seed {}: what is `{other}`?", self.seed),
        }
    }

    fn predict(&self, of: &Explanation, text: &str, passed: u64) -> (bool, bool) {
        let meet = |condition: &str| self.meets(condition, text, passed);
        (
            of.stopped_before_otlp().is_none() && of.conditions_of_otlp().all(meet),
            of.stopped_before_console().is_none() && of.conditions_of_console().all(meet),
        )
    }

    /// Writes a record through a facade, and notes what is expected of it.
    fn write(&mut self, facade: Facade, target: usize, level: Level, word: &str) {
        let explanation = self.bridge.explain(TARGETS[target], level).through(facade);
        self.written += 1;
        let text = format!("{word} #{}-{}#", self.seed, self.written);
        let passed = self.passed.get(&(facade, target, level)).copied().unwrap_or_default();
        let (sent, printed) = self.predict(&explanation, &text, passed);
        match facade {
            Facade::Log => log::log!(target: TARGETS[target], level, "{text}"),
            _ => event(target, level, &text),
        }
        *self.passed.entry((facade, target, level)).or_default() += u64::from(sent);
        let is_known = explanation.conditions_of_console().all(|condition| condition != UNANSWERED);
        self.is_known &= is_known;
        let explanation = format!("{facade}: {explanation}");
        self.expected.push(Expected { text, sent, printed, is_known, explanation });
    }

    fn write_all(&mut self) {
        for _ in 0..4 {
            let target = self.random.usize(..TARGETS.len());
            let level = Level::iter().nth(self.random.usize(..5)).expect("a level");
            for facade in [Facade::Log, Facade::Tracing] {
                for word in ["foo", "bar"] {
                    self.write(facade, target, level, word);
                }
            }
        }
    }

    /// Compares with what really became of them.
    fn compare(&mut self, is_shut: bool) -> usize {
        if !is_shut {
            self.bridge.flush(PATIENCE).unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        }
        let arrived: Vec<String> = self.receiver.take_logs().iter().map(|log| log.message()).collect();
        let printed = self
            .printed
            .as_ref()
            .map(|printed| String::from_utf8_lossy(&printed.0.lock().expect("no panic")).into_owned());
        let printed = printed.unwrap_or_default();
        for Expected { text, sent, printed: prints, explanation, .. } in self.expected.iter().filter(|of| of.is_known) {
            let was_sent = arrived.iter().filter(|message| *message == text).count();
            let was_printed = printed.matches(text.as_str()).count();
            assert_eq!(
                (was_sent, was_printed),
                (usize::from(*sent), usize::from(*prints)),
                "seed {}: (sent, printed) of `{text}`;{}\n{explanation}\nlevels:\n{}",
                self.seed,
                self.said,
                self.bridge.levels(),
            );
        }
        self.arrived += arrived.len();
        self.prints += self.expected.iter().filter(|expected| expected.printed).count();
        self.expected.clear();
        let report = self.bridge.report();
        let counters = &report.counters;
        assert_eq!(counters.offered, counters.below + counters.passed, "seed {}", self.seed);
        // Where it is installed, others write too: the receiver of this very process.
        if self.hands.is_some() && self.is_known {
            let printed = counters.console.accepted;
            assert_eq!(printed, self.prints as u64, "seed {}:{}\n{report}", self.seed, self.said);
            if !is_shut {
                assert_eq!(counters.otlp.delivered, self.arrived as u64, "seed {}:{}\n{report}", self.seed, self.said);
            }
        }
        self.arrived
    }

    /// The canary comes as far as a record of its target would.
    fn check(&mut self) {
        let check = self.bridge.check(PATIENCE);
        for canary in check.canaries.iter().filter(|canary| canary.place == Place::ThisThread) {
            let explanation = self.bridge.explain("logbridge::canary", canary.level).through(canary.facade);
            if explanation.conditions_of_otlp().any(|condition| condition == UNANSWERED) {
                continue;
            }
            let (sent, _) = self.predict(&explanation, "canary of logbridge", 0);
            assert_eq!(canary.sent, sent, "seed {}: {canary:?};{}\n{explanation}\n{check}", self.seed, self.said);
        }
        self.arrived += self.receiver.take_logs().len();
    }
}

/// A callsite for each target and level.
fn event(target: usize, level: Level, text: &str) {
    macro_rules! at {
        ($target:literal) => {
            match level {
                Level::Error => tracing::error!(target: $target, "{text}"),
                Level::Warn => tracing::warn!(target: $target, "{text}"),
                Level::Info => tracing::info!(target: $target, "{text}"),
                Level::Debug => tracing::debug!(target: $target, "{text}"),
                Level::Trace => tracing::trace!(target: $target, "{text}"),
            }
        };
    }
    match target {
        0 => at!("app"),
        1 => at!("app::db"),
        2 => at!("application"),
        3 => at!("lib"),
        4 => at!("my-target"),
        _ => at!("k=v,x"),
    }
}

/// What code says, at random.
struct Code {
    builder: Builder,
    printed: Option<Printed>,
    repetition: Option<u64>,
    levels_file: Option<std::path::PathBuf>,
}

fn code(random: &mut Rng, seed: u64, mut builder: Builder, receiver: &Receiver, said: &mut String) -> Code {
    builder.max_bytes(1 << 20);
    if random.u8(..3) == 0 {
        builder.filter_level(threshold(random));
    }
    for _ in 0..random.u8(..3) {
        builder.filter_module(TARGETS[random.usize(..TARGETS.len())], threshold(random));
    }
    if random.u8(..8) == 0 {
        let filter = filter(random);
        write!(said, " parse_filters={filter}").expect("a string");
        builder.parse_filters(&filter);
    }
    if random.u8(..8) == 0 {
        builder.count_below(level_filter(random));
    }
    if random.u8(..4) == 0 {
        builder.span_level(threshold(random));
    }
    let mut otlp = match random.u8(..8) {
        0 => Otlp::off(),
        _ => Otlp::to(receiver.endpoint()),
    };
    if random.u8(..3) == 0 {
        otlp = otlp.level(threshold(random)).module_level(TARGETS[random.usize(..TARGETS.len())], threshold(random));
    }
    builder.otlp(otlp.trace_based(random.u8(..4) == 0).traces_off());
    let printed = (random.u8(..6) > 0).then(Printed::default);
    let mut console = printed.clone().map_or_else(Console::off, Console::pipe);
    if random.u8(..3) == 0 {
        console =
            console.level(threshold(random)).module_level(TARGETS[random.usize(..TARGETS.len())], threshold(random));
    }
    builder.console(console);
    let repetition = (random.u8(..8) == 0).then_some(1);
    if let Some(records) = repetition {
        builder.repetition(Repetition::at_most(records, Duration::from_secs(3_600)));
    }
    let levels_file = (random.u8(..12) == 0).then(|| {
        let path = std::env::temp_dir().join(format!("logbridge-consistency-{}-{seed}", std::process::id()));
        let text = format!("{}\n[otlp]\n{}\n", spec(random), spec(random));
        std::fs::write(&path, text).expect("a levels file");
        builder.levels_file(&path);
        path
    });
    Code { builder, printed, repetition, levels_file }
}

fn change_levels(random: &mut Rng, bridge: &Bridge) {
    for _ in 0..random.u8(..3) {
        let levels = bridge.levels().of([Stage::Module, Stage::Module, Stage::Otlp, Stage::Console][random.usize(..4)]);
        let target = if random.u8(..3) == 0 { "" } else { TARGETS[random.usize(..TARGETS.len())] };
        match random.u8(..6) {
            0 => drop(levels.unset(target)),
            1 => levels.replace(&spec(random)).expect("directives"),
            _ => levels.set(target, threshold(random)),
        }
    }
}

/// A context in which nothing is sampled.
fn unsampled() -> Context {
    let (trace, span) = (TraceId::from(1_u128), SpanId::from(1_u64));
    let context = SpanContext::new(trace, span, TraceFlags::default(), true, TraceState::default());
    Context::current().with_remote_span_context(context)
}

/// Plays what comes after the start.
fn play(mut played: Played<'_>, subscriber: Option<&Dispatch>) -> usize {
    let is_shut = played.random.u8(..15) == 0;
    if is_shut {
        played.bridge.shutdown(PATIENCE).expect("nothing to deliver");
    }
    let suppressed = played.suppressed.then(Context::enter_telemetry_suppressed_scope);
    let unsampled = played.unsampled.then(|| unsampled().attach());
    let checks = played.random.u8(..10) == 0 && suppressed.is_none() && unsampled.is_none();
    let played = RefCell::new(played);
    let write = || {
        played.borrow_mut().write_all();
        // Levels that change in between.
        let (mut random, bridge) = (played.borrow().random.clone(), played.borrow().bridge);
        change_levels(&mut random, bridge);
        played.borrow_mut().write_all();
        if checks {
            // What was written so far must not be taken away with the canary's.
            let mut played = played.borrow_mut();
            played.compare(is_shut);
            played.check();
        }
    };
    match subscriber {
        Some(subscriber) => tracing::dispatcher::with_default(subscriber, write),
        None => write(),
    }
    drop((suppressed, unsampled));
    played.into_inner().compare(is_shut)
}

fn consistent_composed(arguments: &[String]) {
    let [first, configurations] = [0, 1].map(|place| arguments[place].parse::<u64>().expect("a number"));
    let receiver = Receiver::start().expect("a receiver");
    log::set_logger(&SWITCH).expect("the slot is free");
    let mut arrived = 0;
    for seed in first..first + configurations {
        arrived += compose(seed, &receiver);
    }
    println!("played={configurations}\narrived={arrived}");
}

fn compose(seed: u64, receiver: &Receiver) -> usize {
    let mut random = Rng::with_seed(seed);
    let mut said = String::new();
    let number = random.usize(..VARIABLES);
    let builder = match random.u8(..5) {
        0 => Builder::new(),
        1 => Builder::from_env(Env::new().filter_or("CONSISTENCY_UNSET", spec(&mut random))),
        2 => Builder::from_env(Env::new().filter("CONSISTENCY_UNSET")),
        _ => Builder::from_env(Env::new().filter(variable(number))),
    };
    let mut code = code(&mut random, seed, builder, receiver, &mut said);
    let bridge = code.builder.build().expect("builds");
    let hands = [Hands::Everything, Hands::Everything, Hands::Records, Hands::RecordsAndDenies, Hands::Nothing];
    let hands = hands[random.usize(..hands.len())];
    let logger = bridge.logger();
    log::set_max_level(if random.bool() { logger.filter() } else { level_filter(&mut random) });
    write!(said, " max={} hands={hands:?}", log::max_level()).expect("a string");
    *SWITCH.0.write().expect("no panic") = Some((logger, hands));
    change_levels(&mut random, &bridge);
    let subscriber = subscriber(&mut random, &bridge, &mut said);
    let played = Played {
        seed,
        said,
        suppressed: random.u8(..12) == 0,
        unsampled: random.u8(..6) == 0,
        random,
        bridge: &bridge,
        receiver,
        printed: code.printed,
        hands: Some(hands),
        repetition: code.repetition,
        expected: Vec::new(),
        written: 0,
        is_known: true,
        arrived: 0,
        prints: 0,
        passed: HashMap::new(),
    };
    let arrived = play(played, subscriber.as_ref());
    *SWITCH.0.write().expect("no panic") = None;
    bridge.shutdown(PATIENCE).ok();
    if let Some(path) = code.levels_file {
        std::fs::remove_file(path).expect("it is there");
    }
    arrived
}

fn consistent_installed(arguments: &[String]) {
    let seed: u64 = arguments[0].parse().expect("a number");
    let mut random = Rng::with_seed(seed + 1_000_000);
    let receiver = Receiver::start().expect("a receiver");
    let mut said = String::new();
    let builder = match random.u8(..4) {
        0 => Builder::new(),
        1 => Builder::from_env(Env::new().filter(variable(random.usize(..VARIABLES)))),
        2 => Builder::from_env(Env::new().default_filter_or(spec(&mut random))),
        _ => Builder::from_default_env(),
    };
    let mut code = code(&mut random, seed, builder, &receiver, &mut said);
    let bridge = code.builder.try_init().expect("installs");
    change_levels(&mut random, &bridge);
    if random.u8(..3) == 0 {
        log::set_max_level(level_filter(&mut random));
    }
    write!(said, " max={}", log::max_level()).expect("a string");
    let subscriber = (random.u8(..3) == 0).then(|| subscriber(&mut random, &bridge, &mut said)).flatten();
    let played = Played {
        seed,
        said,
        suppressed: random.u8(..12) == 0,
        unsampled: random.u8(..6) == 0,
        random,
        bridge: &bridge,
        receiver: &receiver,
        printed: code.printed,
        hands: None,
        repetition: code.repetition,
        expected: Vec::new(),
        written: 0,
        is_known: true,
        arrived: 0,
        prints: 0,
        passed: HashMap::new(),
    };
    play(played, subscriber.as_ref());
    if let Some(path) = code.levels_file {
        std::fs::remove_file(path).expect("it is there");
    }
}
