//! `logbridge run`: runs a program and reports what happened to its telemetry.

mod child;
mod command_line;
mod context;
mod environment;
mod findings;
mod gates;
mod json;
mod nothing_arrived;
mod observations;
mod outcomes;
mod page;
mod program_reports;
mod report;
mod service;
mod text;
mod timeline;
mod wording;

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use self::child::{Ended, Signals, describe_start_error};
use self::context::RunContext;
use self::environment::{Changes, Endpoints};
use self::program_reports::ReportDirectory;
use self::report::RunReport;
use self::service::RunService;
use super::exit_status::CommandError;
use super::intake::{AllowedSenders, ListenAddrs, Upstream};
use super::terminal::{self, Style, divert_notices, eprint, error, paint, print, sanitize};
use logbridge::internals::config::{Environment, redact_url};
use logbridge::internals::diagnose::{read_image_log, write_in_place};
use logbridge_receiver::internals::Server;

/// The exit code if this command itself fails, as in `env` and `timeout`.
const COMMAND_FAILED: u8 = 125;

/// The interval at which to check whether the last requests are answered.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The time that clients still connected after the end of the program, such as its children, have to send a request.
const MAX_IDLE: Duration = Duration::from_millis(300);

/// The time to wait for the last requests after the end of the program.
const MAX_WAIT: Duration = Duration::from_secs(12);

/// Run a program and report what happened to its telemetry
///
/// The program's OTEL_EXPORTER_OTLP_ENDPOINT is set to this command. If the environment named an endpoint, requests are
/// forwarded to it unchanged, with the program's headers, and its responses are returned. The program keeps the
/// standard streams of this command, and signals are forwarded to it.
///
/// After the program ends, a report is printed on stderr: what arrived by service, scope and level, invalid requests,
/// responses of the endpoint, and findings. Programs with logbridge add the outcome of every record. `logbridge explain
/// LB091` explains a finding.
///
/// If LOGBRIDGE_REPORT is a directory or a .json file, the reports of programs with logbridge are copied there.
///
/// Exits with the status of the program: 128 plus the signal number if a signal killed it, 127 if it was not found, and
/// 126 if it could not be started. Exits with 125 if this command itself fails.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Do not forward received data to the configured endpoint
    #[arg(long)]
    no_forward: bool,
    /// Write the report as an HTML page
    #[arg(long = "report", value_name = "FILE.html")]
    page: Option<PathBuf>,
    /// Print the report as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    senders: AllowedSenders,
    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    /// Runs the program and returns the exit code.
    #[must_use]
    pub(crate) fn run(self) -> u8 {
        divert_notices();
        match self.try_run(&Environment::process()) {
            Ok(code) => code,
            Err(error) => {
                let _status = error.report();
                COMMAND_FAILED
            }
        }
    }

    fn try_run(&self, environment: &Environment) -> Result<u8, CommandError> {
        if let Some(path) = &self.page {
            program_reports::check_writable(path).map_err(|error| {
                let text = format!("cannot write {}: {error}", path.display());
                CommandError::new(text, "choose another file with --report")
            })?;
        }
        let endpoints = if self.no_forward { Endpoints::default() } else { Endpoints::from_environment(environment) };
        let upstream = match endpoints.urls.is_empty() {
            true => None,
            false => Some(Upstream::new(&endpoints.urls, None, environment)?),
        };
        let directory = ReportDirectory::new().map_err(|error| {
            let text = format!("cannot create a directory for the reports of programs: {error}");
            CommandError::new(text, "set TMPDIR to a writable directory")
        })?;
        let listen_addrs = ListenAddrs { host: Ipv4Addr::LOCALHOST.into(), grpc: 0, http: 0 };
        let service = Arc::new(RunService::new(self.senders.guard(listen_addrs.host), upstream));
        let (server, addresses) = listen_addrs.serve(Arc::clone(&service))?;
        let ended = match self.run_program(&server, &Changes::new(environment, addresses, directory.path()))? {
            Ok(ended) => ended,
            Err(start_error) => {
                let program = self.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
                let (code, text, help) = describe_start_error(&program, &start_error);
                error(&text, help);
                return Ok(code);
            }
        };
        drop(server);
        let code = ended.exit_code();
        let command = command_line::without_secrets(&self.command);
        let upstream = endpoints.display_url().map(|url| redact_url(&url));
        let mut report = RunReport::new(command, ended, upstream, service.take_observations());
        report.programs = directory.programs();
        report.images = read_image_log(directory.path());
        let context = RunContext::new(environment, endpoints.invalid, addresses.map(|address| address.port()));
        report.findings = findings::find(&report, &context);
        self.output(&report);
        keep_reports(&directory, environment);
        Ok(code)
    }

    /// Runs the program until it ends and its last requests are answered. The inner error is that of its start.
    fn run_program(&self, server: &Server, changes: &Changes) -> Result<io::Result<Ended>, CommandError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| cannot_run(&error))?;
        runtime.block_on(async {
            // From here on, signals are for the program and must not end this process.
            let signals = Signals::new().map_err(|error| cannot_run(&error))?;
            let since = Instant::now();
            let child = match child::start(&self.command, changes) {
                Ok(child) => child,
                Err(error) => return Ok(Err(error)),
            };
            let ended = child::wait(child, signals, since).await.map_err(|error| cannot_run(&error))?;
            wait_for_last_requests(server).await;
            Ok(Ok(ended))
        })
    }

    /// Prints the report and writes the page.
    fn output(&self, report: &RunReport) {
        match self.json {
            true => print(&terminal::json(&format!("{:#}\n", json::to_json(report)))),
            false => eprint(&text::render(report)),
        }
        let Some(path) = &self.page else { return };
        match write_in_place(path, page::render(report)) {
            Ok(()) => eprint(&text::page_written(path)),
            Err(failed) => {
                let text = format!("cannot write {}: {failed}", path.display());
                error(&text, "choose another file with --report");
            }
        }
    }
}

/// Copies the reports of programs to the path in LOGBRIDGE_REPORT, which this command has overridden in the program.
fn keep_reports(directory: &ReportDirectory, environment: &Environment) {
    let Some(path) = environment.get("LOGBRIDGE_REPORT").filter(|path| *path != "off") else { return };
    if let Err(reason) = directory.keep(path) {
        let note = paint(Style::Bold, "note:");
        eprint(&format!("\n{note} LOGBRIDGE_REPORT={}: {}\n", sanitize(path), sanitize(&reason)));
    }
}

/// Waits for requests that the program sent before its end, because it may not have waited for the responses.
async fn wait_for_last_requests(server: &Server) {
    let since = Instant::now();
    // A busy machine may need a while to accept the connections that are already established.
    let _accepted = tokio::time::timeout(MAX_WAIT, server.all_accepted()).await;
    let accepted = Instant::now();
    loop {
        let is_idle = !server.has_clients() || accepted.elapsed() > MAX_IDLE;
        if (is_idle && !server.is_answering()) || since.elapsed() > MAX_WAIT {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn cannot_run(error: &io::Error) -> CommandError {
    CommandError::new(format!("cannot run a program: {error}"), "check the process limits (ulimit -n, ulimit -u)")
}
