//! The service behind `logbridge run`: forwards the requests of the program and records what they hold.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::observations::Observations;
use crate::command::intake::{Upstream, remark, strip_connection_number};
use logbridge::internals::escape::words;
use logbridge_receiver::internals::{
    Answer, Content, Decoded, Exchange, Guard, ReceivedRequest, Refusal, Reply, Service, decode,
};

#[derive(Debug)]
pub(super) struct RunService {
    guard: Guard,
    upstream: Option<Upstream>,
    observations: Mutex<Observations>,
}

impl RunService {
    pub(super) fn new(guard: Guard, upstream: Option<Upstream>) -> Self {
        Self { guard, upstream, observations: Mutex::new(Observations::new()) }
    }

    /// Returns what was observed so far and starts anew.
    pub(super) fn take_observations(&self) -> Observations {
        std::mem::replace(&mut *self.lock(), Observations::new())
    }

    fn lock(&self) -> MutexGuard<'_, Observations> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_invalid(&self, status: StatusCode, request: &ReceivedRequest, reason: &str) {
        let ReceivedRequest { method, path, .. } = request;
        let place = format!("{} {}", words(method), words(path));
        self.lock().tally.malformed(&format!("{} to {place}: {reason}", status.as_u16()));
    }
}

impl Service for RunService {
    const HALF_CLOSE: bool = true;

    fn guard(&self) -> Option<&Guard> {
        Some(&self.guard)
    }

    async fn answer(&self, exchange: Exchange) -> Reply {
        let decoded = match decode(&exchange.head, exchange.body.clone(), &Content::ALL).await {
            Ok(decoded) => decoded,
            Err(Refusal { status, why }) => {
                self.add_invalid(status, &exchange.request, &why);
                return Reply::refusal(status, why);
            }
        };
        if let Some(remark) = remark(&decoded) {
            self.lock().tally.remark(&remark);
        }
        let Decoded { format, message, .. } = decoded;
        let content = message.content();
        let reply = match &self.upstream {
            Some(upstream) => upstream.forward(&exchange, content).await,
            None => None,
        };
        self.lock().add(&message, &exchange.body, reply.as_ref());
        match reply {
            Some(reply) => Reply::now(reply.action),
            None => Answer::Ok
                .into_reply(content, format)
                .unwrap_or_else(|error| Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, error)),
        }
    }

    fn rejected(&self, request: ReceivedRequest, _listener: usize, status: StatusCode, why: &str) {
        self.add_invalid(status, &request, why);
    }

    fn problem(&self, what: String) {
        self.lock().tally.malformed(strip_connection_number(&what));
    }
}
