//! The time limits of the doctor.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::cargo::Project;
use crate::row::{Row, impossible};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        impossible("0t", "a doctor that takes more than three seconds for a hundred dependencies", || {
            let mut dependencies = String::new();
            for number in 0..120 {
                writeln!(dependencies, "dep-{number} = {{ path = \"$V/dep-{number}-1.0.0\" }}").expect("written");
            }
            let project = (0..120).fold(Project::new(&dependencies), |project, number| {
                project.vendor(&format!("dep-{number}"), "1.0.0", "", "")
            });
            let project = project.main("fn main() {}");
            let small = Project::new("").main("fn main() {}");
            let timed = |project: &Project| {
                let start = Instant::now();
                (project.examined(&["project", "environment"]), start.elapsed())
            };
            // On a loaded machine everything takes longer: without dependencies, it is mostly cargo.
            let (_, least) = timed(&small);
            let (said, elapsed) = timed(&project);
            assert!(
                elapsed < Duration::from_secs(3).max(10 * least),
                "{elapsed:?}, and {least:?} without dependencies"
            );
            assert!(said.codes.is_empty(), "{}", said.text);
        }),
        impossible(
            "0e",
            "a doctor that takes more than ten seconds for an endpoint that is dead, or takes a connection and no more",
            || {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let hanging = format!("http://{}", listener.local_addr().expect("an address"));
                for endpoint in ["http://127.0.0.1:1", &hanging] {
                    let project =
                        Project::new("").main("fn main() {}").variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
                    let start = Instant::now();
                    let said = project.examined(&["endpoint"]);
                    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
                    assert!(!said.codes.is_empty(), "{}", said.text);
                }
            },
        ),
    ]
}
