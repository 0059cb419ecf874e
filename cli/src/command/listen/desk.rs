//! What is done about a request: it is counted, shown, and answered, passed on, or answered wrongly on purpose.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use prost::Message as _;

use super::fault::Faults;
use super::filter::{Filter, retain};
use super::group::Traces;
use super::screen::Screen;
use crate::command::inlet::{GRPC_DOOR, Passed, Tally, Upstream, cause_of, names_nothing, remark};
use crate::command::terminal::{self, Look, lasted, paint, plain, say};
use logbridge::internals::escape::words;
use logbridge::internals::otlp::request_to_json;
use logbridge::internals::signal::Signal;
use logbridge_receiver::internals::{
    Answer, Content, Decoded, Exchange, Format, Guard, Message, Paint, Painted, ReceivedLog, ReceivedPoint,
    ReceivedRequest, ReceivedSpan, Refusal, Reply, Service, decode, points, records, spans,
};

/// So many causes of silence are told apart.
const MOST_CAUSES: usize = 100;

/// So many items are shown at a time.
const AT_A_TIME: usize = 1_000;

/// Counts an item, adds its line where it has one, and says whether it is to be shown.
type Show<T> = fn(&Desk, &mut State, T, Instant, &mut String) -> bool;

/// How what comes in is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Json,
    Lines,
    /// After so much time in which nothing of a trace has come in.
    Traces {
        quiet: Duration,
    },
}

#[derive(Debug)]
pub(super) struct Desk {
    form: Form,
    look: Paint,
    filter: Filter,
    guard: Guard,
    /// For requests of gRPC, and for those of HTTP.
    upstreams: Option<[Upstream; 2]>,
    screen: Screen,
    addresses: OnceLock<[SocketAddr; 2]>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tally: Tally,
    traces: Traces,
    faults: Option<Faults>,
    /// What is said once.
    said: BTreeSet<String>,
    /// Why the upstream gives no answer, each said once until it gives one again.
    dead: BTreeSet<String>,
}

impl Desk {
    pub(super) fn new(
        form: Form,
        look: Paint,
        filter: Filter,
        guard: Guard,
        faults: Option<Faults>,
        upstreams: Option<[Upstream; 2]>,
        screen: Screen,
    ) -> Self {
        let quiet = if let Form::Traces { quiet } = form { quiet } else { Duration::MAX };
        let state = State {
            tally: Tally::new(),
            traces: Traces::new(quiet),
            faults,
            said: BTreeSet::new(),
            dead: BTreeSet::new(),
        };
        Self { form, look, filter, guard, upstreams, screen, addresses: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Where requests come in from now on.
    pub(super) fn opened(&self, addresses: [SocketAddr; 2]) {
        let _only_once = self.addresses.set(addresses);
    }

    /// Some time has passed.
    pub(super) fn tick(&self) {
        if matches!(self.form, Form::Traces { .. }) {
            let due = self.lock().traces.due(Instant::now(), self.look);
            self.screen.write(&due);
        }
    }

    /// Nothing comes in any more.
    pub(super) fn close(&self) {
        let rest = self.lock().traces.rest(self.look);
        self.screen.write(&rest);
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and shows what a request holds, so much at a time that others are answered meanwhile.
    async fn show(&self, mut message: Message) {
        let mut shown = Vec::new();
        self.lock().tally.request(message.content());
        match &message {
            Message::Logs(request) => self.show_each(records(request), &mut shown, Self::show_log).await,
            Message::Traces(request) => self.show_each(spans(request), &mut shown, Self::show_span).await,
            Message::Metrics(request) => self.show_each(points(request), &mut shown, Self::show_point).await,
        }
        if matches!(self.form, Form::Json) && retain(&mut message, &shown) {
            self.screen.write(&format!("{}\n", terminal::json(&json(&message))));
        }
    }

    async fn show_each<T: Send>(&self, items: Vec<T>, shown: &mut Vec<bool>, show: Show<T>) {
        let mut items = items.into_iter();
        loop {
            let lines = self.show_some(items.by_ref().take(AT_A_TIME), shown, show);
            self.screen.write(&lines);
            if items.len() == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The lines of some items. Whether each of them is to be shown is added to `shown`.
    fn show_some<T>(&self, items: impl Iterator<Item = T>, shown: &mut Vec<bool>, show: Show<T>) -> String {
        let mut lines = String::new();
        let mut state = self.lock();
        let now = Instant::now();
        shown.extend(items.map(|item| show(self, &mut state, item, now, &mut lines)));
        // The bound on what waits holds also between two looks at the clock.
        lines.push_str(&state.traces.due(now, self.look));
        lines
    }

    fn show_log(&self, state: &mut State, log: ReceivedLog, now: Instant, lines: &mut String) -> bool {
        state.tally.log(&log);
        let is_shown = self.filter.log(&log);
        match self.form {
            _ if !is_shown => {}
            Form::Json => {}
            Form::Traces { .. } if !names_nothing(&log.trace_id) => state.traces.log(log, now),
            _ => lines.push_str(&format!("{}\n", Painted(&log, self.look))),
        }
        is_shown
    }

    fn show_span(&self, state: &mut State, span: ReceivedSpan, now: Instant, lines: &mut String) -> bool {
        state.tally.span(&span);
        let is_shown = self.filter.span(&span);
        match self.form {
            _ if !is_shown => {}
            Form::Json => {}
            Form::Traces { .. } => state.traces.span(span, now),
            Form::Lines => lines.push_str(&format!("{}\n", Painted(&span, self.look))),
        }
        is_shown
    }

    fn show_point(&self, state: &mut State, point: ReceivedPoint, _now: Instant, lines: &mut String) -> bool {
        state.tally.point(&point);
        let is_shown = self.filter.point(&point);
        if is_shown && !matches!(self.form, Form::Json) {
            lines.push_str(&format!("{}\n", Painted(&point, self.look)));
        }
        is_shown
    }

    /// Says that a request could not be read.
    fn unread(&self, request: &ReceivedRequest, status: StatusCode, why: &str) {
        self.lock().tally.malformed(&format!("{}: {why}", status.as_u16()));
        let word = paint(Look::Warning, "not read");
        let ReceivedRequest { method, path, .. } = request;
        let place = format!("{} {}", words(method), words(path));
        say(&format!("{word}  {} {place}: {}\n", status.as_u16(), plain(why)));
    }

    /// Says once what in a request has no meaning, or that there was nothing in it.
    fn remark(&self, request: &ReceivedRequest, remark: &str) {
        self.lock().tally.remark(remark);
        let word = paint(Look::Warning, if remark.contains("without") { "empty" } else { "ignored" });
        let line = plain(&format!("{} {}: {remark}", request.method, words(&request.path)));
        self.say_once(remark, &format!("{word}  {line}\n"));
    }

    /// Says once that a request came in at the door of the other protocol.
    fn meant(&self, exchange: &Exchange) {
        let (is_grpc, at_grpc) = (exchange.packed.is_some(), exchange.door == GRPC_DOOR);
        let Some([grpc, http]) = self.addresses.get().filter(|_| is_grpc != at_grpc) else { return };
        let text = match is_grpc {
            true => format!(
                "OTLP/gRPC came in at port {}, which is meant for OTLP/HTTP; gRPC goes to {}",
                http.port(),
                grpc.port()
            ),
            false => format!(
                "OTLP/HTTP came in at port {}, which is meant for OTLP/gRPC; HTTP goes to {}",
                grpc.port(),
                http.port()
            ),
        };
        let help = "it is served here all the same; a collector would refuse it";
        self.say_once(&text, &format!("{} {text}\n  {help}\n", paint(Look::Bold, "note:")));
    }

    fn say_once(&self, key: &str, lines: &str) {
        if is_new(&mut self.lock().said, key) {
            say(lines);
        }
    }

    /// Shows what the endpoint behind answered.
    fn passed(&self, passed: &Passed, content: Content) {
        self.lock().tally.answer(&passed.said);
        let said = plain(&passed.said);
        let took = paint(Look::Dim, &format!("{} in {}", content.plural(), lasted(passed.took)));
        if passed.is_taken {
            // What was wrong before may be wrong again, and is news then.
            self.lock().dead.clear();
            return say(&format!("{}  {said}  {took}\n", paint(Look::Dim, "upstream")));
        }
        let help = match passed.help.as_str() {
            "" => String::new(),
            help => format!("  {} {}\n", paint(Look::Bold, "help:"), plain(help)),
        };
        let lines = format!("{}  {said}  {took}\n", paint(Look::Warning, "upstream"));
        if !passed.is_dead {
            say(&lines);
        } else if is_new(&mut self.lock().dead, &passed.said) {
            say(&format!("{lines}{help}"));
        }
    }

    async fn answered(
        &self,
        exchange: &Exchange,
        format: Format,
        content: Content,
        message: Option<&Message>,
    ) -> Reply {
        if let Some([grpc, http]) = &self.upstreams {
            let upstream = if exchange.packed.is_some() { grpc } else { http };
            if let Some(passed) = upstream.pass(exchange, content).await {
                self.passed(&passed, content);
                return Reply::now(passed.ending);
            }
        }
        let (answer, word) = match &mut self.lock().faults {
            None => (Answer::Ok, String::new()),
            Some(faults) => faults.next(),
        };
        if word != "ok" && !word.is_empty() {
            let what = format!("{}  {}", paint(Look::Warning, "fault"), plain(&word));
            say(&format!("{what}  {}\n", paint(Look::Dim, content.plural())));
        }
        let answer = message.map_or(Answer::Ok, |message| answer.to(message, exchange.body.len()));
        answer.reply(content, format).unwrap_or_else(|why| {
            let why = format!("the planned answer cannot be sent: {why}");
            Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
        })
    }
}

impl Service for Desk {
    const OUTLIVES_CLIENTS: bool = true;

    fn guard(&self) -> Option<&Guard> {
        Some(&self.guard)
    }

    async fn answer(&self, exchange: Exchange) -> Reply {
        let decoded = match decode(&exchange.head, exchange.body.clone(), &Content::ALL).await {
            Ok(decoded) => decoded,
            Err(Refusal { status, why }) => {
                self.unread(&exchange.request, status, &why);
                return Reply::refusal(status, why);
            }
        };
        self.meant(&exchange);
        if let Some(remark) = remark(&decoded) {
            self.remark(&exchange.request, &remark);
        }
        let Decoded { format, message, .. } = decoded;
        let content = message.content();
        // A plan of faults may ask what is in it.
        let kept = self.lock().faults.is_some().then(|| message.clone());
        self.show(message).await;
        self.answered(&exchange, format, content, kept.as_ref()).await
    }

    fn unreadable(&self, request: ReceivedRequest, _door: usize, status: StatusCode, why: &str) {
        self.unread(&request, status, why);
    }

    fn problem(&self, what: String) {
        // Clients that go away are no news to those who look at what arrives; those that speak something else are.
        let what = cause_of(&what);
        let line = format!("{}  {}\n", paint(Look::Dim, "connection"), plain(what));
        self.lock().tally.malformed(what);
        self.say_once(what, &line);
    }
}

/// Whether this was not said before.
fn is_new(said: &mut BTreeSet<String>, what: &str) -> bool {
    said.len() < MOST_CAUSES && said.insert(what.to_owned())
}

/// OTLP/JSON on one line.
fn json(message: &Message) -> String {
    match message {
        Message::Logs(request) => request_to_json(Signal::Logs, &request.encode_to_vec()),
        Message::Traces(request) => request_to_json(Signal::Traces, &request.encode_to_vec()),
        // It has no value that JSON does not know.
        Message::Metrics(request) => serde_json::to_string(request).unwrap_or_default(),
    }
}
