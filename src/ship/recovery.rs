//! What dead processes have left in the spool, sent beside what this one writes; and the care of the spool's directory.
//!
//! Constraints:
//! * A worker of its own: it shares the thread with the live records and delays none of them by more than one request's
//!   gathering, for which it opens a bounded number of files. A directory with much in it takes its time to be looked
//!   through: that is done on a thread of its own, which nobody waits for.
//! * A bounded number of runs is held at a time. Where more are left, the next look follows at once.
//! * Records keep the resource of the process that wrote them, oldest first.
//! * Nobody waits for it: neither a flush nor the end of the process. What is not sent stays where it is.

mod notices;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::batch::gather;
use super::control::Control;
use super::feed::{Feed, Request};
use super::logs::Size;
use crate::config::LogDelivery;
use crate::finding::kind;
use crate::ledger::{DropReason, ItemOutcome, Ledger};
use crate::notice::{self, Notice};
use crate::outbox::{Adopted, Found, Left, Offsets, Outbox, Scout, Segment, Spool};
use crate::signal::Signal;
use crate::thread;

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_secs(3);
/// Smaller requests than live ones: where this process is killed too, what was on its way comes twice.
const REQUEST_BYTES: usize = 1 << 20;
/// How often while it cannot be used.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So many runs are held at most, those aside that have files which cannot be sent.
const MOST_RUNS: usize = 512;
/// Where fewer are held, and more are left, some more are looked for.
const FEW_RUNS: usize = 128;
/// So many files are read for one request at most.
const MOST_READ: usize = 64;
/// So many runs with files that cannot be sent stay locked, so that nobody else tells of them.
const MOST_KEPT: usize = 64;

/// A look is followed by so many times its duration without one, where nothing asks for it,
const REST_FACTOR: u32 = 5;
/// but by no longer time than this.
const MOST_REST: Duration = Duration::from_secs(20);

pub(super) struct RecoveryFeed {
    ledger: Arc<Ledger>,
    outbox: Arc<Outbox>,
    spool: Arc<Spool>,
    control: Arc<Control>,
    /// `None` while it looks.
    scout: Option<Scout>,
    looking: Option<Looking>,
    /// The last look has left some runs.
    has_more: bool,
    /// Oldest first. The segments that were read last are of the first one.
    runs: VecDeque<Adopted>,
    /// How many records were read since everything was sent.
    read: u64,
    /// Runs with files that cannot be sent: they are ours, so that they are told of once.
    kept: Vec<Adopted>,
    /// The same, when those are many. They are let go of, and not taken again.
    skipped: Vec<Adopted>,
    /// What was read, and how far the first one is used up.
    groups: VecDeque<LeftGroup>,
    offsets: Offsets,
    /// Groups that the last request used up, and where the next one begins in the group after those.
    sent: (usize, Offsets),
    max_batch: u64,
    max_bytes: usize,
    spare: Vec<u8>,
    look_at: Instant,
    sync_at: Option<Instant>,
    /// Nothing more is sent.
    ending: bool,
    /// Each run that is found, and that was sent, is told of; and looks are taken on a thread of their own.
    is_beside: bool,
    told_exposure: bool,
    told_foreign: bool,
}

/// The one who looks, and what it has found.
type Seen = (Scout, Option<Found>);

/// A look at the directory, on its thread.
struct Looking {
    thread: JoinHandle<()>,
    since: Instant,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// The segments of both lanes of a group: the one that was read first, and the other, if there is one. Their frames say
/// in which order they were written.
struct LeftGroup {
    lanes: [Option<Left>; 2],
    /// The run, if this is its last group.
    run: Option<Adopted>,
}

impl LeftGroup {
    fn lanes(&self) -> [Option<&Segment>; 2] {
        self.lanes.each_ref().map(|left| left.as_ref().map(|left| &left.segment))
    }

    fn first(&self) -> Option<&Left> {
        self.lanes.iter().flatten().next()
    }

    /// Takes the other lane of this group; gives back a segment that is not.
    fn join(&mut self, left: Left) -> Option<Left> {
        match &mut self.lanes {
            [Some(first), other @ None]
                if self.run.is_none() && first.group == left.group && first.resource == left.resource =>
            {
                other.replace(left)
            }
            _ => Some(left),
        }
    }
}

impl RecoveryFeed {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        outbox: Arc<Outbox>,
        spool: Arc<Spool>,
        delivery: &LogDelivery,
        control: Arc<Control>,
    ) -> Self {
        let now = Instant::now();
        Self {
            ledger,
            outbox,
            control,
            scout: Some(spool.scout()),
            looking: None,
            has_more: false,
            sync_at: spool.config().sync.and_then(|every| now.checked_add(every)),
            spool,
            runs: VecDeque::new(),
            read: 0,
            kept: Vec::new(),
            skipped: Vec::new(),
            groups: VecDeque::new(),
            offsets: [0; 2],
            sent: (0, [0; 2]),
            max_batch: delivery.max_batch.map_or(u64::MAX, |most| most as u64),
            max_bytes: usize::MAX,
            spare: Vec::new(),
            look_at: now,
            ending: false,
            is_beside: true,
            told_exposure: false,
            told_foreign: false,
        }
    }

    /// For somebody who watches it, and waits for it.
    pub(super) fn watched(self) -> Self {
        Self { is_beside: false, ..self }
    }

    /// Whether the last look has left some runs for the next one.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Looks for more of what was there when the directory was gone through, where there is room for it.
    pub(super) fn look_for_more(&mut self) {
        if self.has_more && self.runs.len() < FEW_RUNS {
            self.look(false);
        }
    }

    /// Looks at the directory. `anew`: at all that is there.
    fn look(&mut self, anew: bool) {
        let Some(mut scout) = self.scout.take() else { return };
        self.skipped.drain(..).for_each(|run| scout.skip(&run));
        let most = MOST_RUNS.saturating_sub(self.runs.len());
        let look = move || {
            // Where it cannot be read, that is told when a file is to be made.
            let found = scout.look(anew, most).ok();
            (scout, found)
        };
        if !self.is_beside {
            let (scout, found) = look();
            return self.take(scout, found);
        }
        let seen = Arc::<Mutex<_>>::default();
        let (slot, control) = (Arc::clone(&seen), Arc::clone(&self.control));
        let looked = move || {
            thread::mark_internal();
            let seen = look();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            control.wake();
        };
        match std::thread::Builder::new().name("logbridge-spool".to_owned()).spawn(looked) {
            Ok(thread) => self.looking = Some(Looking { thread, since: Instant::now(), seen }),
            // The next look tries again.
            Err(_no_thread) => self.begin_anew(),
        }
    }

    /// Takes what the look on the other thread has found, where that has ended.
    fn take_seen(&mut self) {
        let Some(looking) = self.looking.take() else { return };
        let has_ended = looking.thread.is_finished();
        let seen = looking.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match seen {
            Some((scout, found)) => {
                self.take(scout, found);
                // Where there is much to look through, it is not to become most of what this process does.
                let rest = looking.since.elapsed().saturating_mul(REST_FACTOR).min(MOST_REST);
                self.look_at = self.look_at.max(Instant::now() + rest);
            }
            // It has panicked.
            None if has_ended => self.begin_anew(),
            None => self.looking = Some(looking),
        }
    }

    fn begin_anew(&mut self) {
        self.scout = Some(self.spool.scout());
        self.has_more = false;
    }

    fn take(&mut self, scout: Scout, found: Option<Found>) {
        self.scout = Some(scout);
        let Some(found) = found else {
            self.has_more = false;
            return;
        };
        match found.bytes {
            Some(bytes) => self.outbox.note_others_in_spool(bytes),
            None => self.spool.freed(found.freed),
        }
        self.has_more = found.has_more;
        if self.is_beside {
            self.tell_found(&found);
            self.tell_surroundings(&found);
        }
        self.runs.extend(found.runs);
    }

    fn sync(&mut self, now: Instant) {
        let Some(every) = self.spool.config().sync else { return };
        if self.sync_at.is_some_and(|at| at <= now) {
            self.sync_at = now.checked_add(every);
            let spool = Arc::clone(&self.spool);
            // A disk takes its time, in which records are to be sent.
            drop(tokio::task::spawn_blocking(move || spool.sync()));
        }
    }

    fn room(&self) -> usize {
        self.outbox.request_bytes().min(self.max_bytes).min(REQUEST_BYTES)
    }

    /// Reads what fits into the next request.
    fn fill(&mut self) {
        let room = self.room();
        let bytes =
            |group: &LeftGroup| group.lanes().iter().flatten().map(|segment| segment.bytes().len()).sum::<usize>();
        let used: usize = self.offsets.iter().sum();
        for step in 0.. {
            let Some(run) = self.runs.front_mut() else { return };
            // Each run takes one step more than it has files.
            let is_full = step >= 2 * MOST_READ
                || self.groups.len() >= MOST_READ
                || self.groups.iter().map(bytes).sum::<usize>() >= room.saturating_add(used);
            // Both lanes of a group are sent together.
            let last = self.groups.back().filter(|last| last.run.is_none()).and_then(LeftGroup::first);
            if is_full && last.is_none_or(|last| run.next_group() != Some(last.group)) {
                return;
            }
            match run.next() {
                Some(Ok(left)) => {
                    let damaged = left.damage.map_or(0, |damage| damage.records);
                    let records = left.segment.records();
                    self.read += records;
                    self.ledger.adopt(records + damaged);
                    if damaged > 0 {
                        self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Dropped(DropReason::Damaged), damaged)]);
                    }
                    if records == 0 {
                        self.finish(left);
                    } else {
                        let alone = match self.groups.back_mut() {
                            Some(group) => group.join(left),
                            None => Some(left),
                        };
                        self.groups.extend(alone.map(|left| LeftGroup { lanes: [Some(left), None], run: None }));
                    }
                }
                Some(Err(skipped)) => self.tell_skipped(&skipped),
                None => self.end_run(),
            }
        }
    }

    /// Everything of the first run was read.
    fn end_run(&mut self) {
        let Some(run) = self.runs.pop_front() else { return };
        match self.groups.back_mut().filter(|last| last.first().is_some_and(|left| run.has(left))) {
            Some(last) => last.run = Some(run),
            None => self.finish_run(run),
        }
    }

    fn finish(&self, left: Left) {
        let (damage, length) = (left.damage, left.length);
        match (left.finish(), damage) {
            (Some(path), Some(damage)) => {
                let text = format!(
                    "{} in the spool were damaged and are lost: the file is {} now",
                    Signal::Logs.count(damage.records),
                    path.display()
                );
                let notice = Notice::new(kind::SPOOL_TROUBLE.code, text.clone(), text).error();
                notice::emit(&notice.help("delete it when nobody wants to look at it any more"));
            }
            _ => self.spool.freed(length),
        }
    }

    fn finish_run(&mut self, run: Adopted) {
        if let Some(kept) = run.finish() {
            if self.kept.len() < MOST_KEPT { &mut self.kept } else { &mut self.skipped }.push(kept);
        }
        let is_all = self.runs.is_empty() && self.groups.is_empty() && !self.has_more;
        if is_all && self.read > 0 && self.is_beside {
            let records = Signal::Logs.count(std::mem::take(&mut self.read));
            let directory = self.spool.directory().display();
            let text = format!("{records} that other processes left in {directory} have been sent");
            notice::emit(&Notice::information("spool sent", text));
        }
    }
}

impl Feed for RecoveryFeed {
    fn collect(&mut self, at_once: bool, _held: bool) {
        // There is no other time when this is asked for.
        self.ending |= at_once;
        let now = Instant::now();
        self.take_seen();
        let is_due = self.look_at <= now;
        if !self.ending && !self.spool.is_ending() && self.looking.is_none() {
            let soon = self.spool.take_look_soon();
            if soon || is_due {
                if self.outbox.look_after_spool() {
                    let text = format!("the spool in {} can be used again", self.spool.directory().display());
                    notice::emit(&Notice::information("spool is back", text));
                }
                self.look(true);
            } else {
                self.look_for_more();
            }
        }
        if is_due {
            self.look_at = now + if self.spool.is_usable() { LOOK } else { LOOK_AGAIN };
        }
        self.sync(now);
    }

    fn settled(&self) -> u64 {
        u64::MAX
    }

    fn is_empty(&self) -> bool {
        self.ending || (self.groups.is_empty() && self.runs.is_empty())
    }

    fn is_waiting(&self) -> bool {
        false
    }

    fn due_at(&self) -> Option<Instant> {
        self.sync_at.into_iter().chain([self.look_at]).min()
    }

    fn request(&mut self) -> Option<Request> {
        self.fill();
        let (room, mut body) = (self.room(), std::mem::take(&mut self.spare));
        let (mut items, mut used, mut offsets) = (0, 0, self.offsets);
        body.clear();
        // One after the other, the groups of each resource.
        while items < self.max_batch
            && let Some(Left { resource, .. }) = self.groups.get(used).and_then(LeftGroup::first)
        {
            let is_alike = |group: &&LeftGroup| group.first().is_some_and(|left| left.resource == *resource);
            let queue = self.groups.iter().skip(used).take_while(is_alike).map(LeftGroup::lanes);
            let rest = room.saturating_sub(body.len());
            let spare = if items == 0 { std::mem::take(&mut body) } else { Vec::new() };
            let batch = gather(queue, offsets, resource, rest, self.max_batch - items, spare);
            if items == 0 {
                body = batch.body;
            } else if batch.body.len() <= rest {
                body.extend_from_slice(&batch.body);
            } else {
                // A single record is gathered also where there is no room for it.
                break;
            }
            items += batch.records;
            used += batch.groups;
            offsets = batch.offsets;
            if offsets != [0; 2] {
                break;
            }
        }
        self.sent = (used, offsets);
        (items > 0).then(|| Request { body: Bytes::from(body), encoding: None, items })
    }

    fn settle_some(&mut self, fates: &[(ItemOutcome, u64)]) {
        self.ledger.resolve(Signal::Logs, fates);
    }

    fn settle(&mut self, fates: &[(ItemOutcome, u64)]) {
        self.settle_some(fates);
        let (groups, offsets) = self.sent;
        let used: Vec<LeftGroup> = self.groups.drain(..groups.min(self.groups.len())).collect();
        for LeftGroup { lanes, run } in used {
            lanes.into_iter().flatten().for_each(|left| self.finish(left));
            if let Some(run) = run {
                self.finish_run(run);
            }
        }
        self.offsets = offsets;
        if let Some(group) = self.groups.front() {
            for (left, offset) in group.lanes.iter().zip(offsets) {
                if let Some(left) = left.as_ref().filter(|_| offset > 0) {
                    left.consume(left.segment.records() - left.segment.records_from(offset));
                }
            }
        }
        self.outbox.made_room();
    }

    fn give_up(&mut self, _rest: u64) {}

    fn take_back(&mut self, request: Request) {
        self.spare = Vec::from(request.body);
    }

    fn limit(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    /// It stays for another process.
    fn drop_all(&mut self) {
        self.groups.clear();
        self.runs.clear();
        // What it finds is let go of when it ends.
        self.looking = None;
    }

    fn trim(&mut self) {
        self.spare = Vec::new();
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().otlp.pending
    }

    fn bound(&self) -> String {
        Size(self.spool.max_bytes()).to_string()
    }

    fn keeps(&self) -> bool {
        true
    }

    fn place(&self) -> &'static str {
        "in the spool"
    }
}
