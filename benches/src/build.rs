//! The cost of a dependency before the program runs: the crates in its tree, and the time of a cold build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What a program has that sends its logs and spans by the official crates and prints by env_logger.
const STOCK: &str = r#"
env_logger = { version = "0.11.11", features = ["kv"] }
log = { version = "0.4.35", features = ["kv"] }
opentelemetry = "0.33.1"
opentelemetry-appender-log = "0.33.1"
opentelemetry-appender-tracing = "0.33.1"
opentelemetry-otlp = { version = "0.33.1", default-features = false, features = ["http-proto", "logs", "trace", "reqwest-blocking-client", "reqwest-rustls"] }
opentelemetry_sdk = "0.33.1"
tracing = "0.1.44"
tracing-opentelemetry = "0.34"
tracing-subscriber = "0.3.23"
"#;

pub(crate) fn table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package above");
    let ours = format!(
        "\nlog = \"0.4.35\"\nlogbridge = {{ path = {:?} }}\ntracing = \"0.1.44\"\n",
        root.display().to_string()
    );
    println!("{:<52} {:>12}   {:>9}", "a program that depends on", "crates", "cold build, s");
    for (name, dependencies) in [("logbridge", ours.as_str()), ("the stock set", STOCK)] {
        crate::progress(&format!("building a program with {name} …"));
        let program = program(name, dependencies);
        let (crates, seconds) = (crates(&program), build(&program));
        crate::progress("");
        println!("{name:<52} {crates:>12}   {seconds:>9.1}");
        fs::remove_dir_all(program).expect("it was made here");
    }
}

fn program(name: &str, dependencies: &str) -> PathBuf {
    let name = name.replace(' ', "-");
    let path = std::env::temp_dir().join(format!("logbridge-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(path.join("src")).expect("a folder");
    fs::write(path.join("src/main.rs"), "fn main() {}\n").expect("a file");
    let head =
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]");
    fs::write(path.join("Cargo.toml"), format!("{head}{dependencies}")).expect("a file");
    path
}

fn crates(program: &Path) -> usize {
    let output = Command::new("cargo")
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(program)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let all: BTreeSet<String> =
        text.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    // Without the program itself.
    all.len() - 1
}

fn build(program: &Path) -> f64 {
    // What must be fetched is fetched before the clock starts.
    assert!(Command::new("cargo").args(["fetch", "--quiet"]).current_dir(program).status().expect("cargo").success());
    let start = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--offline"])
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(program)
        .status()
        .expect("cargo");
    assert!(status.success(), "the build failed");
    start.elapsed().as_secs_f64()
}
