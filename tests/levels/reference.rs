//! The pitfalls of Python's NOTSET, row by row: the behavior of the reference SDK, and of the equivalent in logbridge.
//!
//! There, a logger's NOTSET means "ask my parent", a handler's "no threshold", the root's "everything", and the default of
//! the root is WARNING by the documentation and ERROR in the HyperDX distribution. Here one rule holds and is printed.

#![allow(clippy::expect_used)] // A test may panic.

use logbridge::{Bridge, Builder, Console, Level, LevelFilter, Otlp, Threshold};

struct Row {
    there: &'static str,
    exported_there: &'static str,
    set: fn(&mut Builder, Otlp) -> Otlp,
    /// The lowest level of `app::db` that is exported here.
    exported: Option<Level>,
}

const ROWS: &[Row] = &[
    Row {
        there: "handler NOTSET, nothing else",
        exported_there: "WARNING and above",
        set: |_, otlp| otlp,
        exported: Some(Level::Warn),
    },
    Row {
        there: "handler DEBUG: it cannot lower what loggers cut",
        exported_there: "WARNING and above, and nobody says why",
        set: |_, otlp| otlp.level(LevelFilter::Debug),
        exported: Some(Level::Warn),
    },
    Row {
        there: "logger.setLevel(DEBUG), the documented fix",
        exported_there: "all",
        set: |builder, otlp| {
            builder.filter_module("app::db", LevelFilter::Debug);
            otlp
        },
        exported: Some(Level::Debug),
    },
    Row {
        there: "parent \"app\" INFO: inherited",
        exported_there: "INFO and above",
        set: |builder, otlp| {
            builder.filter_module("app", LevelFilter::Info);
            otlp
        },
        exported: Some(Level::Info),
    },
    Row {
        there: "root.setLevel(NOTSET): on the root it means everything",
        exported_there: "all",
        set: |builder, otlp| {
            builder.filter_level(Threshold::NotSet);
            otlp
        },
        // One rule here: at the root, NOTSET means WARN.
        exported: Some(Level::Warn),
    },
    Row {
        there: "logger.setLevel(NOTSET): a no-op",
        exported_there: "WARNING and above",
        set: |builder, otlp| {
            builder.filter_module("app::db", Threshold::NotSet);
            otlp
        },
        exported: Some(Level::Warn),
    },
    Row {
        there: "handler ERROR and logger DEBUG: the stricter of both",
        exported_there: "ERROR and above",
        set: |builder, otlp| {
            builder.filter_module("app::db", LevelFilter::Debug);
            otlp.level(LevelFilter::Error)
        },
        exported: Some(Level::Error),
    },
];

fn bridge(set: fn(&mut Builder, Otlp) -> Otlp) -> Bridge {
    let mut builder = Builder::new();
    // Nothing is sent: it is only asked.
    let otlp = set(&mut builder, Otlp::to("http://127.0.0.1:9"));
    builder.otlp(otlp).console(Console::off()).build().expect("builds")
}

/// The lowest level that passes the stages of the way to otlp.
fn exported(bridge: &Bridge) -> Option<Level> {
    let passes = |level: &Level| {
        let explanation = bridge.explain("app::db", *level);
        let mut gates = explanation.common.iter().chain(&explanation.otlp);
        gates.all(|gate| gate.passes || !gate.name.contains("stage") && !gate.name.contains("levels"))
    };
    Level::iter().filter(passes).max()
}

#[test]
fn row_by_row() {
    for row in ROWS {
        assert_eq!(exported(&bridge(row.set)), row.exported, "{} (there: {})", row.there, row.exported_there);
    }
}

#[test]
fn what_there_nobody_says_is_a_finding_here() {
    let findings = bridge(|_, otlp| otlp.level(LevelFilter::Debug)).levels().findings();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].name, "threshold-without-effect");
    let shown = bridge(|_, otlp| otlp).levels().to_string();
    assert!(shown.contains("NOTSET means WARN"), "{shown}");
}

// Rows that cannot occur here:
//
// * propagate=False: there is no tree of loggers that hands records on; each destination sees what the module stage lets
//   through.
// * logging.disable(INFO), a global override: the nearest is `log::set_max_level` called by somebody later, which
//   `explain` names (`levels::explanations_name_the_gate`).
// * hyperdx's default of ERROR, set behind the user's back by basicConfig: no default is set by anything here, and the
//   table says what stands for it (above).
// * OTEL_LOG_LEVEL changing the application's levels: it does not here.
// * basicConfig and dictConfig after or before the SDK, configured twice: there is one slot for each facade; the second
//   `init` is an error that says where the first one was (`slots::…`).
