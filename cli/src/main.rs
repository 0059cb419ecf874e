//! The command `logbridge`: parses the command line, runs a subcommand and exits with its status.

mod command;
mod doctor;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command::{Doctor, Explain, Listen, Replay, Run};

/// Find out why logs do not arrive at an OpenTelemetry endpoint
#[derive(Debug, Parser)]
#[command(
    name = "logbridge",
    version,
    max_term_width = 100,
    after_help = "Exit status:\n  0  success\n  1  a problem was found, or the operation failed\n  2  incorrect usage\n\
                  `run` exits with the status of its program.\n\n\
                  Colors are disabled if NO_COLOR is set or if the output is not a terminal."
)]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    Doctor(Box<Doctor>),
    Explain(Explain),
    Listen(Listen),
    Replay(Replay),
    Run(Run),
}

fn main() -> ExitCode {
    let status = match Arguments::parse().command {
        Commands::Doctor(doctor) => doctor.run(),
        Commands::Explain(explain) => explain.run(),
        Commands::Listen(listen) => listen.run(),
        Commands::Replay(replay) => replay.run(),
        Commands::Run(run) => return ExitCode::from(run.run()),
    };
    ExitCode::from(status.code())
}
