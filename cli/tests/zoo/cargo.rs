//! Projects as texts, written to a folder of their own, and what the doctor says of them.
//!
//! No crate of a registry is in them: packages named `log` or `opentelemetry-otlp` with the features of the real ones lie
//! beside, as path dependencies. Nothing is compiled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::row::Codes;

/// A folder that goes when it is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("logbridge-zoo-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _may_be_gone = std::fs::remove_dir_all(&self.0);
    }
}

/// One project.
#[derive(Clone, Default)]
pub(crate) struct Project {
    files: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Project {
    /// A package `shop`, with these lines under `[dependencies]`. `$V` is the folder of the vendored packages.
    pub(crate) fn new(dependencies: &str) -> Self {
        Self::default().manifest(&format!(
            "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n{dependencies}\n"
        ))
    }

    pub(crate) fn manifest(self, text: &str) -> Self {
        self.file("Cargo.toml", text)
    }

    /// Adds to the manifest.
    pub(crate) fn and(mut self, text: &str) -> Self {
        let manifest = self.files.iter_mut().find(|(path, _)| path == "Cargo.toml").expect("a manifest");
        manifest.1.push_str(&format!("\n{text}\n"));
        self
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    pub(crate) fn main(self, text: &str) -> Self {
        self.file("src/main.rs", text)
    }

    /// A package beside it, under `$V/NAME-VERSION`.
    pub(crate) fn vendor(self, name: &str, version: &str, features: &str, dependencies: &str) -> Self {
        let folder = format!("vendor/{name}-{version}");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\n[features]\n{features}\n\n[dependencies]\n{dependencies}\n"
        );
        self.file(&format!("{folder}/Cargo.toml"), &manifest).file(&format!("{folder}/src/lib.rs"), "")
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn write(&self) -> Folder {
        let folder = Folder::new();
        let vendored = folder.0.join("vendor");
        for (path, text) in &self.files {
            let path = folder.0.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text.replace("$V", vendored.to_str().expect("text"))).expect("written");
        }
        folder
    }

    /// What these stages of the doctor say.
    pub(crate) fn examined(&self, stages: &[&str]) -> Said {
        let folder = self.write();
        let mut command = doctor(stages);
        command.arg("--manifest-path").arg(folder.0.join("Cargo.toml")).args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        said(command)
    }

    /// The codes of the stages `project` and `environment`.
    pub(crate) fn codes(&self) -> Codes {
        self.examined(&["project", "environment"]).codes
    }
}

/// The doctor in an environment without a word about telemetry.
pub(crate) fn doctor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.env_clear().arg("doctor").args(arguments).arg("--json");
    // What cargo needs.
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "SYSTEMROOT", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("CARGO_NET_OFFLINE", "true").current_dir(Path::new("/"));
    command
}

/// What the doctor said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) codes: Codes,
    /// Those that are more than good to know.
    pub(crate) grave: Codes,
    pub(crate) exit: i32,
    /// Everything, for a look at the words.
    pub(crate) text: String,
}

pub(crate) fn said(mut command: Command) -> Said {
    let output = command.output().expect("the doctor runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    let exit = output.status.code().expect("an exit code");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("JSON: {text}{errors}"));
    let findings: Vec<&serde_json::Value> = json["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .flat_map(|stage| stage["findings"].as_array().into_iter().flatten())
        .collect();
    let codes = |of: &dyn Fn(&serde_json::Value) -> bool| {
        findings.iter().filter(|f| of(f)).map(|f| f["code"].as_str().expect("a code").to_owned()).collect::<Codes>()
    };
    let grave = codes(&|finding| finding["severity"] != "note");
    assert_eq!(exit, i32::from(!grave.is_empty()), "{text}");
    Said { codes: codes(&|_| true), grave, exit, text }
}
