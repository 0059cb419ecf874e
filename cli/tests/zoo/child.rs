//! Rows that are programs: this executable runs again, and its report is read after it ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use logbridge::testing::Receiver;

use crate::row::{Case, Codes};

/// A program of a row: what it does in either case.
pub(crate) type Program = fn(Case);

/// Runs the program that the arguments name; `None` where they name none.
pub(crate) fn play(programs: &[(&str, Program)]) -> Option<()> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != "child" {
        return None;
    }
    let name = arguments.next().expect("a name");
    let case = if arguments.next().as_deref() == Some("faulty") { Case::Faulty } else { Case::Healthy };
    let (_, program) = programs.iter().find(|(known, _)| *known == name).expect("a known program");
    program(case);
    Some(())
}

/// A child to be run: to this receiver, under this environment.
pub(crate) struct Child {
    name: &'static str,
    case: Case,
    variables: BTreeMap<String, String>,
}

/// What it left behind.
pub(crate) struct Ended {
    /// Of the findings of its report at the end, and of its notices.
    pub(crate) codes: Codes,
    pub(crate) stderr: String,
}

impl Child {
    pub(crate) fn new(name: &'static str, case: Case) -> Self {
        Self { name, case, variables: BTreeMap::new() }
    }

    pub(crate) fn to(self, receiver: &Receiver) -> Self {
        self.towards(&receiver.endpoint())
    }

    pub(crate) fn towards(self, url: &str) -> Self {
        self.env("OTEL_EXPORTER_OTLP_ENDPOINT", url).env("OTEL_SERVICE_NAME", "zoo").env("RUST_LOG", "info")
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub(crate) fn run(self) -> Ended {
        let folder = Folder::new();
        let report = folder.0.join("report.json");
        let case = self.case.pick("faulty", "healthy");
        let mut command = Command::new(env::current_exe().expect("the path of this program"));
        command.args(["child", self.name, case]).env_clear().envs(self.variables).env("LOGBRIDGE_REPORT", &report);
        let output = command.stdin(Stdio::null()).output().expect("a child");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut codes: Codes = said(&stderr);
        if let Ok(report) = fs::read(report) {
            let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
            let findings = report["findings"].as_array().expect("a list").iter();
            codes.extend(findings.map(|finding| finding["code"].as_str().expect("a code").to_owned()));
        }
        Ended { codes, stderr }
    }
}

/// The codes in a text.
pub(crate) fn said(text: &str) -> Codes {
    text.match_indices("[LB").filter_map(|(at, _)| text.get(at + 1..at + 6)).map(str::to_owned).collect()
}

/// A directory that is gone when the row is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("logbridge-zoo-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
