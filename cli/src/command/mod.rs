//! The subcommands of `logbridge`.
//!
//! Constraints:
//! * Results go to stdout. Progress, notices and errors go to stderr. A closed pipe is not an error.
//! * Every subcommand returns an [`exit_status::ExitStatus`], except `run`, which returns the exit code of its program.

mod arguments;
mod doctor;
mod exit_status;
mod explain;
mod findings;
mod intake;
mod level_table;
mod listen;
mod replay;
mod run;
mod terminal;
mod wording;

pub(crate) use doctor::Doctor;
pub(crate) use explain::Explain;
pub(crate) use listen::Listen;
pub(crate) use replay::Replay;
pub(crate) use run::Run;
