//! Extreme settings: the longest durations, and paths of endless files.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Level, Otlp, Overload, Repetition, Spool, SpoolSync};

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, SLACK, arrived, dead_end, receiver};

pub(crate) const GROUP: Group = Group {
    name: "extremes",
    tests: named![paths_of_what_never_ends_stop_nothing, the_longest_times_lose_nothing],
    scenarios: named![log_at_once, times_in_code, times_of_variables],
};

fn use_for_ever() {
    let bridge = logbridge::bridge().expect("installed");
    bridge.levels().set_for("some::target", Level::Trace, Duration::MAX);
    tracing::info_span!("a span").in_scope(|| log::info!("one"));
    bridge.flush(Duration::MAX).expect("delivered");
    assert!(bridge.check(Duration::MAX).is_well(), "the canary");
    log::info!("two");
    bridge.flush(Duration::from_secs(30)).expect("delivered");
    log::info!("three");
    bridge.shutdown(Duration::MAX).expect("delivered");
}

fn times_of_variables(_: &[String]) {
    logbridge::init();
    use_for_ever();
}

fn times_in_code(arguments: &[String]) {
    let [endpoint, directory] = arguments else { panic!("two arguments") };
    logbridge::builder()
        .exit_timeout(Duration::MAX)
        .schedule_delay(Duration::MAX)
        .overload(Overload::Block(Duration::MAX))
        .repetition(Repetition::at_most(1_000, Duration::MAX))
        .otlp(Otlp::to(endpoint.as_str()).timeout(Duration::MAX))
        .spool(Spool::at(directory.as_str()).sync(SpoolSync::Every(Duration::MAX)))
        .filter_level(logbridge::LevelFilter::Info)
        .init();
    use_for_ever();
}

fn the_longest_times_lose_nothing() {
    let each_once = |receiver: &Receiver, child: &Finished| {
        let logs = receiver.logs();
        for text in ["one", "two", "three"] {
            assert_eq!(arrived(&logs, text), 1, "{text}: {child}");
        }
        assert_eq!(child.count("panicked"), 0, "{child}");
    };
    let most = format!("{}s", u64::MAX);
    let (folder, receiver) = (Folder::new(), receiver());
    let mut child = Child::new("times_of_variables").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    for name in [
        "LOGBRIDGE_EXIT_TIMEOUT",
        "LOGBRIDGE_SPOOL_SYNC",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    ] {
        child = child.env(name, &most);
    }
    child = child.env("LOGBRIDGE_OVERLOAD", format!("block={most}"));
    child = child.env("LOGBRIDGE_REPETITION", format!("1000/{most}"));
    let child = child.run().success().said("more than a year");
    each_once(&receiver, &child);
    let receiver = crate::support::receiver();
    let child = Child::new("times_in_code").arg(receiver.endpoint()).arg(folder.spool()).run().success();
    each_once(&receiver, &child);
    assert_eq!(folder.files(), Vec::<String>::new());
}

fn log_at_once(_: &[String]) {
    logbridge::init();
    log::info!("here");
    // The file with levels is looked at again and again.
    std::thread::sleep(Duration::from_millis(600));
    log::info!("still here");
}

fn paths_of_what_never_ends_stop_nothing() {
    let (folder, nowhere) = (Folder::new(), dead_end());
    let path = |name: &str| folder.0.join(name).to_str().expect("a readable name").to_owned();
    let status = Command::new("mkfifo").arg(path("pipe")).stdin(Stdio::null()).status().expect("mkfifo");
    assert!(status.success());
    fs::File::create(path("huge")).and_then(|file| file.set_len(3 << 30)).expect("holes take no room");
    fs::create_dir(path("directory")).expect("a directory");
    symlink(path("nothing"), path("dangling")).expect("a link");
    symlink(path("pipe"), path("link")).expect("a link");
    for (name, why) in [
        ("pipe", "it is a named pipe"),
        ("link", "it is a named pipe"),
        ("directory", "it is a directory"),
        ("huge", "it is longer than 1 MiB"),
        ("/dev/zero", "it is a device"),
        ("dangling", "No such file"),
    ] {
        let child = Child::new("log_at_once").env("RUST_LOG", "info").env("LOGBRIDGE_LEVELS_FILE", path(name));
        let child = child.run().success().within(SLACK).said(&format!("cannot be read: {why}")).warned(1);
        assert_eq!(child.count("here"), 2, "{child}");
        for variable in ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"] {
            let child = Child::new("log_at_once").towards(&nowhere.url).env("LOGBRIDGE_EXIT_TIMEOUT", "100ms");
            let child = child.env(&format!("OTEL_EXPORTER_OTLP_{variable}"), path(name)).run().success();
            let _in_time = child.within(SLACK).said(&format!("cannot be read: {why}"));
        }
    }
    for (name, why) in [
        ("pipe", "it is a named pipe"),
        ("link", "it is a named pipe"),
        ("huge", "it is a regular file"),
        ("/dev/zero", "it is a device"),
        ("dangling", ""),
    ] {
        let child = Child::new("log_at_once").towards(&nowhere.url).env("LOGBRIDGE_EXIT_TIMEOUT", "100ms");
        let child = child.env("LOGBRIDGE_SPOOL_DIR", path(name)).run().success().within(SLACK);
        let _in_time = child.said(&format!("cannot be used: {why}")).said("were in memory and are lost");
    }
    // What is read by others is looked at first.
    let child = Child::new("log_at_once").towards("https://127.0.0.1:1").env("LOGBRIDGE_EXIT_TIMEOUT", "100ms");
    let child = child.env("SSL_CERT_FILE", path("pipe")).run().success().within(SLACK);
    assert_eq!(child.said("SSL_CERT_FILE cannot be read: it is a named pipe").count("here"), 2);
    // What is a file in the end is read, as that of a ConfigMap is.
    fs::write(path("levels"), "warn\n").expect("written");
    symlink(path("levels"), path("to levels")).expect("a link");
    let child = Child::new("log_at_once").env("RUST_LOG", "info").env("LOGBRIDGE_LEVELS_FILE", path("to levels"));
    let child = child.run().success().quiet();
    assert_eq!(child.count("here"), 0, "{child}");
}
