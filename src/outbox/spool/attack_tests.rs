//! A directory in which others can write: whatever they put there, no file elsewhere changes, and the work is bounded.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::file_bytes::{MAX_BYTES, read_file_bytes};
use super::names::{RUN, SEGMENT, run_file_name};
use super::recovered::SkippedFile;
use super::tests::frame;
use super::*;
use crate::config::SpoolConfig;
use crate::ledger::Ledger;
use crate::os;
use crate::outbox::Outbox;

/// A directory, and a private file next to it.
struct Folder(PathBuf);

const PRECIOUS: &str = "precious";

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("logbridge-attack-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("spool")).expect("a directory");
        fs::write(path.join(PRECIOUS), PRECIOUS.repeat(10_000)).expect("a file");
        Self(path)
    }

    fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    fn precious(&self) -> PathBuf {
        self.0.join(PRECIOUS)
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(fs::read_to_string(self.precious()).expect("it is there"), PRECIOUS.repeat(10_000));
    }

    fn directory(&self) -> Directory {
        Directory::at(self.spool())
    }

    fn outbox(&self, max_bytes: usize) -> Outbox {
        let config = SpoolConfig { directory: self.spool(), max_bytes, sync: None };
        let spool = Arc::new(Spool::new(config, b"resource".to_vec()));
        Outbox::new(64 << 20, 1, Arc::new(Ledger::new())).with_spool(spool)
    }

    fn names(&self, ending: &str) -> Vec<String> {
        let entries = fs::read_dir(self.spool()).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
        names.sort_unstable();
        names
    }

    /// Replaces each of these files by a link to the private file.
    fn replace_by_links(&self, ending: &str) {
        for name in self.names(ending) {
            let path = self.spool().join(name);
            fs::remove_file(&path).expect("it is there");
            symlink(self.precious(), path).expect("a link");
        }
    }

    /// This many runs of killed processes, each with one record, which is the number of its run.
    fn leave(&self, runs: usize) {
        for number in 0..runs {
            self.release_run(&format!("{number:016x}-1"), &number.to_string());
        }
    }

    fn release_run(&self, run: &str, text: &str) {
        let mut bytes = vec![0; format::frames_start(4)];
        assert!(format::write_head(&mut bytes, format::Creator { pid: 1, created: 1 }, b"made"));
        let frame = frame(text);
        bytes[..8].copy_from_slice(&format::magic().to_le_bytes());
        bytes[format::COMMITTED..][..8].copy_from_slice(&(frame.len() as u64).to_le_bytes());
        bytes[format::RECORDS..][..8].copy_from_slice(&1_u64.to_le_bytes());
        bytes.extend(frame);
        fs::write(self.spool().join(format!("{run}-00000000.{SEGMENT}")), bytes).expect("a segment");
        fs::write(self.spool().join(run_file_name(run)), [0; run_file::LENGTH]).expect("a run");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn append(outbox: &Outbox, text: &str) {
    let _nobody_sleeps_here = outbox.append(0, false, &frame(text)).expect("room");
}

/// Returns the texts of the records that can be sent, and why other files cannot.
fn send(runs: Vec<RecoveredRun>) -> (Vec<String>, Vec<String>) {
    let (mut texts, mut refused) = (Vec::new(), Vec::new());
    for mut run in runs {
        while let Some(next) = run.next() {
            match next {
                Ok(left) => {
                    let frames = left.segment.frames_from(0);
                    texts.extend(frames.map(|frame| String::from_utf8_lossy(frame.record).into_owned()));
                    left.finish();
                }
                Err(SkippedFile::Empty(_)) => {}
                Err(SkippedFile::Unreadable(_, why) | SkippedFile::SetAside(_, why)) => refused.push(why),
                Err(SkippedFile::Version(..)) => unreachable!("nothing here has another version"),
            }
        }
        let _stays = run.finish();
    }
    texts.sort_unstable();
    (texts, refused)
}

fn is_root() -> bool {
    let is_root = os::effective_user() == 0;
    if !is_root {
        eprintln!("skipped: only root can give files to another user");
    }
    is_root
}

#[test]
fn a_link_in_the_place_of_a_file_that_is_written_is_not_followed() {
    let folder = Folder::new();
    let outbox = folder.outbox(4 << 20);
    // More than half of the bound, so that mostly empty files are shrunk.
    for number in 0..3 {
        append(&outbox, &"x".repeat(900 << 10));
        append(&outbox, &number.to_string());
        folder.replace_by_links(SEGMENT);
        outbox.seal();
        folder.is_untouched();
    }
    outbox.spool().expect("there is one").sync();
    while let Some(group) = outbox.take_sealed() {
        group.into_segments().for_each(|segment| outbox.recycle(segment));
    }
    drop(outbox);
    folder.is_untouched();
}

#[test]
fn a_link_in_the_place_of_a_file_that_is_recovered_is_not_followed() {
    let folder = Folder::new();
    folder.leave(2);
    let mut found = folder.directory().recover_all().expect("a directory");
    let left = found.runs[0].next().expect("a segment").expect("it can be read");
    folder.replace_by_links(SEGMENT);
    left.consume(1);
    folder.is_untouched();
    left.finish();
    let (texts, refused) = send(found.runs);
    assert_eq!((texts, refused), (vec![], vec!["it is a symbolic link".to_owned()]));
    folder.is_untouched();
}

#[test]
fn the_directory_may_be_a_link_that_was_named_but_none_that_came_later() {
    let folder = Folder::new();
    let named = folder.0.join("named");
    symlink(folder.spool(), &named).expect("a link");
    assert!(Directory::at(named.clone()).open().is_ok() && Directory::at(named.join("")).open().is_ok());
    let outbox = folder.outbox(16 << 20);
    append(&outbox, "before");
    let elsewhere = folder.0.join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    let away = folder.0.join("away");
    fs::rename(folder.spool(), &away).expect("it moves");
    symlink(&elsewhere, folder.spool()).expect("a link");
    assert!(!outbox.check_spool());
    for number in 0..3_000 {
        append(&outbox, &format!("{number} {}", "x".repeat(1_000)));
    }
    outbox.spool().expect("there is one").sync();
    outbox.spool().expect("there is one").try_again_now();
    assert!(!outbox.check_spool(), "it cannot be used");
    assert_eq!(fs::read_dir(&elsewhere).expect("a directory").count(), 0, "nothing is written there");
    assert!(outbox.holds_memory());
}

#[test]
fn files_of_others_and_files_with_other_names_are_not_sent() {
    let folder = Folder::new();
    folder.leave(4);
    let path = |run: u32, kind: &str| {
        folder.spool().join(match kind {
            RUN => format!("{run:016x}-1.{RUN}"),
            _ => format!("{run:016x}-1-00000000.{SEGMENT}"),
        })
    };
    // Through a link to one of our files elsewhere, others could get it changed.
    fs::hard_link(path(0, SEGMENT), folder.0.join("other name")).expect("a link");
    let is_root = is_root();
    if is_root {
        chown(path(1, SEGMENT), Some(12_345), None).expect("root may");
        chown(path(2, RUN), Some(12_345), None).expect("root may");
    }
    let found = folder.directory().recover_all().expect("a directory");
    assert_eq!((found.foreign, found.alive), (usize::from(is_root), 0));
    let (texts, mut refused) = send(found.runs);
    refused.sort_unstable();
    let hard = "it has another name elsewhere (a hard link)".to_owned();
    if !is_root {
        assert_eq!((texts, refused), (vec!["1".to_owned(), "2".to_owned(), "3".to_owned()], vec![hard]));
        return;
    }
    assert_eq!(texts, ["3"]);
    assert_eq!(refused, ["it belongs to another user (12345)".to_owned(), hard]);
    // Without our own run file, the files that another user put there are not examined at all.
    fs::remove_file(path(1, RUN)).ok();
    let found = folder.directory().recover_all().expect("a directory");
    assert_eq!(found.foreign, 2);
    drop(found);
    {
        let old = SystemTime::now() - Duration::from_secs(3_600);
        fs::File::options().write(true).open(path(1, SEGMENT)).and_then(|file| file.set_modified(old)).expect("a time");
        let found = folder.directory().of_any_owner(true).recover_all().expect("a directory");
        assert_eq!(send(found.runs).0, ["1", "2"]);
    }
}

#[test]
fn a_run_file_that_is_shorter_than_it_should_be_is_neither_read_nor_written_through_memory() {
    let folder = Folder::new();
    folder.leave(2);
    for (name, length) in folder.names(RUN).iter().zip([0, 20]) {
        let file = fs::File::options().write(true).open(folder.spool().join(name)).expect("it is there");
        file.set_len(length).expect("it can be cut");
    }
    let found = folder.directory().recover_all().expect("a directory");
    assert_eq!(found.runs.len(), 2);
    // As long as another process may truncate it, no code relies on its length.
    for name in folder.names(RUN) {
        assert!(fs::metadata(folder.spool().join(&name)).expect("it is there").len() <= 20, "{name}");
        fs::File::options().write(true).open(folder.spool().join(name)).and_then(|file| file.set_len(0)).expect("cut");
    }
    assert_eq!(send(found.runs).0, ["0", "1"]);
    assert_eq!(folder.names(""), Vec::<String>::new());
}

#[test]
fn a_file_with_holes_is_read_no_further_than_frames_go_on() {
    let folder = Folder::new();
    folder.leave(3);
    let directory = folder.directory();
    let opened = directory.open().expect("a directory");
    for (number, length) in [200 << 20, 3_u64 << 30, u64::MAX].into_iter().enumerate() {
        let name = format!("{number:016x}-1-00000000.{SEGMENT}");
        let path = folder.spool().join(&name);
        let mut bytes = fs::read(&path).expect("a segment");
        bytes[format::COMMITTED..][..8].copy_from_slice(&length.to_le_bytes());
        fs::write(&path, &bytes).expect("it can be written");
        let file = fs::File::options().write(true).open(&path).expect("it is there");
        file.set_len(length.min(3 << 30)).expect("holes take no room");
        match read_file_bytes(&directory, &opened, &name) {
            Ok(read) => assert!(length <= MAX_BYTES && read.bytes.len() <= 2 << 20, "{}", read.bytes.len()),
            Err(error) => assert!(length > MAX_BYTES && error.to_string().contains("longer than any"), "{error}"),
        }
    }
    let found = directory.recover_all().expect("a directory");
    let (texts, refused) = send(found.runs);
    assert_eq!((texts, refused.len()), (vec!["0".to_owned()], 2), "{refused:?}");
}

#[test]
fn nothing_that_stands_under_a_name_of_ours_stops_anything() {
    let folder = Folder::new();
    folder.leave(1);
    let spool = folder.spool();
    let run = format!("{:016x}-1", 0);
    let hour = SystemTime::now() - Duration::from_secs(3_600);
    for (number, name) in ["a.run", ".a.run", "b-00000000.seg", &format!("{run}-00000001.seg")].iter().enumerate() {
        match number {
            0 => symlink(folder.precious(), spool.join(name)).expect("a link"),
            1 => symlink(folder.precious(), spool.join(name)).expect("a link"),
            2 => symlink("/dev/zero", spool.join(name)).expect("a link"),
            _ => symlink(folder.precious(), spool.join(name)).expect("a link"),
        }
    }
    for name in ["c.run", ".c.run", "c-00000000.seg", "d-00000000.seg", &format!("{run}-00000002.seg")] {
        let status = std::process::Command::new("mkfifo").arg(spool.join(name)).status().expect("mkfifo");
        assert!(status.success());
    }
    for name in ["e.run", ".e.run", "e-00000000.seg", "e-00000000.seg.damaged", &format!("{run}-00000003.seg")] {
        fs::create_dir(spool.join(name)).expect("a directory");
    }
    for name in ["line\nbreak.run", "\u{1b}[2J.run", "line\nbreak-00000000.seg", "\u{202e}-0.seg", "\u{1b}.x.run"] {
        fs::write(spool.join(name), "").expect("a file");
        fs::File::options()
            .write(true)
            .open(spool.join(name))
            .and_then(|file| file.set_modified(hour))
            .expect("a time");
    }
    let found = folder.directory().recover_all().expect("a directory");
    assert_eq!(found.runs.len(), 1, "the one that is a run");
    let (texts, mut refused) = send(found.runs);
    refused.sort_unstable();
    assert_eq!(texts, ["0"]);
    assert_eq!(refused, ["it is a directory", "it is a named pipe", "it is a symbolic link"]);
    folder.is_untouched();
    // And a process that starts there.
    let outbox = folder.outbox(16 << 20);
    append(&outbox, "new");
    assert!(!outbox.holds_memory());
    drop(outbox);
    assert_eq!(send(folder.directory().recover_all().expect("a directory").runs).0, ["new"]);
    folder.is_untouched();
}

#[test]
fn who_else_can_write_there_is_found() {
    let folder = Folder::new();
    for (mode, why) in [
        (0o700, None),
        (0o755, None),
        (0o775, Some("its group can write there (mode 0775)")),
        (0o777, Some("every user can write there (mode 0777)")),
        (0o1777, Some("every user can write there (mode 1777)")),
    ] {
        fs::set_permissions(folder.spool(), fs::Permissions::from_mode(mode)).expect("it is ours");
        let mut scanner = RunScanner::new(folder.directory());
        assert_eq!(scanner.scan(true, 1).expect("a directory").exposure.as_deref(), why);
    }
}

/// The work of one scan does not depend on how much is left for later scans, and a log call does less than that.
#[test]
fn many_ended_runs_cost_a_log_call_nothing_and_each_look_no_more_than_a_few() {
    const RUNS: usize = 2_000;
    let folder = Folder::new();
    folder.leave(RUNS);
    let outbox = folder.outbox(1 << 30);
    let before = os::calls();
    append(&outbox, "a record");
    let spent = os::calls() - before;
    assert!(spent <= writer::MAX_FIRST_LOOK + 64, "{spent} calls for the first record");
    assert!(!outbox.holds_memory(), "it is in a file");
    let before = os::calls();
    for _ in 0..1_000 {
        append(&outbox, "another one");
    }
    assert_eq!(os::calls() - before, 0);
    let mut scanner = RunScanner::new(folder.directory());
    let (mut texts, mut looks, mut has_more) = (Vec::new(), 0, true);
    while has_more {
        let before = os::calls();
        let found = scanner.scan(looks == 0, 1_000).expect("a directory");
        let spent = os::calls() - before;
        // One access to each file at first, and then a few for each run that is taken.
        let most = if looks == 0 { 2 * RUNS + 8 } else { 0 } + 16 * found.runs.len() + 40;
        assert!(spent <= most && found.runs.len() <= 256, "{spent} calls for {} runs", found.runs.len());
        has_more = found.has_more;
        looks += 1;
        texts.extend(send(found.runs).0);
    }
    assert_eq!(looks, RUNS.div_ceil(256));
    texts.sort_unstable_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(texts, (0..RUNS).map(|number| number.to_string()).collect::<Vec<_>>(), "each once");
}

#[test]
fn where_room_is_scarce_a_log_call_frees_no_more_than_it_needs() {
    let folder = Folder::new();
    folder.leave(100);
    for name in folder.names(SEGMENT) {
        let file = fs::File::options().write(true).open(folder.spool().join(name)).expect("it is there");
        file.set_len(64 << 10).expect("it can be longer");
    }
    let before = folder.directory().bytes();
    let outbox = folder.outbox(8 << 20);
    let calls = os::calls();
    append(&outbox, "a record");
    let spent = os::calls() - calls;
    assert!(spent <= 200 + 32 * 10 + 40, "{spent} calls for the first record");
    assert!(folder.directory().bytes() + 32 * (60 << 10) <= before + (2 << 20), "what was free is given back");
}
