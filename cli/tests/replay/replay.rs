//! `logbridge replay`: sends the records of exited processes; whatever goes wrong, unsent records stay.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use logbridge::testing::{Answer, ReceivedLog, Receiver};

use crate::runner::{Group, named};
use crate::spool::{Folder, numbers_until_death, writer};
use crate::support::{Child, Finished, Running, SLACK, dead_end, receiver, wait_for_runner};
use crate::terminal::on_a_terminal;

pub(crate) const GROUP: Group = Group {
    name: "replay",
    tests: named![
        a_damaged_file_is_set_aside_and_the_rest_is_sent,
        a_dead_endpoint_is_told_at_once_and_given_up_in_time,
        a_directory_that_cannot_be_written_keeps_what_it_has,
        a_file_of_another_version_stays,
        a_live_process_keeps_what_it_has,
        a_look_changes_nothing,
        a_time_for_a_request_drops_nothing,
        another_users_files_are_sent_only_on_request,
        an_endpoint_that_comes_back_gets_everything,
        colors_are_for_terminals_that_want_them,
        interrupted_it_leaves_everything_where_it_is,
        nothing_left_is_nothing_wrong,
        what_has_no_run_file_is_sent_when_it_is_old_enough,
        what_a_killed_process_left_is_sent_under_its_own_resource,
        what_is_no_endpoint_for_them_costs_no_record,
        what_the_endpoint_rejects_is_told_in_its_words,
        where_to_send_is_said_by_the_argument_then_the_variables_then_the_default,
    ],
    scenarios: named![log_and_wait],
};

/// Logs the given number of records and keeps running.
fn log_and_wait(arguments: &[String]) {
    logbridge::init();
    for number in 0..arguments[0].parse::<u32>().expect("a number") {
        log::info!("living {number}");
    }
    wait_for_runner();
}

/// Runs a process that cannot deliver its records, so that they stay in the spool.
fn leave(folder: &Folder, service: &str, records: u32) {
    let nowhere = dead_end();
    let child = Child::new("log_some").arg(records.to_string()).towards(&nowhere.url);
    let child = child.env("OTEL_SERVICE_NAME", service).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    child.env("LOGBRIDGE_CONSOLE", "off").run().success();
}

fn replay(folder: &Folder) -> Child {
    Child::prepared(Command::new(env!("CARGO_BIN_EXE_logbridge"))).arg("replay").arg(folder.spool())
}

fn replay_to(folder: &Folder, receiver: &Receiver) -> Child {
    replay(folder).arg("--endpoint").arg(receiver.endpoint())
}

/// Returns a hash of the bytes and modification time of each file.
fn contents(folder: &Folder) -> BTreeMap<String, u64> {
    let number = |name: &String| {
        let path = Path::new(&folder.spool()).join(name);
        let changed = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("its time");
        let mut hasher = DefaultHasher::new();
        (fs::read(path).expect("its bytes"), changed).hash(&mut hasher);
        hasher.finish()
    };
    folder.files().into_iter().map(|name| (name.clone(), number(&name))).collect()
}

/// Returns the committed frames of the files with records. Empty files, and bytes after the committed frames, may change.
fn held(folder: &Folder) -> BTreeMap<PathBuf, Vec<u8>> {
    let held = |path: PathBuf| {
        let mut bytes = fs::read(&path).expect("a file");
        let start = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
        let committed = u64::from_le_bytes(bytes[64..72].try_into().expect("eight bytes")) as usize;
        bytes.truncate(start + committed);
        assert_eq!(bytes.len(), start + committed, "all that is committed is there");
        (path, bytes)
    };
    segments(folder).into_iter().map(held).collect()
}

/// Returns the segments with records, oldest first.
fn segments(folder: &Folder) -> Vec<PathBuf> {
    let files = folder.files().into_iter().filter(|name| name.ends_with(".seg"));
    let files = files.map(|name| Path::new(&folder.spool()).join(name));
    files.filter(|path| fs::read(path).expect("a file")[64..72] != [0; 8]).collect()
}

fn change(path: &Path, at: usize, byte: impl FnOnce(u8) -> u8) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] = byte(bytes[at]);
    fs::write(path, bytes).expect("it can be written");
}

/// Checks that output to a pipe has no colors and moves no cursor.
#[track_caller]
fn plain(finished: Finished) -> Finished {
    assert!(!finished.stdout.contains('\u{1b}') && !finished.stderr.contains('\u{1b}'), "{finished}");
    finished
}

#[track_caller]
fn printed(finished: Finished, text: &str) -> Finished {
    assert!(finished.stdout.contains(text), "nothing on stdout says `{text}`: {finished}");
    finished
}

#[track_caller]
fn json(finished: &Finished) -> serde_json::Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"))
}

fn what_a_killed_process_left_is_sent_under_its_own_resource() {
    let (folder, receiver, nowhere) = (Folder::new(), receiver(), dead_end());
    leave(&folder, "first", 100);
    let told = numbers_until_death(writer("run", "kill", 9_999, &nowhere.url, &folder.spool(), "600000"), "kill", 800);
    let told: u32 = told.into_iter().sum();
    let done = plain(replay_to(&folder, &receiver).env("OTEL_SERVICE_NAME", "command").run().success());
    let done = done.said("sending about ").said(" of 2 exited processes to ");
    let logs = receiver.logs();
    // A thread may have been killed between its record and its report of it.
    assert!((told + 100..=told + 102).contains(&(logs.len() as u32)), "{told} were told, {} came: {done}", logs.len());
    let sent = format!("sent       {} records in ", logs.len());
    assert!(done.stdout.replace(',', "").contains(&sent), "{sent}: {done}");
    let done = printed(done, "done       2 exited processes\n");
    printed(done, &format!("left       nothing in {}\n", folder.spool()));
    let (first, rest) = logs.split_at(100);
    assert!(first.iter().all(|log| log.service_name() == "first"), "oldest first");
    assert!(rest.iter().all(|log| log.service_name() == "writer"));
    assert_eq!(folder.files(), Vec::<String>::new());
}

fn a_look_changes_nothing() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 12);
    leave(&folder, "cart", 1);
    change(&segments(&folder)[1], 8, |_| 99);
    let before = contents(&folder);
    let seen = plain(replay_to(&folder, &receiver).arg("--dry-run").run().code(1));
    let seen = printed(seen, &format!("12 records of 1 exited process in {}\n", folder.spool()));
    let seen = printed(seen, &format!("without --dry-run, they are sent to {}/v1/logs\n", receiver.endpoint()));
    let seen = printed(seen, "  PROCESS  ENDED    SERVICE  RECORDS   ON DISK  OLDEST");
    let row = seen.stdout.lines().find(|line| line.contains("  orderly  shop ")).expect("a row");
    assert!(row.contains(" 12  ") && row.contains("Z (") && row.ends_with(" ago)"), "{row}");
    printed(seen, "layout version 99: use the `logbridge replay` of the version that wrote it");
    let seen = replay_to(&folder, &receiver).arg("--dry-run").arg("--json").run().code(1);
    let told = json(&seen);
    assert_eq!(told["runs"][0]["service_name"], "shop", "{told}");
    assert_eq!(told["runs"][0]["records"], 12, "{told}");
    assert_eq!(told["runs"][0]["state"], "left", "{told}");
    assert_eq!(told["runs"][1]["records"], 0, "{told}");
    assert_eq!(contents(&folder), before);
    assert_eq!(receiver.requests().len(), 0);
}

/// Starts a process with the given number of records and waits until they are in its spool.
fn start_living(folder: &Folder, url: &str, records: u32) -> Running {
    let child = Child::new("log_and_wait").arg(records.to_string()).towards(url);
    let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_CONSOLE", "off").start();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let Ok(look) = std::panic::catch_unwind(|| replay(folder).args(["--dry-run", "--json"]).run()) else {
            panic!("no look");
        };
        let told = serde_json::from_str::<serde_json::Value>(&look.stdout).unwrap_or_default();
        let alive = told["runs"].as_array().into_iter().flatten().filter(|run| run["state"] == "alive");
        if alive.filter_map(|run| run["records"].as_u64()).sum::<u64>() == u64::from(records) {
            return child;
        }
        assert!(Instant::now() < end, "{look}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_live_process_keeps_what_it_has() {
    let (folder, receiver, nowhere) = (Folder::new(), receiver(), dead_end());
    let mut living = start_living(&folder, &nowhere.url, 10);
    // Stopped, because a running process would send the records of others itself.
    living.stop();
    let before = contents(&folder);
    leave(&folder, "dead", 5);
    let pid = living.pid();
    let done = replay_to(&folder, &receiver).run().success();
    let done = printed(done, "sent       5 records in ");
    printed(done, &format!("left       about 10 records: process {pid} is running and sends them itself\n"));
    assert_eq!(contents(&folder), before);
    assert!(receiver.logs().iter().all(|log| log.service_name() == "dead"));
    let seen = printed(replay(&folder).arg("--dry-run").run().success(), "nothing in ");
    printed(seen, &format!("skipped\n  about 10 records: process {pid} is running and sends them itself\n"));
    living.signal(libc::SIGCONT);
    living.release();
    living.finish().success();
}

fn a_damaged_file_is_set_aside_and_the_rest_is_sent() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 20);
    leave(&folder, "cart", 3);
    leave(&folder, "mail", 1);
    let files = segments(&folder);
    let bytes = fs::read(&files[0]).expect("a file");
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    // Damage the last byte of a record, and a header.
    change(&files[0], word(12) + word(64) - 1, |byte| byte ^ 1);
    change(&files[1], 24, |byte| byte ^ 1);
    let seen = printed(replay(&folder).arg("--dry-run").run().code(1), "1 record is damaged\n");
    printed(seen, "not a spool file, or its header is damaged\n");
    let done = replay_to(&folder, &receiver).run().code(1);
    let done = done.said("1 record in the spool").said("cannot be sent: it is not a spool file");
    let done = printed(done, "sent       20 records in ");
    let done = printed(done, "lost       1 record: it was damaged in the spool\n");
    assert_eq!(done.stdout.matches("set aside  ").count(), 2, "{done}");
    assert_eq!(receiver.logs().len(), 20, "{done}");
    let left = folder.files();
    assert_eq!((left.len(), left.iter().filter(|name| name.ends_with(".seg.damaged")).count()), (2, 2), "{left:?}");
    // The next replay does not report them again.
    let seen = printed(replay(&folder).arg("--dry-run").run().success(), "damaged and set aside earlier");
    drop(seen);
    replay_to(&folder, &receiver).run().success();
    assert_eq!(folder.files(), left);
}

fn a_file_of_another_version_stays() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 2);
    leave(&folder, "cart", 3);
    let foreign = segments(&folder).remove(0);
    change(&foreign, 8, |_| 77);
    let bytes = fs::read(&foreign).expect("it is there");
    for sent in [3, 0] {
        let done = replay_to(&folder, &receiver).run().code(1).said("has version 77");
        let done = printed(done, &format!("sent       {sent} records in "));
        printed(done, &format!("left       {}: layout version 77", foreign.display()));
        assert_eq!(fs::read(&foreign).expect("it is there"), bytes);
    }
    assert_eq!(folder.files().len(), 2, "it and the file of its run");
    assert_eq!(receiver.logs().len(), 3);
}

fn a_dead_endpoint_is_told_at_once_and_given_up_in_time() {
    let (folder, nowhere) = (Folder::new(), dead_end());
    leave(&folder, "shop", 7);
    let before = held(&folder);
    let done = replay(&folder).args(["--endpoint", &nowhere.url, "--timeout", "400ms"]).run().code(1);
    let cause = format!("cannot deliver logs to {}/v1/logs: connection refused", nowhere.url);
    let done = plain(done).within(SLACK).said(&format!("warning[LB081]: {cause}"));
    let done = done.said("note: about 7 records stay in the spool, retried until 400ms have passed");
    let done =
        done.said(&format!("error: gave up: no records were accepted for 400ms: {cause}")).said("or --endpoint)");
    let done = printed(done, "sent       0 records in ");
    let done = printed(done, "left       7 records of process ");
    printed(done, "next       run the same command again to send the records that are left\n");
    assert_eq!(held(&folder), before);
}

fn an_endpoint_that_comes_back_gets_everything() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 7);
    receiver.answer_with([Answer::status(503), Answer::Reset, Answer::Ok]);
    let done = replay_to(&folder, &receiver).run().success().said("503").said("logs reach ");
    printed(done, "sent       7 records in ");
    assert_eq!((receiver.logs().len(), folder.files()), (7, Vec::new()));
}

fn what_is_no_endpoint_for_them_costs_no_record() {
    let folder = Folder::new();
    leave(&folder, "shop", 7);
    let before = held(&folder);
    let elsewhere = Answer::Redirect { code: 307, location: "http://localhost:1/".to_owned() };
    for (answer, said) in [
        (Answer::status(401), "401"),
        (Answer::status(404), "404"),
        (Answer::Html, "text/html, which is not an OTLP response"),
        (elsewhere, "redirect"),
        // To an empty request too, and to all but that.
        (Answer::status(400), "400"),
        (Answer::Poison("some".to_owned()), "400"),
    ] {
        let receiver = receiver();
        receiver.answer_always(answer.clone());
        let done = replay_to(&folder, &receiver).run().code(1).within(SLACK * 2);
        let done = done.said("error: cannot deliver logs to ").said(said).said("  help: ");
        assert_eq!(done.count("lost"), 0, "{answer:?}: {done}");
        let done = printed(done, "sent       0 records in ");
        printed(done, "left       7 records of process ");
        assert_eq!(held(&folder), before, "{answer:?}");
    }
    let told = json(&replay(&folder).args(["--json", "--endpoint", "http://127.0.0.1:1", "--timeout", "1ms"]).run());
    assert!(told["stopped"].as_str().is_some_and(|why| why.starts_with("gave up")), "{told}");
    assert_eq!((&told["sent"], &told["left"][0]["records"]), (&0.into(), &7.into()), "{told}");
}

fn what_the_endpoint_rejects_is_told_in_its_words() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 7);
    receiver.answer_with([Answer::PartialSuccess { rejected: 2, message: "no room for 2".to_owned() }]);
    let done = replay_to(&folder, &receiver).run().code(1).said("rejected 2 of 7 records: \"no room for 2\"");
    let done = printed(done, "sent       5 records in ");
    printed(done, "rejected   2 records: the endpoint took the request but rejected the item\n");
    assert_eq!(folder.files(), Vec::<String>::new());
    leave(&folder, "shop", 7);
    receiver.answer_always(Answer::Poison("some 3".to_owned()));
    let done = replay_to(&folder, &receiver).arg("--json").run().code(1).said("400").said("\"some 3\"");
    let told = json(&done);
    assert_eq!((&told["sent"], &told["rejected"][0]["records"]), (&6.into(), &1.into()), "{told}");
    assert_eq!(folder.files(), Vec::<String>::new());
}

fn interrupted_it_leaves_everything_where_it_is() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 7);
    let before = held(&folder);
    receiver.answer_always(Answer::status(503));
    let running = replay_to(&folder, &receiver).start();
    assert!(!receiver.wait_for_requests(1, SLACK).is_empty());
    running.interrupt();
    let done = running.finish().code(1).within(SLACK).said("error: interrupted\n");
    printed(done, "left       7 records of process ");
    assert_eq!(held(&folder), before);
    // No process owns them.
    receiver.answer_always(Answer::Ok);
    replay_to(&folder, &receiver).run().success();
    assert_eq!((receiver.logs().len(), folder.files()), (7, Vec::new()));
}

fn what_has_no_run_file_is_sent_when_it_is_old_enough() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 7);
    let run = folder.files().into_iter().find(|name| name.ends_with(".run")).expect("it has one");
    fs::remove_file(Path::new(&folder.spool()).join(run)).expect("it is there");
    let before = held(&folder);
    let done = printed(replay_to(&folder, &receiver).run().code(1), "sent       0 records in ");
    let done = printed(done, "left       7 records: process ");
    printed(done, "its records can be sent when they are a minute old\n");
    assert_eq!(held(&folder), before);
    for path in folder.files().into_iter().map(|name| Path::new(&folder.spool()).join(name)) {
        let old = std::time::SystemTime::now() - Duration::from_secs(61);
        fs::File::options().write(true).open(path).and_then(|file| file.set_modified(old)).expect("ours");
    }
    printed(replay(&folder).arg("--dry-run").run().success(), "7 records of 1 exited process in ");
    printed(replay_to(&folder, &receiver).run().success(), "sent       7 records in ");
    assert_eq!((receiver.logs().len(), folder.files()), (7, Vec::new()));
}

fn a_time_for_a_request_drops_nothing() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 7);
    receiver.answer_with([Answer::status(503), Answer::status(503), Answer::Ok]);
    replay_to(&folder, &receiver).env("OTEL_BLRP_EXPORT_TIMEOUT", "150").run().success();
    assert_eq!((receiver.logs().len(), folder.files()), (7, Vec::new()));
}

fn where_to_send_is_said_by_the_argument_then_the_variables_then_the_default() {
    let (folder, receiver, nowhere) = (Folder::new(), receiver(), dead_end());
    leave(&folder, "shop", 1);
    let seen = replay(&folder).arg("--dry-run").run().success();
    printed(seen, "http://localhost:4318/v1/logs (default; set neither by --endpoint nor by the environment)\n");
    let full = format!("{}/v1/logs", receiver.endpoint());
    let seen = replay(&folder).args(["--dry-run", "--endpoint", &full]).run().success();
    printed(seen, &format!("are sent to {full}\n"));
    let done = replay_to(&folder, &receiver)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere.url)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of the variables")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        // For programs, and not for those who ask.
        .env("OTEL_LOGS_EXPORTER", "none")
        .run();
    printed(done.success(), "sent       1 record in ");
    leave(&folder, "shop", 1);
    replay(&folder).env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()).run().success();
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("x-key"), Some("of the variables"));
    assert_eq!(requests[0].header("content-encoding"), Some("gzip"));
    assert_eq!(receiver.logs().iter().map(ReceivedLog::service_name).collect::<Vec<_>>(), ["shop", "shop"]);
}

fn nothing_left_is_nothing_wrong() {
    let folder = Folder::new();
    fs::create_dir(folder.spool()).expect("a directory");
    let done = replay(&folder).run().success();
    assert_eq!(done.stdout, format!("no records in {}\n", folder.spool()));
    fs::write(Path::new(&folder.spool()).join("notes.txt"), "mine").expect("a file");
    printed(replay(&folder).run().success(), "none of its files belongs to a spool\n");
    assert_eq!(folder.files(), ["notes.txt"]);
    assert_eq!(json(&replay(&folder).arg("--json").run().success())["sent"], 0);
}

fn a_directory_that_cannot_be_written_keeps_what_it_has() {
    use std::os::unix::fs::PermissionsExt as _;
    // SAFETY: geteuid only answers.
    if unsafe { libc::geteuid() } == 0 {
        // Nothing is forbidden to root.
        return;
    }
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "shop", 7);
    for name in folder.files() {
        fs::set_permissions(Path::new(&folder.spool()).join(name), fs::Permissions::from_mode(0o400)).expect("ours");
    }
    let before = contents(&folder);
    let done = replay_to(&folder, &receiver).run().code(1);
    printed(done, "its files could not be taken over; check that you can write to the directory\n");
    assert_eq!(contents(&folder), before);
}

fn colors_are_for_terminals_that_want_them() {
    let colors = ["\u{1b}[1m", "\u{1b}[36m", "\u{1b}[1;31m"];
    let count = |text: &str| colors.iter().filter(|color| text.contains(**color)).count();
    for (look, wanted) in [(("TERM", "xterm-256color"), true), (("NO_COLOR", "1"), false), (("TERM", "dumb"), false)] {
        let (folder, receiver) = (Folder::new(), receiver());
        leave(&folder, "shop", 7);
        receiver.answer_with([Answer::status(503), Answer::Ok]);
        let child = replay_to(&folder, &receiver).env("TERM", "xterm").env(look.0, look.1);
        let text = on_a_terminal(child);
        assert_eq!(count(&text) > 0, wanted, "{look:?}: {text:?}");
        // A bar, where a cursor can be moved.
        assert_eq!(text.contains(" of 7 records  "), look.1 != "dumb", "{look:?}: {text:?}");
        assert!(text.contains("sending about 7 records of 1 exited process to "), "{text:?}");
    }
}

fn another_users_files_are_sent_only_on_request() {
    let (folder, receiver) = (Folder::new(), receiver());
    leave(&folder, "theirs", 7);
    let spool = PathBuf::from(folder.spool());
    if fs::metadata(&spool).expect("it is there").uid() != 0 {
        println!("skipped: only root can give files to another user");
        return;
    }
    let files = folder.files();
    for name in &files {
        chown(spool.join(name), Some(12_345), Some(12_345)).expect("root may");
    }
    let refused = replay_to(&folder, &receiver).run().code(1);
    assert!(refused.stdout.contains("it belongs to another user (12345)"), "{refused}");
    assert_eq!((receiver.logs().len(), folder.files()), (0, files), "{refused}");
    let sent = replay_to(&folder, &receiver).arg("--any-owner").run().success();
    assert_eq!((receiver.logs().len(), folder.files()), (7, Vec::new()), "{sent}");
}
