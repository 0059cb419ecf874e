//! `logbridge replay`: sends what dead processes have left in a spool.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::listing::{as_json, listing, waiting};
use super::summary::Summary;
use super::terminal::{Progress, error, json, listen, plain, print, say};
use super::{Problem, Verdict, time};
use logbridge::internals::config::{BuilderSettings, Environment, LogDelivery, Otlp, SettingSource};
use logbridge::internals::outbox::survey::{Depth, Survey, survey};
use logbridge::internals::ship;

/// Sends what dead processes have left in a spool directory.
///
/// Records keep the resource of the process that wrote them, oldest first, and leave the directory once the endpoint has
/// confirmed them. Protocol, headers, TLS, compression and proxy come from the variables that the programs read:
/// OTEL_EXPORTER_OTLP_HEADERS, HTTPS_PROXY and their like.
///
/// What the endpoint refuses as a whole (a wrong key, a wrong path) stays where it is, and so does everything when nothing
/// answers, or at ^C. Records are lost only where the endpoint takes others and refuses them for what they are. What live
/// processes have is theirs.
///
/// Exits with 0 where everything that dead processes left was delivered, and where nothing was left; with 1 where
/// something was refused, was damaged, or stays.
///
/// Files of other users stay where they are unless `--any-owner` is given: whoever can write in the directory could have
/// anything sent under your key.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// The directory that LOGBRIDGE_SPOOL_DIR or `Builder::spool` names
    directory: PathBuf,
    /// Where to send: a base URL, or one that ends in /v1/logs [default: OTEL_EXPORTER_OTLP_ENDPOINT and its like, else
    /// http://localhost:4318]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Give up after this time without progress: 500ms, 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    timeout: Duration,
    /// Send what other users' processes have left too
    #[arg(long)]
    any_owner: bool,
    /// Show what would be sent; send and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Where records go, and who said so.
struct Target {
    delivery: LogDelivery,
    endpoint: String,
    /// Nobody has named one.
    is_default: bool,
}

impl Replay {
    /// Sends what is there, or shows it.
    #[must_use]
    pub(crate) fn run(self) -> Verdict {
        listen();
        let environment = Environment::process();
        match self.run_in(&environment) {
            Ok(verdict) => verdict,
            Err(problem) => problem.tell(),
        }
    }

    fn run_in(&self, environment: &Environment) -> Result<Verdict, Problem> {
        let target = self.target(environment)?;
        let depth = if self.dry_run { Depth::Records } else { Depth::Heads };
        let found =
            survey(&self.directory, self.any_owner, depth).map_err(|error| cannot_look(&self.directory, &error))?;
        if found.runs.is_empty() && found.set_aside.is_empty() && !self.json {
            print(&nothing(&self.directory, found.others));
            return Ok(Verdict::Good);
        }
        if !self.dry_run {
            return self.send(&found, target, environment);
        }
        let endpoint = target.shown();
        print(&match self.json {
            true => json(&format!("{:#}\n", as_json(&found, &self.directory, &target.endpoint))),
            false => listing(&found, &self.directory, &endpoint),
        });
        let is_well = found.runs.iter().filter(|run| run.is_left()).all(|run| run.trouble.is_empty());
        Ok(Verdict::good_if(is_well && found.runs.iter().all(|run| !run.is_unreadable())))
    }

    fn send(&self, before: &Survey, target: Target, environment: &Environment) -> Result<Verdict, Problem> {
        let number = before.runs.iter().filter(|run| run.is_left()).map(|run| run.records).sum();
        if number > 0 {
            say(&format!("sending about {} to {}\n", waiting(before), plain(&target.shown())));
        }
        let started = Instant::now();
        let mut progress = Progress::new(number, environment.get("TERM") == Some("dumb"));
        let replay = ship::Replay {
            directory: self.directory.clone(),
            any_owner: self.any_owner,
            delivery: target.delivery,
            patience: self.timeout,
            records: number,
        };
        let replayed = replay.run(|records| progress.at(records), interrupted()).map_err(|error| {
            let source = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            Problem::new(format!("nothing can be sent: {error}{source}"), "check the limits of the process (ulimit -n)")
        })?;
        drop(progress);
        let took = started.elapsed();
        // By the records: what is left is to be counted.
        let after = survey(&self.directory, self.any_owner, Depth::Records)
            .map_err(|error| cannot_look(&self.directory, &error))?;
        let summary = Summary::new(target.endpoint, replayed, [before, &after], self.timeout, took);
        if let Some((why, help)) = summary.stopped() {
            error(why, help);
        }
        print(&match self.json {
            true => json(&format!("{:#}\n", summary.as_json(&self.directory))),
            false => summary.text(&self.directory),
        });
        Ok(Verdict::good_if(summary.is_good()))
    }

    /// Where the environment and the arguments say.
    fn target(&self, environment: &Environment) -> Result<Target, Problem> {
        let otlp = match &self.endpoint {
            Some(url) => crate::doctor::otlp_to(url),
            // To be on, whatever else is said.
            None => Otlp::from_env(),
        };
        let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
        let config = settings.resolve(environment).map_err(|error| {
            // What is code to the library is an argument here.
            let text = error.to_string().replacen("the OTLP endpoint set in code", "--endpoint", 1);
            Problem::usage(text, error.help().unwrap_or("write a URL such as http://localhost:4318"))
        })?;
        for notice in config.findings.iter().filter_map(logbridge::internals::finding::Finding::notice) {
            logbridge::internals::notice::emit(&notice);
        }
        let why = config.otlp.off_because.unwrap_or("the destination is off");
        let Some(delivery) = config.otlp.delivery else {
            return Err(Problem::usage(format!("nothing may be sent: {why}"), "unset that variable for this command"));
        };
        let source = config.settings.iter().find(|setting| setting.name == "logs endpoint").map(|found| found.source);
        let endpoint = delivery.route.endpoint.to_string();
        Ok(Target { delivery, endpoint, is_default: source == Some(SettingSource::BuiltIn) })
    }
}

impl Target {
    fn shown(&self) -> String {
        match self.is_default {
            true => format!("{} (the default: neither --endpoint nor the environment names another)", self.endpoint),
            false => self.endpoint.clone(),
        }
    }
}

fn cannot_look(directory: &Path, error: &io::Error) -> Problem {
    let shown = directory.display();
    match error.kind() {
        io::ErrorKind::NotFound => Problem::new(
            format!("`{shown}` is not there"),
            "name the directory that LOGBRIDGE_SPOOL_DIR or `Builder::spool` names; a program makes it with its first record",
        ),
        io::ErrorKind::NotADirectory => Problem::new(
            format!("`{shown}` is no directory"),
            "name the directory of the spool, and not one of its files",
        ),
        io::ErrorKind::PermissionDenied => Problem::new(
            format!("`{shown}` may not be read by this user"),
            "run this as the user whose program wrote it: a spool is its owner's alone",
        ),
        _ => Problem::new(format!("`{shown}` cannot be read: {error}"), "check the file system"),
    }
}

fn nothing(directory: &Path, others: usize) -> String {
    let directory = plain(&directory.display().to_string());
    match others {
        0 => format!("nothing is left in {directory}\n"),
        _ => format!(
            "nothing is left in {directory}: none of its files is one of a spool\nlook for the directory that \
             LOGBRIDGE_SPOOL_DIR or `Builder::spool` names\n"
        ),
    }
}

/// Ends when somebody presses ^C. If that signal cannot be listened to, it ends the process.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
