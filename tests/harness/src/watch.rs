//! Watching a node as its holders do: events, phases, and what it refuses with.

use crate::{Node, until};
use hypermesh_client::{Client, ClientError, Notice, Start};
use hypermesh_wire::allocations::{Allocation, Phase};
use hypermesh_wire::events::Event;
use hypermesh_wire::problem::Problem;
use hypermesh_wire::tokens::{CreateToken, Role};

/// The problem document of a refusal.
///
/// # Panics
/// When nothing was refused.
#[track_caller]
pub fn problem<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Problem {
    match answer {
        Err(ClientError::Problem(problem)) => *problem,
        Err(error) => panic!("no refusal: {error}"),
        Ok(answer) => panic!("it was not refused: {answer:?}"),
    }
}

impl Node {
    /// Everything that has happened so far.
    ///
    /// # Panics
    /// When the node doesn't say.
    #[track_caller]
    pub fn recorded(&self) -> Vec<Event> {
        let notices = self.client().events(Start::RecordedAfter(0));
        notices
            .map(|notice| match notice.expect("the node tells its events") {
                Notice::Event(event) => event,
                Notice::Gone { oldest } => panic!("events before {oldest:?} are gone"),
            })
            .collect()
    }

    /// The first event of a kind about something; waits for it.
    ///
    /// # Panics
    /// When it doesn't come.
    #[track_caller]
    pub fn told(&self, kind: &str, subject: &str) -> Event {
        until(&format!("the event {kind}"), || {
            self.recorded().into_iter().find(|event| event.kind == kind && event.subject == subject)
        })
    }

    /// A lease as it is once it is in a phase; waits for it.
    ///
    /// # Panics
    /// When it ends in another one, or never gets there.
    #[track_caller]
    pub fn reaches(&self, lease: &str, phase: Phase) -> Allocation {
        until(&format!("the phase {phase:?}"), || {
            let now = self.client().allocation(lease).expect("the node knows the lease");
            assert!(now.phase == phase || !now.phase.is_final(), "it ended otherwise: {now:?}");
            (now.phase == phase).then_some(now)
        })
    }

    /// A client with a token of its own.
    ///
    /// # Panics
    /// When the node makes no such token.
    #[track_caller]
    pub fn client_of(&self, name: &str, role: Role) -> Client {
        let made = self.client().create_token(&CreateToken { name: name.to_owned(), role });
        let token = made.expect("the node makes a token").token;
        Client::new(self.url(), Some(token)).expect("the node said a URL")
    }
}
