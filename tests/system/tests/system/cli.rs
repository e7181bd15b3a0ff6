//! The command line: data on stdout, talk on stderr, exit codes that scripts can rely on.

use hypermesh_artifacts::{HASH_FILES, HOSTILE};
use hypermesh_harness::{Node, program, repository, require_cgroups, skip};
use hypermesh_wire::allocations::{Allocation, AllocationStatus};
use hypermesh_wire::executions::{ExecutionStatus, VmExecution};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

#[track_caller]
fn data<T: DeserializeOwned>(output: &Output) -> T {
    exits(output, 0);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_package_of_the_catalog_runs_by_its_name() {
    let node = Node::start();
    require_cgroups!(node);
    node.add(&HASH_FILES);
    let file = repository().join("LICENSE");
    let arguments =
        ["run", "hash-files", "--input", file.to_str().unwrap(), "--memory", "128MiB", "-o", "json"];
    let execution: VmExecution = data(&node.cli(&arguments));
    assert_eq!(execution.status, ExecutionStatus::Completed);
    let result: Value = serde_json::from_str(&execution.execution.output.unwrap()).unwrap();
    let digest: String =
        Sha256::digest(fs::read(&file).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(result["files"][0]["sha256"], digest);
    assert!(execution.execution.resource_usage.cpu_time.unwrap() > 0.0);
    let shown = node.cli(&arguments[..4]);
    exits(&shown, 0);
    assert!(text(&shown.stdout).contains(&digest), "the result is data: {shown:?}");
    assert!(text(&shown.stderr).contains("completed"), "the rest is talk: {shown:?}");
}

#[test]
fn a_component_runs_from_its_file_as_the_example_says() {
    let Some(component) = build_word_count() else { skip!("the target wasm32-wasip2 is not installed") };
    let node = Node::start();
    require_cgroups!(node);
    let file = repository().join("LICENSE");
    let arguments = ["run", component.to_str().unwrap(), "--input", file.to_str().unwrap()];
    let ran = node.cli(&arguments);
    exits(&ran, 0);
    let counted: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let wc = Command::new("wc").args(["-l", "-w", "-c"]).arg(&file).output().unwrap();
    let numbers: Vec<u64> =
        text(&wc.stdout).split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let said = ["lines", "words", "bytes"].map(|name| counted[0][name].as_u64().unwrap());
    assert_eq!(said[..], numbers, "as wc counts");
    let again = node.cli(&arguments);
    exits(&again, 0);
    assert!(!text(&again.stderr).contains("uploaded"), "it is there already: {again:?}");
}

/// Builds the example as its README says, but elsewhere: with this repository's versions, and nothing left in its folder.
fn build_word_count() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("word-count");
    let example = repository().join("examples/word-count");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = fs::read_to_string(example.join("Cargo.toml")).unwrap();
    let sdk = repository().join("guest-sdk");
    fs::write(folder.join("Cargo.toml"), manifest.replace("../../guest-sdk", sdk.to_str().unwrap())).unwrap();
    fs::copy(example.join("src/lib.rs"), folder.join("src/lib.rs")).unwrap();
    fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(&folder).args([
        "build",
        "--release",
        "--target",
        "wasm32-wasip2",
        "--target-dir",
        "target",
    ]);
    let built = build.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR").output().unwrap();
    let said = text(&built.stderr);
    if said.contains("target may not be installed") {
        return None;
    }
    assert!(built.status.success(), "{said}");
    Some(folder.join("target/wasm32-wasip2/release/word_count.wasm"))
}

#[test]
fn a_lease_is_made_used_and_released() {
    let node = Node::start();
    require_cgroups!(node);
    let created =
        node.cli(&["alloc", "create", "--cpu", "25", "--memory", "64MiB", "--duration", "10m", "-o", "json"]);
    let lease: Allocation = data(&created);
    assert_eq!((lease.status, lease.enforced, lease.duration), (AllocationStatus::Active, true, 600));
    let inside = node.cli(&["alloc", "exec", &lease.id, "--", "cat", "/proc/self/cgroup"]);
    exits(&inside, 0);
    assert!(text(&inside.stdout).contains(&lease.id), "{inside:?}");
    exits(&node.cli(&["alloc", "exec", &lease.id, "--", "sh", "-c", "exit 42"]), 42);
    exits(&node.cli(&["alloc", "exec", &lease.id, "--", "no-such-program"]), 127);
    let table = node.cli(&["alloc", "list"]);
    exits(&table, 0);
    assert!(text(&table.stdout).contains(&lease.id) && text(&table.stdout).contains("active"), "{table:?}");
    exits(&node.cli(&["alloc", "enforcement", &lease.id]), 0);
    exits(&node.cli(&["alloc", "release", &lease.id]), 0);
    let after: Allocation = data(&node.cli(&["alloc", "get", &lease.id, "-o", "json"]));
    assert_eq!(after.status, AllocationStatus::Completed);
    assert!(node.groups().is_empty());
    exits(&node.cli(&["alloc", "release", &lease.id]), 3);
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let mut node = Node::start();
    node.add(&HOSTILE);
    exits(&node.cli(&["status"]), 0);
    if node.unenforced().is_none() {
        let trapped = node.cli(&["run", "hostile", "--operation", "trap"]);
        exits(&trapped, 1);
        assert!(text(&trapped.stderr).contains("trap") && trapped.stdout.is_empty(), "{trapped:?}");
    }
    exits(&node.cli(&["alloc", "create"]), 2);
    exits(&node.cli(&["no-such-command"]), 2);
    exits(&node.cli(&["run", "no-such-package"]), 2);
    let refused = node.cli(&["alloc", "create", "--memory", "900TiB"]);
    exits(&refused, 3);
    assert!(
        text(&refused.stderr).contains("900000") || text(&refused.stderr).contains("989"),
        "the number: {refused:?}"
    );
    exits(&node.cli(&["asset", "get", "no-such-asset"]), 3);
    let mut stranger = node.command(&["alloc", "create", "--cpu", "1"]);
    exits(&stranger.env("HYPERMESH_TOKEN", "0000").output().unwrap(), 4);
    // Nothing listens on port 1.
    exits(&node.cli(&["--server", "http://127.0.0.1:1", "status"]), 5);
    exits(&node.cli(&["--server", "nonsense", "status"]), 64);
    exits(&node.cli(&["serve", "--config", "/no/such/file.toml"]), 64);
    let config = node.data_dir().join("hypermesh.toml");
    fs::write(&config, "no_such_key = 1").unwrap();
    let unknown = node.cli(&["config", "show"]);
    exits(&unknown, 64);
    assert!(text(&unknown.stderr).contains("no_such_key"), "{unknown:?}");
    fs::remove_file(&config).unwrap();
    node.kill9();
    let gone = node.cli(&["status"]);
    exits(&gone, 5);
    assert!(text(&gone.stderr).contains("hypermesh serve"), "it says what to do: {gone:?}");
}

#[test]
fn status_doctor_assets_and_completions_are_data() {
    let node = Node::start();
    let status: Value = data(&node.cli(&["status", "-o", "json"]));
    assert_eq!(status["health"]["server_id"], node.id());
    assert_eq!(status["server"], node.url());
    let assets: Vec<Value> = data(&node.cli(&["asset", "list", "-o", "json"]));
    assert!(assets.iter().any(|asset| asset["type"] == "cpu"));
    let yaml = node.cli(&["asset", "get", "cpu", "-o", "yaml"]);
    exits(&yaml, 0);
    assert!(text(&yaml.stdout).contains("type: cpu"), "{yaml:?}");
    let findings: Vec<Value> = data(&node.cli(&["doctor", "-o", "json"]));
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding["level"].is_string()),
        "{findings:?}"
    );
    let answer = node.cli(&["api", "GET", "/health"]);
    exits(&answer, 0);
    assert_eq!(serde_json::from_slice::<Value>(&answer.stdout).unwrap()["server_id"], node.id());
    let script = node.cli(&["completions", "bash"]);
    exits(&script, 0);
    let file = node.data_dir().join("completions.bash");
    fs::write(&file, &script.stdout).unwrap();
    let sourced =
        Command::new("bash").args(["-euc", "source \"$0\" && complete -p hypermesh"]).arg(&file).output();
    exits(&sourced.unwrap(), 0);
    let plain = node.command(&["status", "--color", "auto"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!plain.stdout.contains(&0x1b) && !plain.stderr.contains(&0x1b), "{plain:?}");
}

#[test]
fn the_demo_runs_a_real_job_and_leaves_its_record() {
    let probe = Node::start();
    require_cgroups!(probe);
    let folder = tempfile::tempdir().unwrap();
    let mut demo = program();
    demo.current_dir(repository()).args(["demo", "--once", "--data-dir"]).arg(folder.path().join("data"));
    for service in ["trustchain", "stoq", "hypermesh", "dns"] {
        demo.args([&format!("--listen-{service}"), "127.0.0.1:0"]);
    }
    let told = demo.output().unwrap();
    exits(&told, 0);
    let lock = fs::read(repository().join("Cargo.lock")).unwrap();
    let digest: String = Sha256::digest(lock).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(text(&told.stdout).contains(&digest), "{told:?}");

    let node = Node::start_in(folder, &[]);
    let [execution] = &node.client().executions(&Default::default()).unwrap()[..] else {
        panic!("one execution")
    };
    assert_eq!(execution.status, ExecutionStatus::Completed);
    assert!(text(&told.stdout).contains(node.id()), "it named its node");
    let leases = node.client().allocations(&Default::default()).unwrap();
    assert!(leases.iter().all(|lease| lease.status == AllocationStatus::Completed), "{leases:?}");
    assert!(node.groups().is_empty());
}
