//! `logbridge listen`: a receiver that shows what comes in.

mod desk;
mod fault;
mod filter;
mod group;
mod screen;
mod summary;

use std::future::Future as _;
use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use clap::Args;
use log::Level;

use self::desk::{Desk, Form};
use self::fault::Faults;
use self::filter::Filter;
use self::screen::Screen;
use super::inlet::{Doors, Senders, Upstream, asked_to_end, below, host};
use super::terminal::{Look, listen, paint, plain, say};
use super::{Problem, Verdict, level, time};
use logbridge::internals::config::{Environment, redact_url};
use logbridge_receiver::internals::{Content, Paint, Places};

/// How often to look whether a trace is complete.
const TICK: Duration = Duration::from_millis(250);

/// Receives OTLP on this machine, and prints logs, spans and metrics as they come in.
///
/// Each is one line on stdout; what became of a request that could not be read, or was passed on, is on stderr, and so is a
/// summary at the end (^C). Both ports take OTLP/HTTP (protobuf and JSON) and OTLP/gRPC. Nothing is kept: it may run for days.
///
/// Requests that cannot be read are answered as a collector answers them, and shown with the reason. With --forward, the
/// others go to another endpoint, byte by byte, and its answer is what the client gets; with --fault, they are answered as a
/// broken receiver would.
///
/// A plan of faults is a list of answers, each once or so many times (`*3`), and the last one for ever: 503*3,ok. There are:
/// ok; a status, with a time to wait (503, 429:retry=1s); hang or hang=5s; reset; drop (no answer); html (a login page);
/// empty; garbage; json; redirect=URL; partial=N:MESSAGE (so many are rejected); max-bytes=N (413 for what is longer);
/// poison=TEXT (400 for what contains it).
///
/// Exits with 0 when it was asked to end (^C, SIGTERM), or when nobody reads its output any more; with 1 where it cannot
/// listen.
#[derive(Args, Debug)]
pub(crate) struct Listen {
    /// The port for OTLP/gRPC; 0 is a free one
    #[arg(long, value_name = "PORT", default_value_t = 4317)]
    grpc_port: u16,
    /// The port for OTLP/HTTP; 0 is a free one
    #[arg(long, value_name = "PORT", default_value_t = 4318)]
    http_port: u16,
    /// The address to listen at; 0.0.0.0 lets other machines in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = host)]
    host: IpAddr,
    #[command(flatten)]
    senders: Senders,
    /// Show only what this service sends
    #[arg(long, value_name = "NAME", help_heading = "What is shown")]
    service: Option<String>,
    /// Show only what has a target (the name of its scope) that begins so
    #[arg(long, value_name = "PREFIX", help_heading = "What is shown")]
    target: Option<String>,
    /// Show log records of this level and above; spans and metrics stay
    #[arg(long, value_name = "LEVEL", value_parser = level, help_heading = "What is shown")]
    level: Option<Level>,
    /// Show only the trace whose id begins so
    #[arg(long, value_name = "ID", help_heading = "What is shown")]
    trace: Option<String>,
    /// Show only what has this text in its line
    #[arg(long, value_name = "TEXT", help_heading = "What is shown")]
    grep: Option<String>,
    /// Print each trace as a tree with its logs, once nothing more of it comes in
    #[arg(long, conflicts_with = "json", help_heading = "How it is shown")]
    group_by_trace: bool,
    /// With --group-by-trace: how long nothing of a trace comes in before it is printed (SDKs send spans every 5 s)
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = time, help_heading = "How it is shown")]
    quiet: Duration,
    /// Print OTLP/JSON instead of lines: one request a line, as a collector's file receiver reads it
    #[arg(long, help_heading = "How it is shown")]
    json: bool,
    /// Print all attributes, also those that only say where in the program it was: code.* and thread.*
    #[arg(long, help_heading = "How it is shown")]
    all: bool,
    /// Print whole trace and span ids also on a terminal
    #[arg(long, help_heading = "How it is shown")]
    full_ids: bool,
    /// Pass everything on to this endpoint, and its answers back
    #[arg(long, value_name = "URL", conflicts_with = "fault", help_heading = "What is done")]
    forward: Option<String>,
    /// Pass what comes over gRPC on to this one [default: that of --forward]
    #[arg(long, value_name = "URL", requires = "forward", help_heading = "What is done")]
    forward_grpc: Option<String>,
    /// Answer as a broken receiver would: 503*3,ok
    #[arg(long, value_name = "PLAN", value_parser = Faults::parse, help_heading = "What is done")]
    fault: Option<Faults>,
}

impl Listen {
    /// Receives until it is asked to end.
    #[must_use]
    pub(crate) fn run(self) -> Verdict {
        listen();
        match self.try_run() {
            Ok(()) => Verdict::Good,
            Err(problem) => problem.tell(),
        }
    }

    fn try_run(self) -> Result<(), Problem> {
        let environment = Environment::process();
        let upstreams = self.upstreams(&environment)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| no_start(&error))?;
        let form = match (self.json, self.group_by_trace) {
            (true, _) => Form::Json,
            (_, true) => Form::Traces { quiet: self.quiet },
            _ => Form::Lines,
        };
        let doors = Doors { host: self.host, grpc: self.grpc_port, http: self.http_port };
        let forward = self.forward.clone();
        let places = if self.all { Places::Shown } else { Places::Hidden };
        let short_ids = io::stdout().is_terminal() && !self.full_ids;
        let look = Paint { colours: true, service: true, short_ids, places };
        let (screen, mut nobody_reads) = Screen::new();
        let desk = Arc::new(Desk::new(
            form,
            look,
            self.filter(),
            self.senders.guard(self.host),
            self.fault,
            upstreams,
            screen,
        ));
        // Before anybody hears of the ports: whoever does may ask it to end at once.
        let mut asked = pin!({
            let _inside = runtime.enter();
            asked_to_end().map_err(|error| no_start(&error))?
        });
        let (server, addresses) = doors.open(Arc::clone(&desk))?;
        desk.opened(addresses);
        for (url, option) in [(&self.forward, "--forward"), (&self.forward_grpc, "--forward-grpc")] {
            if let Some(url) = url.as_ref().filter(|url| is_here(url, addresses)) {
                let text = format!("{option} {}: this command listens there itself", redact_url(url));
                return Err(Problem::usage(text, "name the endpoint behind it, or listen elsewhere: --http-port 0"));
            }
        }
        say(&greeting(addresses, forward.as_deref()));
        runtime.block_on(async {
            loop {
                let mut tick = pin!(tokio::time::sleep(TICK));
                let has_ended = std::future::poll_fn(|context| {
                    if asked.as_mut().poll(context).is_ready() || nobody_reads.poll_recv(context).is_ready() {
                        return Poll::Ready(true);
                    }
                    tick.as_mut().poll(context).map(|()| false)
                });
                if has_ended.await {
                    return;
                }
                desk.tick();
            }
        });
        // Nothing comes in any more.
        drop(server);
        desk.close();
        say(&summary::text(&desk.tally()));
        Ok(())
    }

    fn upstreams(&self, environment: &Environment) -> Result<Option<[Upstream; 2]>, Problem> {
        let Some(forward) = &self.forward else { return Ok(None) };
        let grpc = self.forward_grpc.as_ref().map_or((forward, "--forward"), |url| (url, "--forward-grpc"));
        let to = |(url, option): (&String, &'static str)| {
            // Here it is quoted as it was written, without a path.
            if !["http://", "https://"].iter().any(|scheme| starts_with(url, scheme)) {
                let text = format!("{option}: `{}` has no http:// or https:// in front", redact_url(url));
                return Err(Problem::usage(text, "write a URL such as http://localhost:4318"));
            }
            let urls = Content::ALL.map(|content| (content, below(url, content)));
            Upstream::new(&urls, Some(option), environment)
        };
        Ok(Some([to(grpc)?, to((forward, "--forward"))?]))
    }

    fn filter(&self) -> Filter {
        Filter {
            service: self.service.clone(),
            target: self.target.clone(),
            level: self.level,
            trace: self.trace.as_ref().map(|id| id.to_ascii_lowercase()),
            text: self.grep.clone(),
        }
    }
}

fn no_start(error: &io::Error) -> Problem {
    Problem::new(format!("nothing can be received: {error}"), "check the limits of the process (ulimit -n)")
}

/// Whether this URL leads back here, as far as it says so itself.
fn is_here(url: &str, addresses: [SocketAddr; 2]) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let is_here = |address: &SocketAddr| {
        let is_loopback = address.ip().is_loopback() || address.ip().is_unspecified();
        uri.port_u16() == Some(address.port())
            && (host == address.ip().to_string() || (is_loopback && matches!(host, "localhost" | "127.0.0.1")))
    };
    addresses.iter().any(is_here)
}

fn starts_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Where it listens, and what to set.
fn greeting([grpc, http]: [SocketAddr; 2], forward: Option<&str>) -> String {
    let ready = paint(Look::Good, "listening");
    let dim = |text: &str| paint(Look::Dim, text);
    let mut text = format!("{ready}  OTLP/HTTP http://{http}   OTLP/gRPC http://{grpc}\n");
    // `0.0.0.0` is everywhere, and nowhere to send to.
    let reachable = |address: SocketAddr| match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    };
    text.push_str(&format!("  set OTEL_EXPORTER_OTLP_ENDPOINT={}\n", reachable(http)));
    let grpc = format!("  or  OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n", reachable(grpc));
    text.push_str(&grpc);
    if let Some(forward) = forward {
        text.push_str(&format!("  everything is passed on to {}\n", plain(&redact_url(forward))));
    }
    text.push_str(&format!("  {}\n", dim("^C ends it, with a summary")));
    text
}
