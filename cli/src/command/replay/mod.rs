//! `logbridge replay`: sends the records that exited processes left in a spool.

mod listing;
mod summary;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use self::listing::{as_json, listing, waiting_records};
use self::summary::Summary;
use super::arguments::duration;
use super::exit_status::{CommandError, ExitStatus};
use super::terminal::{Progress, divert_notices, eprint, error, json, print, sanitize};
use logbridge::internals::config::{BuilderSettings, Environment, LogDelivery, Otlp, SettingSource};
use logbridge::internals::finding::{Finding, FindingExt as _};
use logbridge::internals::notice;
use logbridge::internals::outbox::survey::{Depth, Survey, survey};
use logbridge::internals::ship;

/// Send the records that exited processes left in a spool directory
///
/// Records are sent oldest first, with the resource of the process that wrote them. They are removed from the directory
/// once the endpoint confirms them. Protocol, headers, TLS, compression and proxy come from the same environment
/// variables as in the programs: OTEL_EXPORTER_OTLP_HEADERS, HTTPS_PROXY and so on.
///
/// Records stay in the directory if the endpoint refuses the request (wrong key, wrong path), if it does not respond,
/// or on ^C. A record is lost only if the endpoint rejects it while it accepts others. Records of running processes are
/// left to those processes.
///
/// Files of other users are skipped unless --any-owner is given, because anyone who can write to the directory could
/// have records sent with your key.
///
/// Exits with 0 if all records of exited processes were delivered or none were left, and with 1 if records were
/// rejected, are damaged, or remain.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// Spool directory, as in LOGBRIDGE_SPOOL_DIR or `Builder::spool`
    directory: PathBuf,
    /// Send to this URL: a base URL, or one that ends in /v1/logs [default: from the environment, or
    /// http://localhost:4318]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Give up after this time without progress: 500ms, 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Also send files of other users
    #[arg(long)]
    any_owner: bool,
    /// Show the records that would be sent, and send and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The endpoint for the records.
struct Target {
    delivery: LogDelivery,
    endpoint: String,
    is_default: bool,
}

impl Replay {
    #[must_use]
    pub(crate) fn run(self) -> ExitStatus {
        divert_notices();
        let environment = Environment::process();
        match self.try_run(&environment) {
            Ok(status) => status,
            Err(error) => error.report(),
        }
    }

    fn try_run(&self, environment: &Environment) -> Result<ExitStatus, CommandError> {
        let target = self.target(environment)?;
        let depth = if self.dry_run { Depth::Records } else { Depth::Heads };
        let found =
            survey(&self.directory, self.any_owner, depth).map_err(|error| cannot_read(&self.directory, &error))?;
        if found.runs.is_empty() && found.set_aside.is_empty() && !self.json {
            print(&no_records(&self.directory, found.others));
            return Ok(ExitStatus::Success);
        }
        if !self.dry_run {
            return self.send(&found, target, environment);
        }
        let endpoint = target.with_origin();
        print(&match self.json {
            true => json(&format!("{:#}\n", as_json(&found, &self.directory, &target.endpoint))),
            false => listing(&found, &self.directory, &endpoint),
        });
        let is_intact = found.runs.iter().filter(|run| run.is_left()).all(|run| run.trouble.is_empty());
        Ok(ExitStatus::success_if(is_intact && found.runs.iter().all(|run| !run.is_unreadable())))
    }

    fn send(&self, before: &Survey, target: Target, environment: &Environment) -> Result<ExitStatus, CommandError> {
        let number = before.runs.iter().filter(|run| run.is_left()).map(|run| run.records).sum();
        if number > 0 {
            eprint(&format!("sending about {} to {}\n", waiting_records(before), sanitize(&target.with_origin())));
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
        let replayed = replay.run(|records| progress.set(records), interrupted()).map_err(|error| {
            let source = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            CommandError::new(format!("cannot start sending: {error}{source}"), "check the process limits (ulimit -n)")
        })?;
        drop(progress);
        let took = started.elapsed();
        // The headers of the files are only an estimate, so the records that remain are counted one by one.
        let after = survey(&self.directory, self.any_owner, Depth::Records)
            .map_err(|error| cannot_read(&self.directory, &error))?;
        let summary = Summary::new(target.endpoint, replayed, [before, &after], self.timeout, took);
        if let Some((reason, help)) = summary.stopped() {
            error(reason, help);
        }
        print(&match self.json {
            true => json(&format!("{:#}\n", summary.as_json(&self.directory))),
            false => summary.text(&self.directory),
        });
        Ok(ExitStatus::success_if(summary.is_success()))
    }

    /// Resolves the endpoint from `--endpoint`, the environment and the default, in this order.
    fn target(&self, environment: &Environment) -> Result<Target, CommandError> {
        let otlp = match &self.endpoint {
            Some(url) => crate::doctor::otlp_to(url),
            // Without an explicit `Otlp`, the destination would be off if no variable names an endpoint.
            None => Otlp::from_env(),
        };
        let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
        let config = settings.resolve(environment).map_err(|error| {
            // The library knows the option only as a value from code.
            let text = error.to_string().replacen("the OTLP endpoint set in code", "--endpoint", 1);
            CommandError::usage(text, error.help().unwrap_or("write a URL such as http://localhost:4318"))
        })?;
        for notice in config.findings.iter().filter_map(Finding::notice) {
            notice::emit(&notice);
        }
        let reason = config.otlp.off_because.unwrap_or("the destination is off");
        let Some(delivery) = config.otlp.delivery else {
            return Err(CommandError::usage(
                format!("sending is disabled: {reason}"),
                "unset that variable for this command",
            ));
        };
        let source = config.settings.iter().find(|setting| setting.name == "logs endpoint").map(|found| found.source);
        let endpoint = delivery.route.endpoint.to_string();
        Ok(Target { delivery, endpoint, is_default: source == Some(SettingSource::BuiltIn) })
    }
}

impl Target {
    fn with_origin(&self) -> String {
        match self.is_default {
            true => format!("{} (default; set neither by --endpoint nor by the environment)", self.endpoint),
            false => self.endpoint.clone(),
        }
    }
}

fn cannot_read(directory: &Path, error: &io::Error) -> CommandError {
    let shown = directory.display();
    match error.kind() {
        io::ErrorKind::NotFound => CommandError::new(
            format!("`{shown}` does not exist"),
            "pass the directory of LOGBRIDGE_SPOOL_DIR or `Builder::spool`; a program creates it with its first record",
        ),
        io::ErrorKind::NotADirectory => CommandError::new(
            format!("`{shown}` is not a directory"),
            "pass the directory of the spool, not one of its files",
        ),
        io::ErrorKind::PermissionDenied => CommandError::new(
            format!("this user is not allowed to read `{shown}`"),
            "run this command as the user of the program: only its owner can read a spool",
        ),
        _ => CommandError::new(format!("cannot read `{shown}`: {error}"), "check the file system"),
    }
}

fn no_records(directory: &Path, other_files: usize) -> String {
    let directory = sanitize(&directory.display().to_string());
    match other_files {
        0 => format!("no records in {directory}\n"),
        _ => format!(
            "no records in {directory}: none of its files belongs to a spool\npass the directory of \
             LOGBRIDGE_SPOOL_DIR or `Builder::spool`\n"
        ),
    }
}

/// Completes on ^C. If the signal cannot be received, ^C ends the process instead.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
