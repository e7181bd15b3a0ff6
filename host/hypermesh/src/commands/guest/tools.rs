//! Compilers and other programs of the author's machine: started, and where one is missing, told how to get it.

use crate::failure::Failure;
use anyhow::{Context as _, bail};
use std::io;
use std::process::{Command, Output, Stdio};

/// A program that a project needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool {
    /// What it is called.
    pub(super) name: &'static str,
    /// How to get it.
    pub(super) hint: &'static str,
}

/// Builds Rust.
pub(super) const CARGO: Tool = Tool { name: "cargo", hint: "install Rust: https://rustup.rs" };
/// Makes Python a component.
pub(super) const COMPONENTIZE_PY: Tool = Tool {
    name: "componentize-py",
    hint: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
};
/// Runs the tests of Python.
pub(super) const PYTHON: Tool = Tool { name: "python3", hint: "install Python 3.10 or later" };
/// Runs JavaScript.
pub(super) const NODE: Tool = Tool { name: "node", hint: "install Node.js 20 or later: https://nodejs.org" };
/// Compiles C.
pub(super) const CLANG: Tool = Tool {
    name: "clang",
    hint: "install clang, lld, wasi-libc and the builtins for wasm32, on Debian: \
           apt-get install clang lld wasi-libc libclang-rt-dev-wasm32",
};

impl Tool {
    /// Runs it, its messages to stderr; gives what it wrote to stdout.
    ///
    /// # Errors
    /// Where it is missing, with how to get it; [`Failure::EXPLAINED`] where it fails, since it said why.
    pub(super) fn run(self, command: &mut Command) -> anyhow::Result<Vec<u8>> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = self.output(command)?;
        if output.status.success() { Ok(output.stdout) } else { Err(Failure::EXPLAINED.into()) }
    }

    /// The same for one whose stdout is talk too.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) fn talk(self, command: &mut Command) -> anyhow::Result<()> {
        command.stdin(Stdio::null()).stdout(io::stderr()).stderr(Stdio::inherit());
        if self.output(command)?.status.success() { Ok(()) } else { Err(Failure::EXPLAINED.into()) }
    }

    /// Runs it as it is set up.
    ///
    /// # Errors
    /// Where it is missing, with how to get it.
    pub(super) fn output(self, command: &mut Command) -> anyhow::Result<Output> {
        match command.output() {
            Ok(output) => Ok(output),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("{} is not installed\n  {}", self.name, self.hint)
            }
            Err(error) => Err(error).with_context(|| format!("could not start {}", self.name)),
        }
    }
}
