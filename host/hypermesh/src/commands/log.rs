//! `log`: the transparency log: its head, its checkpoint, its key, and an audit of its files without a node.

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::human;
use crate::output::print;
use crate::table::fields;
use anyhow::{Context as _, bail};
use clap::Subcommand;
use hypermesh_ctlog::Audit;
use hypermesh_pki::PublicKey;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where a node keeps its log, below its data folder.
const LOG: &str = "trustchain/log";
/// Where a node writes its log's key.
const KEY: &str = "log.pem";

/// `log …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how large the log is, and its newest signed head
    Show,
    /// Write the newest checkpoint to stdout: a signed note
    Checkpoint,
    /// Write the log's public key to stdout, PEM
    Key,
    /// Have the node make its index of certificates again from the log, which is the truth
    Rebuild,
    /// Audit a log's files, without a node: every entry, hash and signature is computed anew; exits 1 if one is wrong
    Verify {
        /// The log's folder, or a node's data folder [default: the data folder]
        folder: Option<PathBuf>,
        /// The log's public key, PEM [default: log.pem of the data folder]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

/// What an audit found.
#[derive(Debug, Serialize)]
struct Report {
    folder: String,
    origin: String,
    entries: u64,
    head_size: u64,
    bytes: u64,
    torn_bytes: u64,
    issuers: u64,
    root_hash: String,
}

/// Runs `log …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = || context.client_of(Service::TrustChain);
    match command {
        Command::Show => context.output.show(&client()?.log_head()?, |head, style| {
            let at =
                i64::try_from(head.timestamp).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            fields(
                &[
                    ("entries", head.tree_size.to_string()),
                    ("signed at", at.map_or_else(|| head.timestamp.to_string(), |at| format!("{at:.0}"))),
                    ("root hash", head.sha256_root_hash.clone()),
                    ("signature", head.tree_head_signature.clone()),
                ],
                style,
            )
        }),
        Command::Checkpoint => Ok(print(&client()?.text("/checkpoint")?)?),
        Command::Key => Ok(print(&client()?.text("/log/key.pem")?)?),
        Command::Rebuild => context.output.show(&client()?.rebuild_index()?, |done, _| {
            format!(
                "{} entries read, {} rows written, {} certificates signed again\n",
                done.entries, done.written, done.signed_again
            )
        }),
        Command::Verify { folder, key } => verify(context, folder, key),
    }
}

fn verify(context: &Context, folder: Option<PathBuf>, key: Option<PathBuf>) -> anyhow::Result<()> {
    let given = folder.unwrap_or_else(|| context.data_dir());
    let folder = log_folder(&given)?;
    let key = match key {
        Some(file) => file,
        None => {
            key_beside(&folder).or_else(|| Some(given.join(KEY)).filter(|file| file.exists())).with_context(
                || format!("no {KEY} is above {}; give the log's key with --key", folder.display()),
            )?
        }
    };
    let pem = std::fs::read_to_string(&key).with_context(|| format!("could not read {}", key.display()))?;
    let key = PublicKey::from_pem(&pem).with_context(|| format!("{} is no public key", key.display()))?;
    match hypermesh_ctlog::audit(&folder, key.spki_der()) {
        Ok(audit) => context.output.show(&report(&folder, &audit), |report, style| {
            let line = style.good("every entry, hash and signature is right");
            let shown = fields(
                &[
                    ("log", report.origin.clone()),
                    ("folder", report.folder.clone()),
                    ("entries", report.entries.to_string()),
                    ("signed for", report.head_size.to_string()),
                    ("bytes", human::bytes(Some(report.bytes))),
                    ("unfinished", human::bytes(Some(report.torn_bytes))),
                    ("root hash", report.root_hash.clone()),
                ],
                style,
            );
            format!("{line}\n{shown}")
        }),
        Err(error) => {
            let found = hypermesh_model::error_chain(&error);
            crate::say!("{}: {}", folder.display(), human::printable(&found));
            Err(Failure::EXPLAINED.into())
        }
    }
}

/// The log's own folder: as given, or below a data folder.
fn log_folder(given: &Path) -> anyhow::Result<PathBuf> {
    for folder in [given.join(LOG), given.to_owned()] {
        if folder.join("entries").exists() {
            return Ok(folder);
        }
    }
    bail!("there is no log in {}", given.display())
}

/// The key in the data folder that the log is below, if it is.
fn key_beside(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|above| above.join(KEY)).find(|file| file.exists())
}

fn report(folder: &Path, audit: &Audit) -> Report {
    Report {
        folder: folder.display().to_string(),
        origin: audit.origin.clone(),
        entries: audit.entries,
        head_size: audit.head.size,
        bytes: audit.bytes,
        torn_bytes: audit.torn_bytes,
        issuers: audit.issuers,
        root_hash: audit.root.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_found_by_its_own_folder_and_by_the_node_s() {
        let folder = tempfile::tempdir().unwrap();
        assert!(log_folder(folder.path()).is_err());
        let log = folder.path().join(LOG);
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join("entries"), "").unwrap();
        std::fs::write(folder.path().join(KEY), "").unwrap();
        assert_eq!(log_folder(folder.path()).unwrap(), log);
        assert_eq!(log_folder(&log).unwrap(), log);
        assert_eq!(key_beside(&log), Some(folder.path().join(KEY)));
    }
}
