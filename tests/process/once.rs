//! A value is formatted once per record, regardless of the number of destinations and of the code that reads the
//! record.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use logbridge::{Builder, Mirror, Otlp, Redact, Repetition};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, flush, receiver};

pub(crate) const GROUP: Group =
    Group { name: "once", tests: named![a_value_is_formatted_once], scenarios: named![format_once] };

thread_local! {
    static FORMATTED: Cell<u32> = const { Cell::new(0) };
}

fn count() {
    FORMATTED.set(FORMATTED.get() + 1);
}

/// Counts how often it is formatted, serialized or streamed.
struct Counts;

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        count();
        f.write_str("counted")
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Counts {}

impl serde::Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        count();
        serializer.collect_map([("counted", 1)])
    }
}

impl sval::Value for Counts {
    fn stream<'sval, S: sval::Stream<'sval> + ?Sized>(&'sval self, stream: &mut S) -> sval::Result {
        count();
        stream.bool(true)
    }
}

/// An error whose own text is constant and whose source counts.
#[derive(Debug)]
struct Caused(Counts);

impl fmt::Display for Caused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("caused")
    }
}

impl Error for Caused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[derive(Debug)]
struct Passes;

impl LogProcessor for Passes {
    fn emit(&self, _record: &mut SdkLogRecord, _scope: &opentelemetry::InstrumentationScope) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

type Setup = fn(&mut Builder);

const WAYS: &[(&str, Setup)] = &[
    ("console, otlp and mirror", |builder| {
        // Where both go to one pipe, the mirror replaces the console.
        builder.mirror(Mirror::Text);
    }),
    ("console and otlp", |_| {}),
    ("console only", |builder| {
        builder.otlp(Otlp::off());
    }),
    ("otlp only", |builder| {
        builder.console(logbridge::Console::off());
    }),
    ("mirror only", |builder| {
        builder.otlp(Otlp::off()).console(logbridge::Console::off()).mirror(Mirror::Json);
    }),
    ("text filter", |builder| {
        builder.parse_filters("info/.");
    }),
    ("text filter without console", |builder| {
        builder.parse_filters("info/.").console(logbridge::Console::off());
    }),
    ("redaction", |builder| {
        builder.redact(Redact::new().keys(["password"]).values(["secret"]));
    }),
    ("repetition", |builder| {
        builder.repetition(Repetition::at_most(1_000, Duration::from_secs(60)));
    }),
    ("exception events", |builder| {
        builder.exception_events(true);
    }),
    ("processors", |builder| {
        builder.log_processor(Passes);
    }),
    ("processors without console", |builder| {
        builder.log_processor(Passes).console(logbridge::Console::off());
    }),
    ("a custom format", |builder| {
        builder.format(|line, record| {
            use std::io::Write as _;
            struct Prints<'a>(&'a mut env_logger::fmt::Formatter);
            impl<'kvs> log::kv::VisitSource<'kvs> for Prints<'_> {
                fn visit_pair(
                    &mut self,
                    key: log::kv::Key<'kvs>,
                    value: log::kv::Value<'kvs>,
                ) -> Result<(), log::kv::Error> {
                    // Errors are lent as they are, so that a format can follow their sources: formatting is up to it.
                    if value.to_borrowed_error().is_none() {
                        write!(self.0, " {key}={value} {value:?}")?;
                    }
                    Ok(())
                }
            }
            write!(line, "{} {}", record.args(), record.args())?;
            record.key_values().visit(&mut Prints(line)).map_err(std::io::Error::other)?;
            writeln!(line)
        });
    }),
    ("official appenders", |builder| {
        builder.official_appenders();
    }),
    ("official appenders without console", |builder| {
        builder.official_appenders().console(logbridge::Console::off());
    }),
];

#[track_caller]
fn once(what: &str, log: impl FnOnce()) {
    FORMATTED.set(0);
    log();
    let times = FORMATTED.get();
    if times != 1 {
        println!("FORMATTED {times} times: {what}");
    }
}

fn format_once(arguments: &[String]) {
    let (way, setup) = WAYS.iter().find(|(way, _)| arguments == [*way]).expect("a way");
    let mut builder = logbridge::builder();
    setup(&mut builder);
    builder.init();
    let error = || Counts;
    let is_official = way.starts_with("official");
    once("message of log", || log::info!("{}", Counts));
    once("message of log without a place", || {
        log::logger().log(&log::Record::builder().level(log::Level::Info).args(format_args!("{}", Counts)).build());
    });
    once("key-value of log, Display", || log::info!(key:% = Counts; "words"));
    once("key-value of log, Debug", || log::info!(key:? = Counts; "words"));
    once("key-value of log, serde", || log::info!(key:serde = Counts; "words"));
    once("key-value of log, sval", || log::info!(key:sval = Counts; "words"));
    once("key-value of log, error", || log::info!(key:err = error(); "words"));
    let _span = tracing::info_span!("span").entered();
    once("message of tracing", || tracing::info!("{}", Counts));
    once("field of tracing, Display", || tracing::info!(key = %Counts, "words"));
    once("field of tracing, Debug", || tracing::info!(key = ?Counts, "words"));
    once("field of tracing, error", || tracing::info!(key = &error() as &(dyn Error + 'static), "words"));
    once("field of tracing without a message", || tracing::info!(key = %Counts));
    once("error of tracing", || tracing::error!(error = &error() as &(dyn Error + 'static), "words"));
    once("error of tracing as text", || tracing::error!(error = %Counts, other = 1, "words"));
    once("error of tracing without a message", || tracing::error!(error = %Counts));
    // Nothing but the encoder asks for the sources.
    if !is_official && !way.contains("console only") {
        once("source of an error of log", || log::info!(key:err = Caused(Counts); "words"));
        once("source of an error of tracing", || {
            tracing::error!(key = &Caused(Counts) as &(dyn Error + 'static), "words")
        });
    }
    flush();
}

fn a_value_is_formatted_once() {
    for (way, _) in WAYS {
        let receiver = receiver();
        let child = Child::new("format_once").arg(way).to(&receiver).run().success().within(SLACK);
        let wrong: Vec<&str> = child.stdout.lines().filter(|line| line.starts_with("FORMATTED")).collect();
        assert_eq!(wrong, [""; 0], "{way}: {child}");
        let expected = match way.contains("only") && !way.contains("otlp") {
            true => 0,
            false if way.starts_with("official") => 15,
            false => 17,
        };
        assert_eq!(receiver.logs().len(), expected, "{way}: {child}");
    }
}
