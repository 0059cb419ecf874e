//! Requests of the program: passed on where there is somebody to pass them on to, and remembered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::evidence::Evidence;
use crate::command::inlet::{Upstream, cause_of, remark};
use logbridge::internals::escape::words;
use logbridge_receiver::internals::{
    Answer, Content, Decoded, Exchange, Guard, ReceivedRequest, Refusal, Reply, Service, decode,
};

#[derive(Debug)]
pub(super) struct Gather {
    guard: Guard,
    upstream: Option<Upstream>,
    evidence: Mutex<Evidence>,
}

impl Gather {
    pub(super) fn new(guard: Guard, upstream: Option<Upstream>) -> Self {
        Self { guard, upstream, evidence: Mutex::new(Evidence::new()) }
    }

    pub(super) fn evidence(&self) -> MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unread(&self, status: StatusCode, request: &ReceivedRequest, why: &str) {
        let ReceivedRequest { method, path, .. } = request;
        let place = format!("{} {}", words(method), words(path));
        self.evidence().tally.malformed(&format!("{} to {place}: {why}", status.as_u16()));
    }

    async fn answered(&self, exchange: &Exchange) -> Reply {
        let decoded = match decode(&exchange.head, exchange.body.clone(), &Content::ALL).await {
            Ok(decoded) => decoded,
            Err(Refusal { status, why }) => {
                self.unread(status, &exchange.request, &why);
                return Reply::refusal(status, why);
            }
        };
        if let Some(remark) = remark(&decoded) {
            self.evidence().tally.remark(&remark);
        }
        let Decoded { format, message, .. } = decoded;
        let content = message.content();
        let passed = match &self.upstream {
            Some(upstream) => upstream.pass(exchange, content).await,
            None => None,
        };
        let Some(passed) = passed else {
            self.evidence().add(&message, &exchange.body, None);
            // The orderly answer can always be made.
            let taken = Answer::Ok.reply(content, format);
            return taken.unwrap_or_else(|why| Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, why));
        };
        self.evidence().add(&message, &exchange.body, Some(&passed));
        Reply::now(passed.ending)
    }
}

impl Service for Gather {
    const OUTLIVES_CLIENTS: bool = true;

    fn guard(&self) -> Option<&Guard> {
        Some(&self.guard)
    }

    async fn answer(&self, exchange: Exchange) -> Reply {
        self.answered(&exchange).await
    }

    fn unreadable(&self, request: ReceivedRequest, _door: usize, status: StatusCode, why: &str) {
        self.unread(status, &request, why);
    }

    fn problem(&self, what: String) {
        self.evidence().tally.malformed(cause_of(&what));
    }
}
