//! `logbridge run`: runs a program, and says where its records went.

mod account;
mod child;
mod command_line;
mod environment;
mod evidence;
mod findings;
mod gates;
mod gather;
mod json;
mod page;
mod reports;
mod silence;
mod text;

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use self::account::Account;
use self::child::{Signals, cannot_start};
use self::environment::Endpoints;
use self::evidence::Evidence;
use self::findings::Circumstances;
use self::gather::Gather;
use self::reports::Directory;
use super::Problem;
use super::inlet::{Doors, Senders, Upstream};
use super::terminal::{self, Look, error, listen, paint, plain, print, say};
use logbridge::internals::config::{Environment, redact_url};
use logbridge::internals::diagnose::{read_image_log, write_in_place};
use logbridge_receiver::internals::Server;

/// What `logbridge run` exits with where it could not even try, as `env` and `timeout` do.
const NOT_RUN: u8 = 125;

/// How often to look whether the last requests are answered.
const LOOK: Duration = Duration::from_millis(10);

/// Whoever else is connected when the program has ended (a child of its own) has so long to send something.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Requests that are passed on when the program has ended are waited for, but not for ever.
const LAST_ANSWERS: Duration = Duration::from_secs(12);

/// Runs a program with its telemetry sent through here, and says where its records went.
///
/// The program gets an OTEL_EXPORTER_OTLP_ENDPOINT that is this command. What comes in is passed on, byte by byte, to the
/// endpoint that the environment had named, if it had, with the program's own headers; the program gets that endpoint's
/// answers. Its streams are those of this command, and signals reach it.
///
/// At its end, stderr says what arrived by service, scope and level, what could not be read, what the endpoint answered, for
/// programs with logbridge what became of every record that was logged, and what in all that deserves a look
/// (`logbridge explain LB091` tells more of each).
///
/// Where LOGBRIDGE_REPORT names a directory, or a file in .json, reports of programs with logbridge are copied there.
///
/// Exits with what the program exits with: 128 and the number of the signal where one killed it, 127 where it was not found,
/// 126 where it could not be started; with 125 where this command could not do its part.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Keep what comes in: pass nothing on, whatever the environment names
    #[arg(long)]
    no_forward: bool,
    /// Write a page to look at: where records went, when they came, and what deserves a look
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print one JSON object on stdout, behind what the program prints, instead of lines on stderr
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    senders: Senders,
    /// The program with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    /// Runs it, and gives the exit code.
    #[must_use]
    pub(crate) fn run(self) -> u8 {
        listen();
        match self.try_run(&Environment::process()) {
            Ok(code) => code,
            Err(problem) => {
                let _wrong = problem.tell();
                NOT_RUN
            }
        }
    }

    fn try_run(&self, environment: &Environment) -> Result<u8, Problem> {
        if let Some(path) = &self.report {
            reports::may_be_written(path).map_err(|failed| {
                let text = format!("{} cannot be written: {failed}", path.display());
                Problem::new(text, "name another file with --report")
            })?;
        }
        let Endpoints { urls, unusable } =
            if self.no_forward { Endpoints::default() } else { environment::endpoints(environment) };
        let upstream = match urls.is_empty() {
            true => None,
            false => Some(Upstream::new(&urls, None, environment)?),
        };
        let shown = environment::shown(&urls).map(|url| redact_url(&url));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| no_start(&error))?;
        let directory = Directory::new().map_err(|error| {
            Problem::new(format!("there is no room for the reports of programs: {error}"), "TMPDIR names the directory")
        })?;
        let doors = Doors { host: IpAddr::from([127, 0, 0, 1]), grpc: 0, http: 0 };
        let gather = Arc::new(Gather::new(self.senders.guard(doors.host), upstream));
        let (server, addresses) = doors.open(Arc::clone(&gather))?;
        let changes = environment::changes(environment, addresses, directory.path());
        let command = command_line::shown(&self.command);
        let ended = runtime.block_on(async {
            // First: from here on a signal is for the program.
            let signals = Signals::new().map_err(|error| no_start(&error))?;
            let since = Instant::now();
            let child = match child::start(&self.command, &changes) {
                Ok(child) => child,
                Err(failed) => return Ok(Err(failed)),
            };
            let ended = child::wait(child, signals, since).await.map_err(|error| no_start(&error))?;
            last_requests(&server).await;
            Ok(Ok(ended))
        })?;
        drop(server);
        let ended = match ended {
            Ok(ended) => ended,
            Err(failed) => {
                let program = self.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
                let (code, text, help) = cannot_start(&program, &failed);
                error(&text, help);
                return Ok(code);
            }
        };
        let code = ended.exit_code();
        let evidence = std::mem::replace(&mut *gather.evidence(), Evidence::new());
        let account =
            Account { images: read_image_log(directory.path()), ..Account::new(command, ended, shown, evidence) };
        let account = account.judged(
            directory.programs(),
            &Circumstances::of(environment, unusable, addresses.map(|address| address.port())),
        );
        self.tell(&account);
        let wanted = environment.get("LOGBRIDGE_REPORT").filter(|wanted| *wanted != "off");
        if let Some((wanted, why)) = wanted.and_then(|wanted| Some((wanted, directory.keep(wanted).err()?))) {
            let (note, wanted, why) = (paint(Look::Bold, "note:"), plain(wanted), plain(&why));
            say(&format!("\n{note} LOGBRIDGE_REPORT={wanted}: {why}\n"));
        }
        Ok(code)
    }

    fn tell(&self, account: &Account) {
        match self.json {
            true => print(&terminal::json(&format!("{:#}\n", json::of(account)))),
            false => say(&text::of(account)),
        }
        let Some(path) = &self.report else { return };
        match write_in_place(path, page::of(account)) {
            Ok(()) => say(&text::written(path)),
            Err(failed) => {
                error(&format!("{} cannot be written: {failed}", path.display()), "name another file with --report");
            }
        }
    }
}

/// Waits for the requests that the program has made before its end: it may not have waited for their answers.
async fn last_requests(server: &Server) {
    let since = Instant::now();
    // A machine that is busy is slow to accept, but does it in the end.
    let _accepted = tokio::time::timeout(LAST_ANSWERS, server.all_accepted()).await;
    let accepted = Instant::now();
    loop {
        let is_quiet = !server.has_clients() || accepted.elapsed() > LAST_WORDS;
        if (is_quiet && !server.is_answering()) || since.elapsed() > LAST_ANSWERS {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn no_start(error: &io::Error) -> Problem {
    Problem::new(format!("nothing can be run: {error}"), "check the limits of the process (ulimit -n, ulimit -u)")
}
