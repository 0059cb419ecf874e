//! `logbridge listen`: a local OTLP receiver that prints what it receives.

mod fault_plan;
mod filter;
mod service;
mod stdout;
mod summary;
mod trace_groups;

use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use clap::Args;
use log::Level;
use tokio::sync::mpsc::Receiver;

use self::fault_plan::FaultPlan;
use self::filter::Filter;
use self::service::{ListenOptions, ListenService, OutputFormat};
use self::stdout::Stdout;
use super::arguments::{duration, level, listen_host};
use super::exit_status::{CommandError, ExitStatus};
use super::intake::{AllowedSenders, ListenAddrs, Upstream, shutdown_signal, signal_url};
use super::terminal::{Style, divert_notices, eprint, paint, sanitize};
use logbridge::internals::config::{Environment, redact_url};
use logbridge_receiver::internals::{CodeAttributes, Content, LineStyle};

/// The interval at which traces are checked for completion.
const TICK: Duration = Duration::from_millis(250);

const FAULT_PLANS: &str = "\
Fault plans:
  A plan is a comma-separated list of responses, such as 503*3,ok. Each response is sent once, or N
  times with `*N`. The last one is repeated.

  ok                 accept the request
  503                respond with a status; 429:retry=1s adds Retry-After
  hang, hang=5s      respond late
  reset              reset the connection
  drop               close the connection without a response
  html               respond with an HTML login page
  empty              respond with an empty body
  garbage            respond with an invalid body
  json               respond with JSON, also to protobuf
  redirect=URL       redirect to URL
  partial=N:MESSAGE  accept the request, but reject N records
  max-bytes=N        respond with 413 to requests longer than N bytes
  poison=TEXT        respond with 400 to requests that contain TEXT";

/// Receive OTLP on this machine and print logs, spans and metrics
///
/// Each item is printed on stdout in one line. Invalid requests, responses of the --forward endpoint and a final
/// summary are printed on stderr. Both ports accept OTLP/HTTP (protobuf and JSON) and OTLP/gRPC. Nothing is stored, so
/// the command can run for days.
///
/// Invalid requests get the response that a collector would send. Other requests are accepted, forwarded unchanged with
/// --forward, or answered according to --fault.
///
/// Exits with 0 on ^C, on SIGTERM, or if stdout is closed, and with 1 if it cannot listen.
#[derive(Args, Debug)]
#[command(after_long_help = FAULT_PLANS)]
pub(crate) struct Listen {
    /// Port for OTLP/gRPC; 0 is any free port
    #[arg(long, value_name = "PORT", default_value_t = 4317)]
    grpc_port: u16,
    /// Port for OTLP/HTTP; 0 is any free port
    #[arg(long, value_name = "PORT", default_value_t = 4318)]
    http_port: u16,
    /// Address to listen on; 0.0.0.0 accepts other machines
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = listen_host)]
    host: IpAddr,
    #[command(flatten)]
    senders: AllowedSenders,
    /// Show only items of this service
    #[arg(long, value_name = "NAME", help_heading = "Filter options")]
    service: Option<String>,
    /// Show only items whose target (scope name) starts with this prefix
    #[arg(long, value_name = "PREFIX", help_heading = "Filter options")]
    target: Option<String>,
    /// Show only log records of this level and above; spans and metrics are always shown
    #[arg(long, value_name = "LEVEL", value_parser = level, help_heading = "Filter options")]
    level: Option<Level>,
    /// Show only traces whose id starts with this prefix
    #[arg(long, value_name = "ID", help_heading = "Filter options")]
    trace: Option<String>,
    /// Show only items whose line contains this text
    #[arg(long, value_name = "TEXT", help_heading = "Filter options")]
    grep: Option<String>,
    /// Print each completed trace as a tree with its log records
    #[arg(long, conflicts_with = "json", help_heading = "Output options")]
    group_by_trace: bool,
    /// With --group-by-trace, complete a trace after this time without new items; SDKs send spans every 5 s
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = duration, help_heading = "Output options")]
    quiet: Duration,
    /// Print each request as a line of OTLP/JSON, which a collector's file receiver can read
    #[arg(long, help_heading = "Output options")]
    json: bool,
    /// Print all attributes, including code.* and thread.*
    #[arg(long, help_heading = "Output options")]
    all: bool,
    /// Do not shorten trace and span ids on a terminal
    #[arg(long, help_heading = "Output options")]
    full_ids: bool,
    /// Forward requests to this endpoint and return its responses
    #[arg(long, value_name = "URL", conflicts_with = "fault", help_heading = "Response options")]
    forward: Option<String>,
    /// Forward gRPC requests to this endpoint [default: the URL of --forward]
    #[arg(long, value_name = "URL", requires = "forward", help_heading = "Response options")]
    forward_grpc: Option<String>,
    /// Respond like a faulty endpoint, such as 503*3,ok; see --help for all plans
    #[arg(long, value_name = "PLAN", value_parser = FaultPlan::parse, help_heading = "Response options")]
    fault: Option<FaultPlan>,
}

impl Listen {
    #[must_use]
    pub(crate) fn run(self) -> ExitStatus {
        divert_notices();
        match self.try_run() {
            Ok(()) => ExitStatus::Success,
            Err(error) => error.report(),
        }
    }

    fn try_run(self) -> Result<(), CommandError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| cannot_start(&error))?;
        let (stdout, mut stdout_closed) = Stdout::new();
        let service = Arc::new(ListenService::new(self.options(&Environment::process(), stdout)?));
        // The signals are caught before the ports are printed, because a script may send one as soon as it reads them.
        let mut shutdown = pin!({
            let _runtime = runtime.enter();
            shutdown_signal().map_err(|error| cannot_start(&error))?
        });
        let listen_addrs = ListenAddrs { host: self.host, grpc: self.grpc_port, http: self.http_port };
        let (server, addresses) = listen_addrs.serve(Arc::clone(&service))?;
        service.set_addresses(addresses);
        self.reject_own_address(addresses)?;
        eprint(&greeting(addresses, self.forward.as_deref()));
        runtime.block_on(async {
            while !ended_within_tick(shutdown.as_mut(), &mut stdout_closed).await {
                service.tick();
            }
        });
        drop(server);
        service.close();
        eprint(&summary::text(&service.tally()));
        Ok(())
    }

    fn options(&self, environment: &Environment, stdout: Stdout) -> Result<ListenOptions, CommandError> {
        let format = match (self.json, self.group_by_trace) {
            (true, _) => OutputFormat::Json,
            (_, true) => OutputFormat::Traces { quiet: self.quiet },
            _ => OutputFormat::Lines,
        };
        let code_attributes = if self.all { CodeAttributes::Shown } else { CodeAttributes::Hidden };
        let short_ids = io::stdout().is_terminal() && !self.full_ids;
        Ok(ListenOptions {
            format,
            line_style: LineStyle { colors: true, service: true, short_ids, code_attributes },
            filter: self.filter(),
            guard: self.senders.guard(self.host),
            fault_plan: self.fault.clone(),
            upstreams: self.upstreams(environment)?,
            stdout,
        })
    }

    /// Returns the upstream endpoints for gRPC and HTTP.
    fn upstreams(&self, environment: &Environment) -> Result<Option<[Upstream; 2]>, CommandError> {
        let Some(forward) = &self.forward else { return Ok(None) };
        let grpc = self.forward_grpc.as_ref().map_or((forward, "--forward"), |url| (url, "--forward-grpc"));
        let upstream = |(url, option): (&String, &'static str)| {
            // Checked here to quote the URL as the user wrote it, without the path of a signal.
            if !["http://", "https://"].iter().any(|scheme| starts_with(url, scheme)) {
                let text = format!("{option}: `{}` does not start with http:// or https://", redact_url(url));
                return Err(CommandError::usage(text, "write a URL such as http://localhost:4318"));
            }
            let urls = Content::ALL.map(|content| (content, signal_url(url, content)));
            Upstream::new(&urls, Some(option), environment)
        };
        Ok(Some([upstream(grpc)?, upstream((forward, "--forward"))?]))
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

    /// Returns an error if requests would be forwarded to this command itself.
    fn reject_own_address(&self, addresses: [SocketAddr; 2]) -> Result<(), CommandError> {
        for (url, option) in [(&self.forward, "--forward"), (&self.forward_grpc, "--forward-grpc")] {
            if let Some(url) = url.as_ref().filter(|url| is_own_address(url, addresses)) {
                let text = format!("{option} {}: this command listens there itself", redact_url(url));
                let help = "set the URL of another endpoint, or listen on another port: --http-port 0";
                return Err(CommandError::usage(text, help));
            }
        }
        Ok(())
    }
}

/// Waits for one tick. Returns `true` early on a shutdown signal or if stdout is closed.
async fn ended_within_tick(mut shutdown: Pin<&mut impl Future<Output = ()>>, stdout_closed: &mut Receiver<()>) -> bool {
    let mut tick = pin!(tokio::time::sleep(TICK));
    std::future::poll_fn(|context| {
        if shutdown.as_mut().poll(context).is_ready() || stdout_closed.poll_recv(context).is_ready() {
            return Poll::Ready(true);
        }
        tick.as_mut().poll(context).map(|()| false)
    })
    .await
}

fn cannot_start(error: &io::Error) -> CommandError {
    CommandError::new(format!("cannot start the receiver: {error}"), "check the process limits (ulimit -n)")
}

/// Returns whether a URL names one of these addresses. Names other than `localhost` are not resolved.
fn is_own_address(url: &str, addresses: [SocketAddr; 2]) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let is_own = |address: &SocketAddr| {
        let is_loopback = address.ip().is_loopback() || address.ip().is_unspecified();
        uri.port_u16() == Some(address.port())
            && (host == address.ip().to_string() || (is_loopback && matches!(host, "localhost" | "127.0.0.1")))
    };
    addresses.iter().any(is_own)
}

fn starts_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Formats the addresses and the variables to set in programs.
fn greeting([grpc, http]: [SocketAddr; 2], forward: Option<&str>) -> String {
    let listening = paint(Style::Success, "listening");
    let mut text = format!("{listening}  OTLP/HTTP http://{http}   OTLP/gRPC http://{grpc}\n");
    // An unspecified address, such as 0.0.0.0, is not one to send to.
    let reachable = |address: SocketAddr| match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    };
    text.push_str(&format!("  set OTEL_EXPORTER_OTLP_ENDPOINT={}\n", reachable(http)));
    let grpc = format!("  or  OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n", reachable(grpc));
    text.push_str(&grpc);
    if let Some(forward) = forward {
        text.push_str(&format!("  forwarding to {}\n", sanitize(&redact_url(forward))));
    }
    text.push_str(&format!("  {}\n", paint(Style::Dim, "press ^C to stop and print a summary")));
    text
}
