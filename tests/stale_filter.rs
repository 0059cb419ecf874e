//! Shows why logbridge uses no per-layer filter. If a per-layer filter rejects a probe, its decision stays on the
//! thread, and the next event of an always-enabled callsite is dropped. The usual layout loses every event after such a
//! probe. logbridge, whose layer filters internally, loses none (`levels::probes_before_events_lose_none` has the same
//! with `init`).

#![allow(clippy::expect_used)] // A test may panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Builder, Console, LevelFilter, Otlp};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// Counts the events it is given, as an exporter's layer would take them.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() == "app" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn the_usual_layout_loses_all_events_behind_a_probe_and_our_layer_beside_it_none() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = Builder::new()
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .build()
        .expect("builds");
    let (console, exporter) = (Counting::default(), Counting::default());
    let subscriber = tracing_subscriber::registry()
        .with(console.clone().with_filter(tracing::level_filters::LevelFilter::DEBUG))
        .with(exporter.clone().with_filter(tracing::level_filters::LevelFilter::INFO))
        .with(bridge.layer());
    tracing::subscriber::set_global_default(subscriber).expect("the slot is free");
    for number in 0..100 {
        // What sqlx, ureq and others do before they build an expensive event.
        let _wanted = tracing::enabled!(target: "library", tracing::Level::DEBUG);
        tracing::info!(target: "app", "event {number}");
    }
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    let [console, exporter] = [console, exporter].map(|layer| layer.0.load(Ordering::Relaxed));
    assert_eq!((console, exporter), (100, 0), "the usual layout: if it loses none any more, say so in the README");
    assert_eq!(receiver.logs().iter().filter(|log| log.target() == "app").count(), 100);
}
