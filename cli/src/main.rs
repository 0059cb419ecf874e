//! The command `logbridge`: arguments to calls of the library, and their results to an exit code.

mod command;
mod doctor;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command::{Doctor, Explain, Listen, Replay, Run};

/// Finds out why logs do not arrive: looks at a project and its endpoint, shows what programs send by OTLP, explains
/// filters, and sends what dead processes have left in a spool.
#[derive(Debug, Parser)]
#[command(
    name = "logbridge",
    version,
    max_term_width = 100,
    after_help = "Exit codes:\n  0  good\n  1  something is wrong with what was asked about\n  2  wrong usage\n\
                  `run` exits with what its program exits with.\n\n\
                  Colours are left out where NO_COLOR is set, and where the output is no terminal."
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Doctor(Box<Doctor>),
    Explain(Explain),
    Listen(Listen),
    Replay(Replay),
    Run(Run),
}

fn main() -> ExitCode {
    let verdict = match Arguments::parse().verb {
        Verb::Doctor(doctor) => doctor.run(),
        Verb::Explain(explain) => explain.run(),
        Verb::Listen(listen) => listen.run(),
        Verb::Replay(replay) => replay.run(),
        // Its exit code is that of the program.
        Verb::Run(run) => return ExitCode::from(run.run()),
    };
    ExitCode::from(verdict.code())
}
