//! What the Runtime API knows of one process: where it is between asking for an
//! event and answering it, and which requests that allows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

/// What a process gets for asking for the next invocation.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// What a process made of an event.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Bytes),
    Error(Bytes),
    TooLarge,
}

/// Why a request of a process is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no process with the id in the path.
    UnknownProcess,
    /// A request that does not fit where the process is.
    OutOfTurn,
    /// An answer to another invocation than the one at hand.
    WrongRequestId,
    /// An answer beyond the limit.
    TooLarge,
    /// A body that breaks off.
    Incomplete,
}

enum State {
    /// Has not asked for an event yet.
    Starting,
    /// Reported that it cannot start.
    InitFailed(Bytes),
    /// Asks for an event.
    Asking(oneshot::Sender<Event>),
    /// Has an event and owes the answer.
    Busy { request_id: String, answer: oneshot::Sender<Answer> },
    /// Answered, and has not asked again.
    Answered,
}

/// The Runtime API's side of one process.
pub(crate) struct Session {
    state: Mutex<State>,
    /// Wakes the owner of the process, the only one who waits for it.
    changed: Notify,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Starting), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process asks for an event, which comes through the receiver. A process
    /// that asks anew has given up on its earlier request.
    pub(crate) fn ask(&self) -> Result<oneshot::Receiver<Event>, Refusal> {
        let mut state = self.state();
        if matches!(*state, State::Busy { .. } | State::InitFailed(_)) {
            return Err(Refusal::OutOfTurn);
        }
        let (give, event) = oneshot::channel();
        *state = State::Asking(give);
        self.changed.notify_one();
        Ok(event)
    }

    /// The process answers an invocation.
    pub(crate) fn answer(&self, request_id: &str, given: Answer) -> Result<(), Refusal> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Answered) {
            State::Busy { request_id: owed, answer } if owed == request_id => {
                // Nobody listens any more if the invocation has just timed out.
                let _ = answer.send(given);
                Ok(())
            }
            other => {
                let refusal = match other {
                    State::Busy { .. } => Refusal::WrongRequestId,
                    _ => Refusal::OutOfTurn,
                };
                *state = other;
                Err(refusal)
            }
        }
    }

    /// The process reports that it cannot start.
    pub(crate) fn fail_init(&self, report: Bytes) -> Result<(), Refusal> {
        let mut state = self.state();
        if !matches!(*state, State::Starting) {
            return Err(Refusal::OutOfTurn);
        }
        *state = State::InitFailed(report);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until the process asks for an event; fails with its report if it says
    /// that it cannot start.
    pub(crate) async fn asking(&self) -> Result<(), Bytes> {
        loop {
            let changed = self.changed.notified();
            match &*self.state() {
                // The request is closed when the process hung up on it.
                State::Asking(give) if !give.is_closed() => return Ok(()),
                State::InitFailed(report) => return Err(report.clone()),
                _ => {}
            }
            changed.await;
        }
    }

    /// Hands an event to the process, if it still asks for one.
    pub(crate) fn give(&self, event: Event) -> Option<oneshot::Receiver<Answer>> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Answered) {
            State::Asking(give) => {
                let (answer, answered) = oneshot::channel();
                *state = State::Busy { request_id: event.request_id.clone(), answer };
                if give.send(event).is_err() {
                    *state = State::Answered;
                    return None;
                }
                Some(answered)
            }
            other => {
                *state = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(request_id: &str) -> Event {
        Event { request_id: request_id.to_owned(), headers: HeaderMap::new(), payload: Bytes::new() }
    }

    #[test]
    fn a_process_takes_its_turns_and_no_others() {
        let session = Session::new();
        let answer = || Answer::Response(Bytes::new());
        assert_eq!(session.answer("a", answer()), Err(Refusal::OutOfTurn));
        let mut given = session.ask().expect("may ask");
        let mut answered = session.give(event("a")).expect("asks");
        assert_eq!(given.try_recv().expect("an event").request_id, "a");
        assert_eq!(session.ask().err(), Some(Refusal::OutOfTurn));
        assert_eq!(session.fail_init(Bytes::new()), Err(Refusal::OutOfTurn));
        assert_eq!(session.answer("b", answer()), Err(Refusal::WrongRequestId));
        assert_eq!(session.answer("a", answer()), Ok(()));
        assert!(answered.try_recv().is_ok());
        assert_eq!(session.answer("a", answer()), Err(Refusal::OutOfTurn));
    }

    #[test]
    fn an_event_is_not_given_to_a_request_that_was_hung_up() {
        let session = Session::new();
        drop(session.ask());
        assert!(session.give(event("a")).is_none());
    }
}
