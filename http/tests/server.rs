//! Tests of the server layer. Each has a process of its own, because it takes the global logger, subscriber and
//! providers: `cargo test --test server` starts this executable again as `server child NAME`.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test may panic.

#[path = "server/capture.rs"]
mod capture;
#[path = "server/conventions.rs"]
mod conventions;
#[path = "server/endings.rs"]
mod endings;
#[path = "server/grpc.rs"]
mod grpc;
#[path = "server/layers.rs"]
mod layers;
#[path = "server/metrics.rs"]
mod metrics;
#[path = "client/plain_codec.rs"]
mod plain_codec;
#[path = "server/support.rs"]
mod support;
#[path = "server/tonic_server.rs"]
mod tonic_server;
#[path = "server/traces.rs"]
mod traces;
#[path = "server/upgrades.rs"]
mod upgrades;
#[path = "server/user_code.rs"]
mod user_code;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// A test with the variables of its process.
struct Case {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    run: fn(),
}

/// Lists functions of a module as tests.
macro_rules! cases {
    ($module:ident: $($name:ident $([$($variable:literal = $value:literal),*])?),* $(,)?) => {
        [$(crate::Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            variables: &[$($(($variable, $value)),*)?],
            run: $name,
        }),*]
    };
}
pub(crate) use cases;

fn all() -> impl Iterator<Item = Case> {
    let lists = [
        capture::all(),
        conventions::all(),
        endings::all(),
        grpc::all(),
        layers::all(),
        metrics::all(),
        tonic_server::all(),
        traces::all(),
        upgrades::all(),
        user_code::all(),
    ];
    lists.into_iter().flatten()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("child") {
        let name = arguments.next().unwrap();
        let case = all().find(|case| case.name == name).unwrap();
        (case.run)();
        return ExitCode::SUCCESS;
    }
    let trials = all().map(|case| Trial::test(case.name, move || run_in_child(&case))).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run_in_child(case: &Case) -> Result<(), Failed> {
    let mut child = Command::new(std::env::current_exe()?);
    // Variables of the developer must not change the result.
    for (name, _) in std::env::vars_os() {
        if ["OTEL_", "LOGBRIDGE_", "HYPERDX_", "RUST_LOG"].iter().any(|start| name.to_string_lossy().starts_with(start))
        {
            child.env_remove(name);
        }
    }
    let output = child.args(["child", case.name]).envs(case.variables.iter().copied()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into()),
    }
}
