//! OpenSSL as the judge. Without it on the machine, what needs it says so and is left out.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `openssl` in a folder; `None`, said on stderr, where there is none.
pub(crate) fn openssl(test: &str, folder: &Path, arguments: &[&str]) -> Option<Output> {
    match Command::new("openssl").args(arguments).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED {test}: openssl can't be run: {error}");
            None
        }
    }
}

/// Everything that it said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
