//! How a node is started, beside what every test's node has.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Flags, environment and user of a node.
#[derive(Debug, Clone, Default)]
pub struct Options {
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    user: Option<u32>,
}

impl Options {
    /// Further flags of `serve`.
    #[must_use]
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.set(name, Some(value));
        self
    }

    /// The user, and the group of the same number, that it runs as. Takes root.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// Sets a variable or takes it away.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Lets the node's user have its folder.
    #[track_caller]
    pub(crate) fn give(&self, folder: &Path) {
        if let Some(user) = self.user {
            chown(folder, Some(user), Some(user)).expect("the folder can be given to the node's user");
        }
    }

    /// Whether this flag is among them.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    pub(crate) fn apply(&self, command: &mut Command) {
        command.args(&self.flags).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
    }
}
