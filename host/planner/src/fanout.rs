//! Which indexes of an array to start now, and when it has ended.
//!
//! ```text
//! waiting ──begin──▶ running ──end──▶ completed, failed or cancelled
//!    ▲                  │
//!    └──held back───────┘   nothing was started: no room
//! ```
//! - Never more than `parallelism` run. The lowest waiting index goes first.
//! - Each index ends once; what ended never runs again.
//! - Once stopped, or with as many failures as allowed, nothing is started any more; what waits stays so for ever.
//! - It has ended when nothing runs and nothing can be started.
//! - What was held back is tried again one at a time until one starts: who refuses one refuses the others too.

/// Where an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "drawn at the module's head")]
pub enum State {
    Waiting,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl State {
    fn is_final(self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// How many are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the states")]
pub struct Counts {
    pub waiting: u32,
    pub running: u32,
    pub completed: u32,
    pub failed: u32,
    pub cancelled: u32,
}

impl Counts {
    /// How many have ended.
    pub fn ended(self) -> u32 {
        self.completed + self.failed + self.cancelled
    }

    fn of(&mut self, state: State) -> &mut u32 {
        match state {
            State::Waiting => &mut self.waiting,
            State::Running => &mut self.running,
            State::Completed => &mut self.completed,
            State::Failed => &mut self.failed,
            State::Cancelled => &mut self.cancelled,
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Start these, and say of each whether it began.
    Start(Vec<u32>),
    /// Wait for one to end, or for room when `held_back`.
    Wait {
        /// Whether something could be started if there were room.
        held_back: bool,
    },
    /// Nothing runs and nothing will be started.
    End,
}

/// An array being worked through.
#[derive(Debug, Clone)]
pub struct Fanout {
    states: Vec<State>,
    counts: Counts,
    /// No index below this one waits.
    first_waiting: usize,
    /// Indexes in the order in which they ended.
    order: Vec<u32>,
    parallelism: u32,
    max_failures: Option<u32>,
    stopped: bool,
    held_back: bool,
}

impl Fanout {
    /// All of them waiting.
    pub fn new(size: u32, parallelism: u32, max_failures: Option<u32>) -> Self {
        Self {
            states: vec![State::Waiting; usize::try_from(size).unwrap_or(usize::MAX)],
            counts: Counts { waiting: size, ..Counts::default() },
            first_waiting: 0,
            order: Vec::new(),
            parallelism,
            max_failures,
            stopped: false,
            held_back: false,
        }
    }

    /// What to do now. `room`: something may have changed since the last one was held back.
    pub fn next(&mut self, room: bool) -> Next {
        let can_start = !self.is_stopped() && self.counts.waiting > 0;
        if !can_start {
            return if self.counts.running == 0 { Next::End } else { Next::Wait { held_back: false } };
        }
        let free = self.parallelism.saturating_sub(self.counts.running);
        if free == 0 {
            return Next::Wait { held_back: false };
        }
        if self.held_back && !room {
            return Next::Wait { held_back: true };
        }
        let free = if self.held_back { 1 } else { usize::try_from(free).unwrap_or(usize::MAX) };
        while self.states.get(self.first_waiting).is_some_and(|state| *state != State::Waiting) {
            self.first_waiting += 1;
        }
        let waiting = (0_u32..).zip(&self.states).skip(self.first_waiting);
        let chosen =
            waiting.filter(|(_, state)| **state == State::Waiting).map(|(index, _)| index).take(free);
        Next::Start(chosen.collect())
    }

    /// One has begun.
    pub fn began(&mut self, index: u32) {
        self.held_back = false;
        self.set(index, State::Waiting, State::Running);
    }

    /// One could not begin for want of room; it waits on.
    pub fn hold_back(&mut self) {
        self.held_back = true;
    }

    /// One has ended, or came to nothing before it began. An end of one that has ended already changes nothing.
    pub fn ended(&mut self, index: u32, how: State) {
        let now = self.state(index);
        if how.is_final() && now.is_some_and(|now| !now.is_final()) {
            self.set(index, now.unwrap_or(State::Waiting), how);
            self.order.push(index);
        }
    }

    fn set(&mut self, index: u32, from: State, to: State) {
        let place = usize::try_from(index).ok().and_then(|index| self.states.get_mut(index));
        if let Some(state) = place.filter(|state| **state == from) {
            *state = to;
            *self.counts.of(from) -= 1;
            *self.counts.of(to) += 1;
        }
    }

    /// Nothing is started any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether nothing is started any more.
    pub fn is_stopped(&self) -> bool {
        self.stopped || self.too_many_failures()
    }

    /// Whether as many failed as are allowed to.
    pub fn too_many_failures(&self) -> bool {
        self.max_failures.is_some_and(|most| self.counts.failed >= most)
    }

    /// Where an index is; `None` beyond the last.
    pub fn state(&self, index: u32) -> Option<State> {
        self.states.get(usize::try_from(index).ok()?).copied()
    }

    /// How many are where.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Indexes in the order in which they ended.
    pub fn order(&self) -> &[u32] {
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_lowest_start_first_and_never_more_than_allowed() {
        let mut array = Fanout::new(5, 2, None);
        assert_eq!(array.next(false), Next::Start(vec![0, 1]));
        array.began(0);
        array.began(1);
        assert_eq!(array.next(true), Next::Wait { held_back: false });
        array.ended(1, State::Completed);
        assert_eq!(array.next(false), Next::Start(vec![2]));
        assert_eq!(array.order(), [1]);
    }

    #[test]
    fn what_is_held_back_is_tried_one_at_a_time_until_one_begins() {
        let mut array = Fanout::new(5, 4, None);
        array.hold_back();
        assert_eq!(array.next(false), Next::Wait { held_back: true });
        assert_eq!(array.next(true), Next::Start(vec![0]));
        array.began(0);
        assert_eq!(array.next(false), Next::Start(vec![1, 2, 3]));
    }

    #[test]
    fn enough_failures_stop_it_and_what_runs_goes_on() {
        let mut array = Fanout::new(5, 2, Some(1));
        array.began(0);
        array.began(1);
        array.ended(0, State::Failed);
        assert!(array.too_many_failures() && array.next(true) == Next::Wait { held_back: false });
        array.ended(1, State::Completed);
        assert_eq!(array.next(true), Next::End);
        let counts = Counts { waiting: 3, completed: 1, failed: 1, ..Counts::default() };
        assert_eq!(array.counts(), counts);
    }

    #[test]
    fn one_that_came_to_nothing_before_it_began_has_ended() {
        let mut array = Fanout::new(1, 1, None);
        array.ended(0, State::Failed);
        assert_eq!((array.next(false), array.counts().failed), (Next::End, 1));
        array.ended(7, State::Failed);
        assert_eq!(array.order(), [0], "there is no index 7");
    }

    proptest! {
        /// Random histories: what was begun ends at any time, room comes and goes, somebody stops it.
        #[test]
        fn every_index_begins_once_at_most_and_it_comes_to_an_end(
            size in 0u32..40, parallelism in 1u32..6, max_failures in proptest::option::of(1u32..5),
            choices in proptest::collection::vec(any::<u8>(), 400),
        ) {
            let mut array = Fanout::new(size, parallelism, max_failures);
            let (mut running, mut begun, mut stopped) = (Vec::new(), BTreeSet::new(), false);
            for choice in choices.iter().cycle().take(2000) {
                prop_assert!(array.counts().running <= parallelism);
                prop_assert_eq!(array.counts().ended() + array.counts().waiting + array.counts().running, size);
                match array.next(choice % 3 == 0) {
                    Next::Start(indexes) => for index in indexes {
                        prop_assert!(!array.is_stopped());
                        if choice % 5 == 0 { array.hold_back(); } else {
                            prop_assert!(begun.insert(index), "{} began twice", index);
                            array.began(index);
                            running.push(index);
                        }
                    },
                    Next::Wait { held_back } => {
                        prop_assert!(held_back || !running.is_empty());
                        if !running.is_empty() && choice % 2 == 0 {
                            let index = running.swap_remove(usize::from(*choice) % running.len());
                            let how = [State::Completed, State::Failed, State::Cancelled][usize::from(choice / 2 % 3)];
                            array.ended(index, how);
                            array.ended(index, State::Completed);
                        }
                        if *choice == 255 { array.stop(); stopped = true; }
                    }
                    Next::End => {
                        prop_assert!(running.is_empty());
                        let all = array.counts().ended() == size;
                        prop_assert!(all || stopped || array.too_many_failures());
                        prop_assert_eq!(u32::try_from(array.order().len()).unwrap(), array.counts().ended());
                        return Ok(());
                    }
                }
            }
            prop_assume!(choices.iter().any(|choice| choice % 6 == 0));
        }
    }
}
