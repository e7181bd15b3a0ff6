//! Whose turn it is: so many at the same time, so many more that wait, in the order in which they came.
//!
//! Who finds no room to wait is turned away at once, and who has waited too long after that: an answer that comes when
//! its caller has long given up helps nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// There is no room to wait.
    Full,
    /// It did not come in time.
    TooLong,
    /// There are no more turns.
    Closed,
}

/// The turns of one service.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    running: watch::Sender<usize>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// A turn; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    running: watch::Sender<usize>,
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl Turns {
    /// `concurrency` at the same time, `most_waiting` that wait.
    pub(crate) fn new(concurrency: usize, most_waiting: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(concurrency)),
            running: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            most_waiting,
        }
    }

    /// The next turn, after at most this time.
    pub(crate) async fn take(&self, patience: Duration) -> Result<Turn, NoTurn> {
        // A free turn means that nobody waits: one that is given back goes to whoever waits longest.
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait(patience).await?,
        };
        self.running.send_modify(|running| *running += 1);
        Ok(Turn { _permit: permit, running: self.running.clone() })
    }

    async fn wait(&self, patience: Duration) -> Result<OwnedSemaphorePermit, NoTurn> {
        let room = |waiting: usize| (waiting < self.most_waiting).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| NoTurn::Full)?;
        let _place = Place(&self.waiting);
        let turn = tokio::time::timeout(patience, Arc::clone(&self.free).acquire_owned()).await;
        turn.map_err(|_| NoTurn::TooLong)?.map_err(|_| NoTurn::Closed)
    }

    /// From now on there are no more turns; who waits hears so.
    pub(crate) fn close(&self) {
        self.free.close();
    }

    /// Returns when every turn that was taken is given back.
    pub(crate) async fn idle(&self) {
        // It can't fail: the sender is here.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    /// How many have their turn.
    pub(crate) fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// How many wait for it.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn who_finds_no_room_to_wait_is_turned_away_at_once() {
        let turns = Arc::new(Turns::new(1, 1));
        let first = turns.take(LONG).await.unwrap();
        let waits = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(LONG).await }
        });
        while turns.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.take(LONG).await.unwrap_err(), NoTurn::Full);
        assert_eq!((turns.running(), turns.waiting()), (1, 1));
        drop(first);
        let second = waits.await.unwrap().unwrap();
        assert_eq!((turns.running(), turns.waiting()), (1, 0));
        drop(second);
        turns.idle().await;
        assert_eq!(turns.running(), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_leaves_its_place() {
        let turns = Turns::new(1, 1);
        let _first = turns.take(LONG).await.unwrap();
        assert_eq!(turns.take(Duration::ZERO).await.unwrap_err(), NoTurn::TooLong);
        assert_eq!(turns.waiting(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_its_place() {
        let turns = Turns::new(1, 1);
        let _first = turns.take(LONG).await.unwrap();
        {
            let mut waits = std::pin::pin!(turns.take(LONG));
            assert!(futures_ready(waits.as_mut()).await.is_none());
            assert_eq!(turns.waiting(), 1);
        }
        assert_eq!(turns.waiting(), 0);
    }

    /// Polls once.
    async fn futures_ready<F: Future + Unpin>(future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn a_closed_service_has_no_turns_and_is_idle_when_the_last_is_back() {
        let turns = Arc::new(Turns::new(1, 4));
        let last = turns.take(LONG).await.unwrap();
        let waits = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(LONG).await.err() }
        });
        while turns.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        turns.close();
        assert_eq!(waits.await.unwrap(), Some(NoTurn::Closed));
        assert_eq!(turns.take(LONG).await.unwrap_err(), NoTurn::Closed);
        assert_eq!(turns.running(), 1);
        drop(last);
        turns.idle().await;
    }
}
