//! What a person should know before relying on this node: what is there, what isn't, and what to do about it.

mod trust;

use crate::config::Config;
use hypermesh_hardware::{Hardware, filesystem};
use hypermesh_volume::{Method, Preference};
use serde::Serialize;

/// How good or bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works with less.
    Warn,
    /// Something will not work.
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// How good or bad it is.
    pub level: Level,
    /// What was seen, and what to do.
    pub detail: String,
}

fn finding(name: &str, level: Level, detail: impl Into<String>) -> Finding {
    Finding { name: name.into(), level, detail: detail.into() }
}

/// Looks at the machine and the configuration. Changes nothing.
pub fn doctor(config: &Config) -> Vec<Finding> {
    let mut findings = vec![data_folder(config)];
    findings.extend(hypermesh_sandbox::probe("/".as_ref()).into_iter().map(from_probe));
    findings.push(volumes(config));
    findings.extend(hardware(config));
    findings.push(match hypermesh_mesh::engine_hash(hypermesh_mesh::Profile::Plain) {
        Ok(hash) => {
            finding("engine", Level::Ok, format!("wasmtime with Cranelift; artefacts are keyed by {hash}"))
        }
        Err(error) => finding("engine", Level::Fail, hypermesh_model::error_chain(&error)),
    });
    findings.extend(trust::findings(config));
    findings.push(finding(
        "consensus",
        Level::Warn,
        "no validator is configured: allocations and executions carry no proofs",
    ));
    findings
}

fn data_folder(config: &Config) -> Finding {
    let existing = config.data_dir.ancestors().find(|p| p.exists());
    match existing.map(filesystem) {
        Some(Ok(fs)) => {
            let detail = format!("{}: {} free of {}", config.data_dir.display(), fs.free, fs.total);
            let level = if fs.free.0 < 1 << 30 { Level::Warn } else { Level::Ok };
            finding("data folder", level, detail)
        }
        Some(Err(error)) => finding("data folder", Level::Fail, error.to_string()),
        None => finding("data folder", Level::Fail, "it has no parent that exists"),
    }
}

fn volumes(config: &Config) -> Finding {
    let Some(existing) = config.data_dir.ancestors().find(|p| p.exists()) else {
        return finding("storage leases", Level::Warn, "the data folder has no parent that exists");
    };
    match hypermesh_volume::probe(existing, "/".as_ref(), Preference::default()) {
        Method::ProjectQuota => finding("storage leases", Level::Ok, "bounded by project quotas"),
        Method::LoopImage => finding("storage leases", Level::Ok, "bounded by loop-mounted images"),
        Method::Unavailable { reason } => {
            finding("storage leases", Level::Warn, format!("they are refused: {reason}"))
        }
    }
}

fn hardware(config: &Config) -> Vec<Finding> {
    let hardware = match &config.nvml_library {
        Some(library) => Hardware::new("/").with_nvml_library(library),
        None => Hardware::new("/"),
    };
    let inventory = hardware.inventory();
    let capacity = &inventory.capacity;
    let gpus = match &inventory.gpus.unavailable {
        Some(reason) => finding("gpu", Level::Ok, format!("none: {reason}")),
        None => finding("gpu", Level::Ok, format!("{} found", inventory.gpus.gpus.len())),
    };
    vec![
        finding("cpu", Level::Ok, format!("{} can be leased", capacity.cpu)),
        finding("memory", Level::Ok, format!("{} can be leased", capacity.memory)),
        gpus,
    ]
}

fn from_probe(probe: hypermesh_sandbox::Finding) -> Finding {
    let level = if probe.ok { Level::Ok } else { Level::Warn };
    finding(&probe.name, level, probe.value)
}
