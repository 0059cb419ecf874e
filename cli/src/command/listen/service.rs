//! The service behind `logbridge listen`: counts, shows and answers each request.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use prost::Message as _;

use super::fault_plan::FaultPlan;
use super::filter::{Filter, retain};
use super::stdout::Stdout;
use super::trace_groups::TraceGroups;
use crate::command::intake::{
    GRPC_LISTENER, Tally, Upstream, UpstreamReply, is_unset_id, remark, strip_connection_number,
};
use crate::command::terminal::{self, Style, eprint, format_duration, paint, sanitize};
use logbridge::internals::escape::words;
use logbridge::internals::otlp::request_to_json;
use logbridge::internals::signal::Signal;
use logbridge_receiver::internals::{
    Answer, Content, Decoded, Exchange, Format, Guard, LineStyle, Message, ReceivedLog, ReceivedPoint, ReceivedRequest,
    ReceivedSpan, Refusal, Reply, Service, Styled, decode, points, records, spans,
};

/// Limits the messages that are remembered to print each once.
const MAX_REMEMBERED: usize = 100;

/// The number of items after which other requests get a turn.
const ITEMS_PER_TURN: usize = 1_000;

/// Counts an item, appends its line if it is printed at once, and returns whether it passes the filter.
type Show<T> = fn(&ListenService, &mut State, T, Instant, &mut String) -> bool;

#[derive(Clone, Copy, Debug)]
pub(super) enum OutputFormat {
    Json,
    Lines,
    /// Trees of traces that were quiet for this time.
    Traces {
        quiet: Duration,
    },
}

#[derive(Debug)]
pub(super) struct ListenOptions {
    pub(super) format: OutputFormat,
    pub(super) line_style: LineStyle,
    pub(super) filter: Filter,
    pub(super) guard: Guard,
    pub(super) fault_plan: Option<FaultPlan>,
    /// The endpoints for gRPC and HTTP.
    pub(super) upstreams: Option<[Upstream; 2]>,
    pub(super) stdout: Stdout,
}

#[derive(Debug)]
pub(super) struct ListenService {
    options: ListenOptions,
    addresses: OnceLock<[SocketAddr; 2]>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tally: Tally,
    traces: TraceGroups,
    fault_plan: Option<FaultPlan>,
    /// Messages that are printed once.
    printed: BTreeSet<String>,
    /// Errors that are printed once until the upstream endpoint accepts a request again.
    upstream_errors: BTreeSet<String>,
}

impl ListenService {
    pub(super) fn new(mut options: ListenOptions) -> Self {
        let quiet = if let OutputFormat::Traces { quiet } = options.format { quiet } else { Duration::MAX };
        let state = State {
            tally: Tally::new(),
            traces: TraceGroups::new(quiet),
            fault_plan: options.fault_plan.take(),
            printed: BTreeSet::new(),
            upstream_errors: BTreeSet::new(),
        };
        Self { options, addresses: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Sets the addresses that the server listens on.
    pub(super) fn set_addresses(&self, addresses: [SocketAddr; 2]) {
        let _only_once = self.addresses.set(addresses);
    }

    /// Prints the traces that are complete by now.
    pub(super) fn tick(&self) {
        if matches!(self.options.format, OutputFormat::Traces { .. }) {
            let complete = self.lock().traces.take_complete(Instant::now(), self.options.line_style);
            self.options.stdout.write(&complete);
        }
    }

    /// Prints all traces that wait for completion.
    pub(super) fn close(&self) {
        let rest = self.lock().traces.take_all(self.options.line_style);
        self.options.stdout.write(&rest);
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and prints the items of a request.
    async fn show(&self, mut message: Message) {
        let mut shown = Vec::new();
        self.lock().tally.request(message.content());
        match &message {
            Message::Logs(request) => self.show_each(records(request), &mut shown, Self::show_log).await,
            Message::Traces(request) => self.show_each(spans(request), &mut shown, Self::show_span).await,
            Message::Metrics(request) => self.show_each(points(request), &mut shown, Self::show_point).await,
        }
        if matches!(self.options.format, OutputFormat::Json) && retain(&mut message, &shown) {
            self.options.stdout.write(&format!("{}\n", terminal::json(&json(&message))));
        }
    }

    async fn show_each<T: Send>(&self, items: Vec<T>, shown: &mut Vec<bool>, show: Show<T>) {
        let mut items = items.into_iter();
        loop {
            let lines = self.show_some(items.by_ref().take(ITEMS_PER_TURN), shown, show);
            self.options.stdout.write(&lines);
            if items.len() == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Formats some items and appends to `shown` whether each of them passes the filter.
    fn show_some<T>(&self, items: impl Iterator<Item = T>, shown: &mut Vec<bool>, show: Show<T>) -> String {
        let mut lines = String::new();
        let mut state = self.lock();
        let now = Instant::now();
        shown.extend(items.map(|item| show(self, &mut state, item, now, &mut lines)));
        // The limit on waiting items must also hold between two ticks.
        lines.push_str(&state.traces.take_complete(now, self.options.line_style));
        lines
    }

    fn show_log(&self, state: &mut State, log: ReceivedLog, now: Instant, lines: &mut String) -> bool {
        state.tally.log(&log);
        let is_shown = self.options.filter.log(&log);
        match self.options.format {
            _ if !is_shown => {}
            OutputFormat::Json => {}
            OutputFormat::Traces { .. } if !is_unset_id(&log.trace_id) => state.traces.add_log(log, now),
            _ => lines.push_str(&format!("{}\n", Styled(&log, self.options.line_style))),
        }
        is_shown
    }

    fn show_span(&self, state: &mut State, span: ReceivedSpan, now: Instant, lines: &mut String) -> bool {
        state.tally.span(&span);
        let is_shown = self.options.filter.span(&span);
        match self.options.format {
            _ if !is_shown => {}
            OutputFormat::Json => {}
            OutputFormat::Traces { .. } => state.traces.add_span(span, now),
            OutputFormat::Lines => lines.push_str(&format!("{}\n", Styled(&span, self.options.line_style))),
        }
        is_shown
    }

    fn show_point(&self, state: &mut State, point: ReceivedPoint, _now: Instant, lines: &mut String) -> bool {
        state.tally.point(&point);
        let is_shown = self.options.filter.point(&point);
        if is_shown && !matches!(self.options.format, OutputFormat::Json) {
            lines.push_str(&format!("{}\n", Styled(&point, self.options.line_style)));
        }
        is_shown
    }

    /// Counts and reports a request that could not be decoded.
    fn report_invalid(&self, request: &ReceivedRequest, status: StatusCode, reason: &str) {
        self.lock().tally.malformed(&format!("{}: {reason}", status.as_u16()));
        let label = paint(Style::Warning, "invalid");
        let ReceivedRequest { method, path, .. } = request;
        let place = format!("{} {}", words(method), words(path));
        eprint(&format!("{label}  {} {place}: {}\n", status.as_u16(), sanitize(reason)));
    }

    /// Reports an empty request or an unknown key, once for each remark.
    fn report_remark(&self, request: &ReceivedRequest, remark: &str) {
        self.lock().tally.remark(remark);
        let label = paint(Style::Warning, if remark.contains("without") { "empty" } else { "ignored" });
        let line = sanitize(&format!("{} {}: {remark}", request.method, words(&request.path)));
        self.eprint_once(remark, &format!("{label}  {line}\n"));
    }

    /// Reports once that a request was sent to the port of the other protocol.
    fn report_wrong_port(&self, exchange: &Exchange) {
        let (is_grpc, is_grpc_port) = (exchange.grpc.is_some(), exchange.listener == GRPC_LISTENER);
        let Some([grpc, http]) = self.addresses.get().filter(|_| is_grpc != is_grpc_port) else { return };
        let (grpc, http) = (grpc.port(), http.port());
        let text = match is_grpc {
            true => format!("received OTLP/gRPC on port {http}, which is for OTLP/HTTP; the port for gRPC is {grpc}"),
            false => format!("received OTLP/HTTP on port {grpc}, which is for OTLP/gRPC; the port for HTTP is {http}"),
        };
        let details = "logbridge accepts both on either port, but a collector does not";
        self.eprint_once(&text, &format!("{} {text}\n  {details}\n", paint(Style::Bold, "note:")));
    }

    fn eprint_once(&self, key: &str, lines: &str) {
        if insert_bounded(&mut self.lock().printed, key) {
            eprint(lines);
        }
    }

    /// Counts and prints the response of the upstream endpoint.
    fn report_upstream(&self, reply: &UpstreamReply, content: Content) {
        self.lock().tally.answer(&reply.text);
        let text = sanitize(&reply.text);
        let took = paint(Style::Dim, &format!("{} in {}", content.plural(), format_duration(reply.took)));
        if reply.is_accepted {
            // The same error is news again after a success.
            self.lock().upstream_errors.clear();
            return eprint(&format!("{}  {text}  {took}\n", paint(Style::Dim, "upstream")));
        }
        let help = match reply.help.as_str() {
            "" => String::new(),
            help => format!("  {} {}\n", paint(Style::Bold, "help:"), sanitize(help)),
        };
        let lines = format!("{}  {text}  {took}\n", paint(Style::Warning, "upstream"));
        if !reply.is_unreachable {
            eprint(&lines);
        } else if insert_bounded(&mut self.lock().upstream_errors, &reply.text) {
            eprint(&format!("{lines}{help}"));
        }
    }

    /// Returns the response: from the upstream endpoint, from the fault plan, or a success.
    async fn respond(&self, exchange: &Exchange, format: Format, content: Content, message: Option<&Message>) -> Reply {
        if let Some([grpc, http]) = &self.options.upstreams {
            let upstream = if exchange.grpc.is_some() { grpc } else { http };
            if let Some(reply) = upstream.forward(exchange, content).await {
                self.report_upstream(&reply, content);
                return Reply::now(reply.action);
            }
        }
        let (answer, step) = match &mut self.lock().fault_plan {
            None => (Answer::Ok, String::new()),
            Some(plan) => plan.next(),
        };
        if step != "ok" && !step.is_empty() {
            let label = format!("{}  {}", paint(Style::Warning, "fault"), sanitize(&step));
            eprint(&format!("{label}  {}\n", paint(Style::Dim, content.plural())));
        }
        let answer = message.map_or(Answer::Ok, |message| answer.resolve(message, exchange.body.len()));
        answer.into_reply(content, format).unwrap_or_else(|error| {
            let text = format!("cannot send the planned response: {error}");
            Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, text)
        })
    }
}

impl Service for ListenService {
    const HALF_CLOSE: bool = true;

    fn guard(&self) -> Option<&Guard> {
        Some(&self.options.guard)
    }

    async fn answer(&self, exchange: Exchange) -> Reply {
        let decoded = match decode(&exchange.head, exchange.body.clone(), &Content::ALL).await {
            Ok(decoded) => decoded,
            Err(Refusal { status, why }) => {
                self.report_invalid(&exchange.request, status, &why);
                return Reply::refusal(status, why);
            }
        };
        self.report_wrong_port(&exchange);
        if let Some(remark) = remark(&decoded) {
            self.report_remark(&exchange.request, &remark);
        }
        let Decoded { format, message, .. } = decoded;
        let content = message.content();
        // Some steps of a fault plan depend on the content of the request.
        let kept = self.lock().fault_plan.is_some().then(|| message.clone());
        self.show(message).await;
        self.respond(&exchange, format, content, kept.as_ref()).await
    }

    fn rejected(&self, request: ReceivedRequest, _listener: usize, status: StatusCode, why: &str) {
        self.report_invalid(&request, status, why);
    }

    fn problem(&self, what: String) {
        let problem = strip_connection_number(&what);
        let line = format!("{}  {}\n", paint(Style::Dim, "connection"), sanitize(problem));
        self.lock().tally.malformed(problem);
        self.eprint_once(problem, &line);
    }
}

/// Inserts a text and returns whether it is new. A full set has no new texts.
fn insert_bounded(set: &mut BTreeSet<String>, text: &str) -> bool {
    set.len() < MAX_REMEMBERED && set.insert(text.to_owned())
}

/// Formats a request as one line of OTLP/JSON.
fn json(message: &Message) -> String {
    match message {
        Message::Logs(request) => request_to_json(Signal::Logs, &request.encode_to_vec()),
        Message::Traces(request) => request_to_json(Signal::Traces, &request.encode_to_vec()),
        // Serialization cannot fail: all values of a metrics request exist in JSON.
        Message::Metrics(request) => serde_json::to_string(request).unwrap_or_default(),
    }
}
