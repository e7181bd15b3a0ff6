//! Schemathesis against the node's own document: what it generates from the document, the node must take or refuse as
//! the document says.
//!
//! The tool is a Python program (PyPI `schemathesis`, 4 or later). Without it the test is skipped, visibly.

use hypermesh_harness::{Node, skip};
use std::path::Path;
use std::process::Command;

/// Requests an operation and phase: enough to meet every keyword of a schema, few enough for every test run.
const EXAMPLES: &str = "25";
/// The same requests every time, so that a failure can be seen again.
const SEED: &str = "20260101";
/// One, because CPython 3.11's parser can't be used by two threads at once (python/cpython issue 106905).
const WORKERS: &str = "1";

/// Why it can't be used here; `None` when it can.
fn unusable() -> Option<String> {
    let output = match Command::new("schemathesis").arg("--version").output() {
        Ok(output) => output,
        Err(error) => {
            return Some(format!("schemathesis can't be run ({error}); `pip install schemathesis`"));
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major =
        text.split_whitespace().last().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    major
        .is_none_or(|major| major < 4)
        .then(|| format!("schemathesis 4 or later is needed, this is {text:?}"))
}

#[test]
fn schemathesis_finds_nothing() {
    finds_nothing("hypermesh");
}

#[test]
fn schemathesis_finds_nothing_in_trustchain() {
    finds_nothing("trustchain");
}

fn finds_nothing(service: &str) {
    if let Some(reason) = unusable() {
        skip!("{reason}");
    }
    let node = Node::start_with(&["--allow-unenforced"]);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = node.data_dir().parent().expect("a temporary folder").to_owned();
    let output = Command::new("schemathesis")
        // It leaves a cache in the folder that it runs in, which goes with the node's.
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("HYPERMESH_SCHEMATHESIS_HOOKS", here.join("schemathesis_hooks.py"))
        .arg("--config-file")
        .arg(here.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/openapi.json", node.service_url(service)))
        .args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED, "--workers", WORKERS])
        .args(["--header", &format!("Authorization: Bearer {}", node.token())])
        .output()
        .expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{said}");
    let health = node.client().health().expect("the node is there");
    assert_eq!(health.services.hypermesh, "healthy", "{health:?}");
    assert_eq!(health.services.trustchain, "healthy", "{health:?}");
}
