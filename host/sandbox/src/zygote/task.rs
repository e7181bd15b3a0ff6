//! What a worker's code gets: its job, its descriptors, and the closing of its jail.

use super::protocol::LISTENER;
use super::socket;
use crate::jail::{JailError, Open};
use std::os::fd::{AsFd, OwnedFd};

/// One worker's one task.
#[derive(Debug)]
pub struct Task {
    /// The job, as the node gave it.
    pub job: Vec<u8>,
    /// The descriptors, in the node's order. They may be taken out before the jail is closed.
    pub fds: Vec<OwnedFd>,
    pub(super) link: OwnedFd,
    /// The jail until it is closed.
    pub(super) jail: Option<Open>,
}

impl Task {
    /// Closes the jail: from here on files can be opened only in the granted folders, and a call that is not on the list
    /// kills this process. To be called when the code that will run is mapped and before anything of a guest is, with one
    /// thread. Again, it does nothing.
    ///
    /// # Errors
    /// When a layer that the zygote said is active can't be closed. The worker has to return then, with
    /// [`crate::jail::EXIT_NO_JAIL`], and must not run the guest.
    pub fn close_jail(&mut self) -> Result<(), JailError> {
        let Some(jail) = self.jail.take() else { return Ok(()) };
        jail.close(|listener| socket::send_bytes(&self.link, LISTENER, &[listener.as_fd()]))
    }

    /// Says one byte to the node, best effort: the node may be gone, and the worker goes on without it.
    pub fn say(&self, byte: u8) {
        let _ = socket::say(&self.link, byte);
    }
}
