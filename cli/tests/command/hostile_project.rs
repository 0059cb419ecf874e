//! `logbridge doctor` runs no program that a project specifies, and still finds its faults.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::expect_used)] // A test may panic, and passes on what cargo needs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
[package]
name = "shop"
version = "0.1.0"
edition = "2021"

[dependencies]
log = { path = "crates/log" }
chatty = { path = "crates/chatty" }
"#;

const LOCK: &str = "version = 3

[[package]]
name = \"chatty\"
version = \"0.1.0\"
dependencies = [\"log\"]

[[package]]
name = \"log\"
version = \"0.4.35\"

[[package]]
name = \"shop\"
version = \"0.1.0\"
dependencies = [\"chatty\", \"log\"]
";

/// A project whose dependency compiles out levels, in a directory that is removed at the end.
struct Project(PathBuf);

impl Drop for Project {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Project {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("logbridge-hostile-{}-{number}", std::process::id()));
        let project = Self(folder.join("shop"));
        project.write("Cargo.toml", MANIFEST);
        project.write("src/main.rs", "fn main() { log::info!(\"x\"); }");
        let package = |name: &str, version: &str, more: &str| {
            let text = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n{more}");
            project.write(&format!("crates/{name}/Cargo.toml"), &text);
            project.write(&format!("crates/{name}/src/lib.rs"), "");
        };
        package("log", "0.4.35", "[features]\nmax_level_warn = []\n");
        package("chatty", "0.1.0", "[dependencies]\nlog = { path = \"../log\", features = [\"max_level_warn\"] }\n");
        project
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().expect("text").to_owned()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Writes a program that leaves a mark when it runs.
    fn script(&self, file: &str) -> String {
        self.write(file, &format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\nexit 1\n", self.marker().display()));
        let path = self.path(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    fn marker(&self) -> PathBuf {
        self.0.with_file_name("marker")
    }

    #[track_caller]
    fn assert_unmarked(&self, what: &str) {
        let mark = fs::read_to_string(self.marker()).unwrap_or_default();
        assert_eq!(mark, "", "{what} ran something");
    }
}

/// The doctor in this directory, without variables about telemetry.
fn doctor(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.env_clear().arg("doctor").args(arguments).current_dir(folder);
    // RUSTUP_TOOLCHAIN is left out, because it would override the toolchain of the project.
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

#[track_caller]
fn said(mut command: Command) -> String {
    let Output { stdout, stderr, .. } = command.output().expect("the doctor");
    [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat()
}

/// Makes a project specify programs.
type Hook = fn(&Project);

/// Sets every program that the Cargo configuration of a project can set.
fn hook_cargo(project: &Project) {
    let script = project.script("hooks/script");
    let config = format!(
        "[build]\nrustc = \"{script}\"\nrustc-wrapper = \"{script}\"\nrustc-workspace-wrapper = \"{script}\"\nrustdoc = \"{script}\"\n\
         [alias]\nmetadata = \"run\"\n\
         [env]\nRUSTC = {{ value = \"{script}\", force = true }}\nRUSTC_WRAPPER = {{ value = \"{script}\", force = true }}\nLD_PRELOAD = {{ value = \"{}\", force = true }}\n\
         [target.'cfg(all())']\nrunner = \"{script}\"\n\
         [credential-alias]\nhook = [\"{script}\"]\n\
         [registry]\nglobal-credential-providers = [\"{script}\"]\n\
         [registries.corp]\nindex = \"sparse+http://127.0.0.1:9/\"\ncredential-provider = [\"{script}\"]\n",
        library(project),
    );
    project.write(".cargo/config.toml", &config);
}

/// A library that leaves a mark when it is loaded.
fn library(project: &Project) -> String {
    let path = project.path("hooks/hook.so");
    if cfg!(target_os = "linux") {
        let marker = project.marker();
        project.write(
            "hooks/hook.rs",
            &format!(
                "extern \"C\" fn hook() {{ let _ = std::fs::write({marker:?}, \"preloaded\"); }}\n\
                 #[used]\n#[unsafe(link_section = \".init_array\")]\nstatic HOOK: extern \"C\" fn() = hook;\n"
            ),
        );
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o", &path, &project.path("hooks/hook.rs")]);
        assert!(rustc.status().expect("a compiler").success());
    }
    path
}

fn hook_toolchain(project: &Project) {
    for name in ["cargo", "rustc"] {
        project.script(&format!("toolchain/bin/{name}"));
    }
    fs::create_dir_all(project.path("toolchain/lib")).expect("a folder");
    project.write("rust-toolchain.toml", &format!("[toolchain]\npath = \"{}\"\n", project.path("toolchain")));
}

/// Adds programs that a `PATH` with the working directory finds.
fn hook_path(project: &Project) {
    for name in ["cargo", "rustc", "rustup", "git"] {
        project.script(name);
    }
}

#[test]
fn no_program_of_a_project_is_run_in_any_mode() {
    let hooks: [(&str, &[Hook]); 5] = [
        ("nothing", &[]),
        ("cargo's configuration", &[hook_cargo]),
        ("a toolchain", &[hook_toolchain]),
        ("programs", &[hook_path]),
        ("everything", &[hook_cargo, hook_toolchain, hook_path]),
    ];
    let endpoint = ["endpoint", "--endpoint", "http://127.0.0.1:9"];
    let modes: [&[&str]; 7] = [
        &[],
        &["project"],
        &["environment"],
        &endpoint,
        &["project", "--json"],
        &["--offline", "--release"],
        &["project", "--all-features"],
    ];
    for (what, hooks) in hooks {
        for has_lock in [true, false] {
            let project = Project::new();
            hooks.iter().for_each(|hook| hook(&project));
            if has_lock {
                project.write("Cargo.lock", LOCK);
            }
            let modes = if has_lock { &modes[..] } else { &modes[..2] };
            for mode in modes {
                let mut command = doctor(&project.0, mode);
                let path = format!(".::hooks:{}", std::env::var("PATH").expect("a path"));
                command.env("PATH", path);
                let said = said(command);
                let what = format!("with {what}, `doctor {}`", mode.join(" "));
                project.assert_unmarked(&what);
                assert!(!said.contains("was read instead"), "{what}: {said}");
                let is_of_project = mode.is_empty() || mode.iter().any(|word| ["project", "--release"].contains(word));
                assert_eq!(said.contains("LB045"), is_of_project, "{what}: {said}");
                assert_eq!(project.0.join("Cargo.lock").exists(), has_lock, "{what}");
                assert!(!project.0.join("target").exists(), "{what}");
            }
            let elsewhere = said(doctor(Path::new("/"), &["project", "--manifest-path", &project.path("Cargo.toml")]));
            project.assert_unmarked(what);
            assert!(elsewhere.contains("LB045"), "{elsewhere}");
        }
    }
}

#[test]
fn cargo_or_its_home_inside_the_project_is_not_used() {
    for inside in ["home", "cargo"] {
        let project = Project::new();
        project.write("Cargo.lock", LOCK);
        hook_cargo(&project);
        fs::rename(project.path(".cargo"), project.path("home")).expect("renamed");
        let mut command = doctor(&project.0, &["project"]);
        match inside {
            "home" => command.env("CARGO_HOME", project.path("home")),
            _ => command.env("CARGO", project.script("hooks/cargo")),
        };
        let said = said(command);
        project.assert_unmarked(inside);
        assert!(said.contains("cargo was not run because `") && said.contains("Cargo.lock was read instead"), "{said}");
    }
}

#[test]
fn vendored_packages_are_found_in_the_configured_directory() {
    let project = Project::new();
    project.write(
        "Cargo.toml",
        &MANIFEST
            .replace("{ path = \"crates/chatty\" }", "\"0.1.0\"")
            .replace("{ path = \"crates/log\" }", "\"0.4.35\""),
    );
    project.write(
        "crates/chatty/Cargo.toml",
        &fs::read_to_string(project.path("crates/chatty/Cargo.toml"))
            .expect("read")
            .replace("path = \"../log\"", "version = \"0.4.35\""),
    );
    for name in ["chatty", "log"] {
        project.write(&format!("crates/{name}/.cargo-checksum.json"), "{\"files\":{},\"package\":null}");
    }
    let script = project.script("hooks/script");
    project.write(
        ".cargo/config.toml",
        &format!("[build]\nrustc = \"{script}\"\n[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"crates\"\n"),
    );
    let said = said(doctor(&project.0, &["project"]));
    project.assert_unmarked("vendoring");
    assert!(said.contains("LB045") && !said.contains("was read instead"), "{said}");
}

#[test]
fn an_endless_file_or_a_pipe_does_not_block_the_doctor() {
    for (file, endless) in [
        ("Cargo.toml", "/dev/zero"),
        ("Cargo.toml", "fifo"),
        ("Cargo.lock", "fifo"),
        ("rust-toolchain.toml", "fifo"),
        (".cargo/config.toml", "fifo"),
        ("src/main.rs", "fifo"),
        ("src/main.rs", "/dev/zero"),
    ] {
        let project = Project::new();
        project.write("Cargo.lock", LOCK);
        let path = project.path(file);
        fs::remove_file(&path).ok();
        fs::create_dir_all(Path::new(&path).parent().expect("a folder")).expect("a folder");
        match endless {
            "fifo" => assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success()),
            target => symlink(target, &path).expect("a link"),
        }
        let start = Instant::now();
        said(doctor(&project.0, &["project"]));
        assert!(start.elapsed() < Duration::from_secs(15), "{file} as {endless}: {:?}", start.elapsed());
    }
}

#[test]
fn a_hostile_project_cannot_slow_down_the_doctor() {
    let project = Project::new();
    let deep = 15_000;
    let exits = "std::process::exit(1);\n".repeat(20_000);
    let main = format!("{}{}\n{exits}logbridge::init();", "fn a(){".repeat(deep), "}".repeat(deep));
    project.write("src/main.rs", &main);
    let packages = 100_000;
    let package = |at: usize| {
        let to = at * 7 % packages;
        format!("[[package]]\nname = \"p{at}\"\nversion = \"1.0.0\"\ndependencies = [\"p{to}\"]\n")
    };
    let lock: String = (0..packages).map(package).collect();
    project.write("Cargo.lock", &format!("version = 3\n{lock}[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\n"));
    let start = Instant::now();
    let mut command = doctor(&project.0, &["project"]);
    command.env("CARGO", "/no/cargo");
    let said = said(command);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}: {said}", start.elapsed());
    assert!(said.contains("Cargo.lock was read instead"), "{said}");
}
