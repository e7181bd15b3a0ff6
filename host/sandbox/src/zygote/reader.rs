//! The thread that hears the zygote and its workers until they get their orders, and calls back.
//!
//! A worker that was forked joins its groups by itself, so it is parked only when it says so on its own link: until then
//! the link is watched here. After the zygote's end this thread stays as long as a worker runs: nobody reaps those for the
//! node any more, but their pidfds still say when they end, and [`WorkerExit`] is then empty.

use super::node::{Park, Shared, TellEnd, end};
use super::protocol::{READY, Tell, UNREADY};
use super::socket::{self, Message};
use super::{Parked, Worker, WorkerExit, ZygoteError};
use crate::{PidFd, identify};
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;

/// Runs until the zygote has ended and every worker that it forked.
pub(super) fn read(shared: &Shared, mut child: Child, on_end: TellEnd) {
    let error = loop {
        match step(shared) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    let (parks, is_closing) = {
        let mut state = shared.state();
        state.has_ended = true;
        state.maps.clear();
        (std::mem::take(&mut state.parks), state.is_closing)
    };
    let how = end(&mut child);
    let mut running = Vec::new();
    for park in parks.into_values() {
        match park {
            Park::Asked { parked, .. } | Park::Joining { parked, .. } => parked(Err(ZygoteError::Ended)),
            Park::Told { pidfd, ended } => running.push((pidfd, ended)),
        }
    }
    if !is_closing {
        on_end(error.map_or(how.clone(), |error| format!("{error}; {how}")));
    }
    while !running.is_empty() {
        let mut watched: Vec<_> =
            running.iter().map(|(pidfd, _)| PollFd::new(pidfd.as_ref(), PollFlags::IN)).collect();
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "workers of an ended zygote cannot be watched");
                return;
            }
        }
        let has_ended: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut which = has_ended.into_iter();
        let (over, rest) = running.into_iter().partition(|_| which.next().unwrap_or_default());
        running = rest;
        let over: Vec<_> = over;
        over.into_iter().for_each(|(_, ended)| ended(WorkerExit::default()));
    }
}

/// Waits for one or more messages and handles them; whether the zygote is still there.
fn step(shared: &Shared) -> io::Result<bool> {
    let joining: Vec<(u64, OwnedFd)> = {
        let state = shared.state();
        let links = state.parks.iter().filter_map(|(park, state)| match state {
            Park::Joining { worker, .. } => Some((*park, worker.link.try_clone())),
            Park::Asked { .. } | Park::Told { .. } => None,
        });
        links.map(|(park, link)| link.map(|link| (park, link))).collect::<io::Result<_>>()?
    };
    let mut watched = vec![PollFd::new(&shared.control, PollFlags::IN)];
    watched.extend(joining.iter().map(|(_, link)| PollFd::new(link, PollFlags::IN)));
    match poll(&mut watched, None) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    let is_ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(watched);
    for ((park, _), _) in joining.iter().zip(&is_ready[1..]).filter(|(_, ready)| **ready) {
        hear_worker(shared, *park, None);
    }
    if !is_ready[0] {
        return Ok(true);
    }
    match socket::receive(&shared.control)? {
        None => Ok(false),
        Some(message) => hear_zygote(shared, message).map(|()| true),
    }
}

fn hear_zygote(shared: &Shared, message: Message) -> io::Result<()> {
    let tell: Tell = socket::parse(&message)?;
    let mut fds = message.fds.into_iter();
    match tell {
        Tell::Forked { park, pid } => {
            let (Some(pidfd), Some(link)) = (fds.next(), fds.next()) else {
                return Err(rustix::io::Errno::BADMSG.into());
            };
            forked(shared, park, pid, PidFd::of_clone(pidfd), link);
        }
        Tell::Refused { park, reason } => {
            let asked = shared.state().parks.remove(&park);
            if let Some(Park::Asked { parked, .. }) = asked {
                parked(Err(ZygoteError::Park { reason }));
            }
        }
        Tell::Ended { park, code, signal } => {
            let exit = WorkerExit { code, signal };
            // Its last words may still be in its link.
            hear_worker(shared, park, Some(exit));
            let told = shared.state().parks.remove(&park);
            if let Some(Park::Told { ended, .. }) = told {
                ended(exit);
            }
        }
        Tell::Mapped { map } => answer(shared, map, fds.next().ok_or_else(|| "no descriptor".to_owned())),
        Tell::Unmapped { map, reason } => answer(shared, map, Err(reason)),
        Tell::Hello { .. } | Tell::Failed { .. } => return Err(rustix::io::Errno::BADMSG.into()),
    }
    Ok(())
}

/// Somebody who no longer waits is fine.
fn answer(shared: &Shared, map: u64, answer: Result<OwnedFd, String>) {
    if let Some(sender) = shared.state().maps.remove(&map) {
        let _ = sender.send(answer);
    }
}

fn forked(shared: &Shared, park: u64, pid: u32, pidfd: PidFd, link: OwnedFd) {
    // The name is this worker's if the worker still runs after it was read: an id is not used again before that.
    let named = identify(pid).filter(|_| pidfd.has_ended().is_ok_and(|ended| !ended));
    let mut state = shared.state();
    let Some(Park::Asked { parked, ended }) = state.parks.remove(&park) else { return };
    let Some(id) = named else {
        drop(state);
        // Its last words, if it had time for any.
        let reason = match first_words(&link, Some(WorkerExit::default())) {
            Some(Err(reason)) => reason,
            Some(Ok(())) | None => "it ended at once".to_owned(),
        };
        return parked(Err(ZygoteError::Park { reason }));
    };
    let worker = Worker { id, pidfd: Arc::new(pidfd), link };
    state.parks.insert(park, Park::Joining { worker, parked, ended });
}

/// Reads the first message of a worker that joins its groups; `exit` when it is known to have ended.
fn hear_worker(shared: &Shared, park: u64, exit: Option<WorkerExit>) {
    let mut state = shared.state();
    let Some(Park::Joining { worker, .. }) = state.parks.get(&park) else { return };
    let Some(heard) = first_words(&worker.link, exit) else { return };
    let Some(Park::Joining { worker, parked, ended }) = state.parks.remove(&park) else { return };
    match heard {
        Ok(()) => {
            state.parks.insert(park, Park::Told { pidfd: Arc::clone(&worker.pidfd), ended });
            drop(state);
            parked(Ok(Parked { worker }));
        }
        Err(reason) => {
            drop(state);
            parked(Err(ZygoteError::Park { reason }));
        }
    }
}

/// Whether a worker says that it is ready; `None` when it has said nothing yet and has not ended.
fn first_words(link: &OwnedFd, exit: Option<WorkerExit>) -> Option<Result<(), String>> {
    let silent = || exit.map_or_else(|| "it ended before it was ready".to_owned(), |exit| exit.to_string());
    match socket::receive(link) {
        Ok(Some(message)) => Some(match message.bytes.split_first() {
            Some((&READY, [])) => Ok(()),
            Some((&UNREADY, words)) => Err(String::from_utf8_lossy(words).into_owned()),
            Some(_) | None => Err("it said something else than that it is ready".to_owned()),
        }),
        Ok(None) => Some(Err(silent())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => exit.map(|_| Err(silent())),
        Err(error) => Some(Err(error.to_string())),
    }
}
