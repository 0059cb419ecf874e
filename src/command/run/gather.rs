//! Requests of the program: passed on where there is somebody to pass them on to, and remembered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::evidence::Evidence;
use crate::command::inlet::{MAX_BODY, Upstream};
use crate::receiver::{Answer, Content, Exchange, ReceivedRequest, Refusal, Reply, Service, decode};

#[derive(Debug)]
pub(super) struct Gather {
    upstream: Option<Upstream>,
    evidence: Mutex<Evidence>,
    under_way: AtomicUsize,
}

impl Gather {
    pub(super) fn new(upstream: Option<Upstream>) -> Self {
        Self { upstream, evidence: Mutex::new(Evidence::new()), under_way: AtomicUsize::new(0) }
    }

    pub(super) fn evidence(&self) -> MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > 0
    }

    fn unread(&self, status: StatusCode, request: &ReceivedRequest, why: &str) {
        let ReceivedRequest { method, path, .. } = request;
        self.evidence().tally.malformed(&format!("{} to {method} {path}: {why}", status.as_u16()));
    }

    async fn answered(&self, exchange: &Exchange) -> Reply {
        let (format, message) = match decode(&exchange.head, exchange.body.clone(), &Content::ALL) {
            Ok(read) => read,
            Err(Refusal { status, why }) => {
                self.unread(status, &exchange.request, &why);
                return Reply::refusal(status, why);
            }
        };
        let content = message.content();
        let passed = match &self.upstream {
            Some(upstream) => upstream.pass(exchange, content).await,
            None => None,
        };
        let Some(passed) = passed else {
            self.evidence().add(&message, true);
            // The orderly answer can always be made.
            let taken = Answer::Ok.reply(content, format);
            return taken.unwrap_or_else(|why| Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, why));
        };
        let mut evidence = self.evidence();
        evidence.answered(&passed);
        // A part that was rejected will not come again either.
        evidence.add(&message, passed.is_final);
        Reply::now(passed.ending)
    }
}

/// One request more, as long as it lives.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for Gather {
    const MAX_BODY: usize = MAX_BODY;

    async fn answer(&self, exchange: Exchange) -> Reply {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let _until_answered = UnderWay(&self.under_way);
        self.answered(&exchange).await
    }

    fn unreadable(&self, request: ReceivedRequest, _door: usize, status: StatusCode, why: &str) {
        self.unread(status, &request, why);
    }

    fn problem(&self, what: String) {
        let what = what.split_once(": ").map_or(what.as_str(), |(_, what)| what);
        self.evidence().tally.malformed(what);
    }
}
