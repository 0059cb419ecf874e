//! The way of a record from a facade to the destinations: count, gate, encode once, hand over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::Level;

use super::buffers::{self, Buffers, Location};
use super::engine::{Engine, Engines};
use super::front::Front;
use super::lifecycle;
use super::processor::{Came, expecting};
use crate::config::Config;
use crate::console::{MirrorPrinter, Printed, Terminal};
use crate::error::{Error, Kind, Undelivered};
use crate::ledger::{Count, Counters, DropReason};
use crate::levels::Table;
use crate::otlp::{Head, RecordWriter, TraceIds, encode_scope_name};
use crate::outbox::{HEADER, Wake, begin_frame, end_frame};
use crate::ship::Flushed;
use crate::thread::{self, Call, guarded};

/// One way from facades to destinations, shared by all handles.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// `None` under somebody's provider, which has no module stage.
    pub(crate) module: Option<Table>,
    pub(crate) span: Table,
    otlp: Table,
    terminal: Option<Terminal>,
    mirror: Option<MirrorPrinter>,
    engines: Engines,
    front: Front,
    pub(crate) exit_timeout: Duration,
    /// Why the otlp destination is off, where it is.
    pub(crate) off_because: Option<&'static str>,
    pub(crate) endpoint: Option<String>,
    shut: AtomicBool,
    /// What was lost and unconfirmed when a flush last told it.
    told: Mutex<(u64, u64)>,
}

/// What the gate decided for one record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Verdict {
    console: bool,
    /// Accepted by the otlp destination.
    otlp: bool,
    /// Shown by the mirror: what passes otlp's threshold, also while the destination is off.
    mirror: bool,
}

/// What a facade lends for one record.
pub(super) trait Source {
    fn target(&self) -> &str;
    fn level(&self) -> Level;
    /// Whether only the otlp side sees it: a panic is printed by the previous hook.
    fn skips_console(&self) -> bool {
        false
    }
    fn severity_number(&self) -> u8 {
        severity_number(self.level())
    }
    fn severity_text(&self) -> &'static str {
        self.level().as_str()
    }
    fn event_name(&self) -> Option<&'static str> {
        None
    }
    fn trace(&self) -> Option<TraceIds> {
        buffers::current_trace()
    }
    /// Prints it as env_logger does.
    fn print(&self, terminal: &Terminal) -> Printed;
    fn location(&self) -> Location<'_>;
    /// Writes body and attributes.
    fn write(&self, writer: &mut RecordWriter<'_>);
}

/// The specification's number for a level.
pub(super) fn severity_number(level: Level) -> u8 {
    match level {
        Level::Error => 17,
        Level::Warn => 13,
        Level::Info => 9,
        Level::Debug => 5,
        Level::Trace => 1,
    }
}

impl Pipeline {
    pub(crate) fn new(config: &Config, engines: Engines, front: Front, has_module_stage: bool) -> Self {
        Self {
            module: has_module_stage.then(|| config.module.clone()),
            span: config.span.clone(),
            otlp: config.otlp.levels.clone(),
            terminal: Terminal::new(&config.console).filter(|_| has_module_stage),
            mirror: MirrorPrinter::new(config.mirror, config.console.format.is_test),
            engines,
            front,
            exit_timeout: config.exit_timeout,
            off_because: config.otlp.off_because,
            endpoint: config.otlp.delivery.as_ref().map(|delivery| delivery.endpoint.to_string()),
            shut: AtomicBool::new(false),
            told: Mutex::new((0, 0)),
        }
    }

    pub(crate) fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Whether a record would pass the module stage. Counts nothing.
    pub(crate) fn is_enabled(&self, target: &str, level: Level) -> bool {
        self.module.as_ref().is_none_or(|table| table.allows(target, level))
    }

    /// Takes a record from a facade.
    #[inline]
    pub(super) fn take<S: Source + ?Sized>(&self, source: &S, official: impl FnOnce(&Front)) {
        let engine = self.engines.current();
        let shard = thread::number();
        if thread::is_own() {
            engine.ledger.count(shard, Count::Internal);
            return;
        }
        let call = Call::enter();
        let Some(verdict) = self.gate(engine, shard, source, call.is_some()) else { return };
        if verdict.console
            && let Some(terminal) = &self.terminal
        {
            match source.print(terminal) {
                Printed::Whole => {}
                Printed::NotWritten => engine.ledger.count(shard, Count::ConsoleFailed),
                Printed::Panicked => {
                    engine.ledger.count(shard, Count::ConsoleFailed);
                    // It would panic again.
                    if verdict.otlp {
                        engine.ledger.count_dropped(shard, DropReason::FormatPanicked);
                    }
                    return;
                }
            }
        }
        if !verdict.otlp && !verdict.mirror {
            return;
        }
        match &self.front {
            Front::Direct => self.encode(engine, shard, source, verdict),
            front => self.through_sdk(engine, shard, source, verdict, || official(front)),
        }
    }

    /// Counts the record at every stage, and says where it goes.
    #[inline]
    fn gate<S: Source + ?Sized>(&self, engine: &Engine, shard: usize, source: &S, may_enter: bool) -> Option<Verdict> {
        let ledger = &engine.ledger;
        let (target, level) = (source.target(), source.level());
        ledger.count(shard, Count::Offered);
        if !self.is_enabled(target, level) {
            ledger.count(shard, Count::ModuleBelow);
            return None;
        }
        ledger.count(shard, Count::ModulePassed);
        let (console, counted) = match &self.terminal {
            None => (false, Count::ConsoleOff),
            Some(_) if source.skips_console() => (false, Count::ConsoleOff),
            Some(terminal) if !terminal.levels().allows(target, level) => (false, Count::ConsoleBelow),
            Some(_) if !may_enter => (false, Count::ConsoleSuppressed),
            Some(_) => (true, Count::ConsoleAccepted),
        };
        ledger.count(shard, counted);
        let on = engine.shipping.is_some() || engine.broken;
        let passes = self.otlp.allows(target, level);
        let suppressed = passes && (!may_enter || buffers::is_suppressed());
        let counted = match () {
            () if !on => Count::OtlpOff,
            () if !passes => Count::OtlpBelow,
            () if suppressed => Count::OtlpSuppressed,
            () => Count::OtlpAccepted,
        };
        ledger.count(shard, counted);
        let wanted = passes && !suppressed;
        Some(Verdict { console, otlp: on && wanted, mirror: wanted && self.mirror.is_some() })
    }

    /// Straight from the source to bytes.
    #[inline]
    fn encode<S: Source + ?Sized>(&self, engine: &Engine, shard: usize, source: &S, verdict: Verdict) {
        buffers::with(|buffers| {
            let written = guarded(|| {
                begin_frame(&mut buffers.scratch);
                encode_scope_name(&mut buffers.scratch.buf, source.target());
                let scope_end = buffers.scratch.buf.len();
                write_record(buffers, source);
                scope_end
            });
            match written {
                Some(scope_end) => self.hand_over(engine, shard, buffers, scope_end, source.severity_number(), verdict),
                None if verdict.otlp => engine.ledger.count_dropped(shard, DropReason::FormatPanicked),
                None => {}
            }
        });
    }

    /// By way of the application's processors or the official appenders; our own processor is the last of the chain
    /// and calls [`Pipeline::finish_sdk`].
    fn through_sdk<S: Source + ?Sized>(
        &self,
        engine: &Engine,
        shard: usize,
        source: &S,
        verdict: Verdict,
        official: impl FnOnce(),
    ) {
        let mut panicked = false;
        let came = expecting(verdict.otlp, verdict.mirror, || {
            panicked = guarded(|| self.front.emit(source, official)).is_none();
        });
        let reason = match came {
            Came::Through => return,
            // The official appenders do not say when they are done with formatting.
            Came::Nowhere if panicked => DropReason::FormatPanicked,
            Came::Nowhere | Came::IntoTheChain => DropReason::Processor,
        };
        if !verdict.otlp {
            return;
        }
        engine.ledger.count_dropped(shard, reason);
    }

    /// A record that came through an SDK's chain: encoded by the caller into the buffers.
    pub(super) fn finish_sdk(&self, buffers: &mut Buffers, scope_end: usize, severity: u8, otlp: bool, mirror: bool) {
        let verdict = Verdict { console: false, otlp, mirror };
        self.hand_over(self.engines.current(), thread::number(), buffers, scope_end, severity, verdict);
    }

    /// Counts a record that somebody's provider hands to our processor, where no stage but the destination's decides.
    pub(super) fn admit_from_provider(&self, target: &str, level: Level) -> Option<(bool, bool)> {
        let engine = self.engines.current();
        let (ledger, shard) = (&engine.ledger, thread::number());
        if thread::is_own() {
            ledger.count(shard, Count::Internal);
            return None;
        }
        ledger.count(shard, Count::Offered);
        ledger.count(shard, Count::ModulePassed);
        ledger.count(shard, Count::ConsoleOff);
        let on = engine.shipping.is_some() || engine.broken;
        let passes = self.otlp.allows(target, level);
        let counted = match () {
            () if !on => Count::OtlpOff,
            () if !passes => Count::OtlpBelow,
            () => Count::OtlpAccepted,
        };
        ledger.count(shard, counted);
        (passes && (on || self.mirror.is_some())).then_some((on, self.mirror.is_some()))
    }

    #[inline]
    fn hand_over(
        &self,
        engine: &Engine,
        shard: usize,
        buffers: &mut Buffers,
        scope_end: usize,
        severity: u8,
        verdict: Verdict,
    ) {
        end_frame(&mut buffers.scratch, scope_end, severity);
        let frame = &buffers.scratch.buf;
        if verdict.mirror {
            self.show(engine, shard, frame, scope_end);
        }
        if !verdict.otlp {
            return;
        }
        let Some(shipping) = &engine.shipping else {
            engine.ledger.count_dropped(shard, DropReason::ThreadLost);
            return;
        };
        if self.shut.load(Ordering::Relaxed) {
            engine.ledger.count_dropped(shard, DropReason::Shutdown);
            return;
        }
        match shipping.outbox.append(shard, severity >= severity_number(Level::Warn), frame) {
            Ok(wake) => {
                engine.ledger.count(shard, Count::Appended);
                lifecycle::arm_if_exiting();
                if wake == Wake::Yes {
                    shipping.ship.wake();
                }
            }
            Err(reason) => engine.ledger.count_dropped(shard, reason),
        }
    }

    #[cold]
    fn show(&self, engine: &Engine, shard: usize, frame: &[u8], scope_end: usize) {
        let (Some(mirror), Some(scope), Some(record)) =
            (&self.mirror, frame.get(HEADER..scope_end), frame.get(scope_end..))
        else {
            return;
        };
        let shown = mirror.print(&engine.resource, scope, record);
        engine.ledger.count(shard, if shown { Count::MirrorWritten } else { Count::MirrorFailed });
    }

    /// Ok only if everything accepted before the call was confirmed, and nothing was lost that no flush has told yet.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let Some(engine) = self.engines.existing() else { return Ok(()) };
        match &engine.shipping {
            Some(shipping) => self.judge(engine, shipping.ship.flush(timeout)),
            None => Ok(()),
        }
    }

    /// Takes no more records for otlp, delivers what is there, and ends the ship thread.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        self.shut.store(true, Ordering::Relaxed);
        let Some(engine) = self.engines.existing() else { return Ok(()) };
        match &engine.shipping {
            Some(shipping) => self.judge(engine, shipping.ship.stop(timeout)),
            None => Ok(()),
        }
    }

    fn judge(&self, engine: &Engine, flushed: Flushed) -> Result<(), Error> {
        let otlp = engine.ledger.snapshot().otlp;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Two flushes may take their snapshots in one order and come here in the other.
        let (lost, unconfirmed) = (otlp.lost().saturating_sub(told.0), otlp.unconfirmed.saturating_sub(told.1));
        *told = (told.0 + lost, told.1 + unconfirmed);
        let (pending, timed_out, last_failure) = match flushed {
            Flushed::All => (0, false, None),
            Flushed::Not { timed_out, last_failure } => (otlp.pending, timed_out, last_failure),
        };
        if pending == 0 && lost == 0 && unconfirmed == 0 && !timed_out {
            return Ok(());
        }
        let error = Error::new(Kind::NotDelivered(Undelivered { pending, lost, unconfirmed, timed_out }));
        Err(match last_failure {
            Some(failure) => error.with_source(failure.text).with_help(failure.help),
            None => error.with_help("`Bridge::report` says what became of each record"),
        })
    }

    /// [`flush`](Self::flush), with the application's processors first.
    pub(crate) fn flush_all(&self, timeout: Duration) -> Result<(), Error> {
        self.front.flush();
        self.flush(timeout)
    }

    /// [`shutdown`](Self::shutdown), with the application's processors first.
    pub(crate) fn shutdown_all(&self, timeout: Duration) -> Result<(), Error> {
        self.front.shutdown(timeout);
        self.shutdown(timeout)
    }

    /// The most that the module stage lets through.
    pub(crate) fn max_level(&self) -> log::LevelFilter {
        self.module.as_ref().map_or(log::LevelFilter::Trace, Table::max)
    }

    /// The counters of this process.
    pub(crate) fn counters(&self) -> Counters {
        self.engines.existing().map(|engine| engine.ledger.snapshot()).unwrap_or_default()
    }
}

/// Writes one whole record behind the scope.
pub(super) fn write_record<S: Source + ?Sized>(buffers: &mut Buffers, source: &S) {
    let now = nanos(SystemTime::now());
    let head = Head {
        time: now,
        observed_time: now,
        severity_number: source.severity_number(),
        severity_text: source.severity_text(),
        trace: source.trace(),
        event_name: source.event_name(),
    };
    let mut writer = RecordWriter::begin(&mut buffers.scratch, &head);
    source.write(&mut writer);
    buffers.callsites.write(&mut writer, source.location());
    buffers.thread.write(&mut writer);
    writer.finish(0);
}

/// Nanoseconds since the Unix epoch, at least 1: 0 would mean "unknown" on the wire.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX).max(1)
}
