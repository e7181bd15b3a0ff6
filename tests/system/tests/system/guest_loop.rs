//! The author's loop, as an author walks it: a project is written, built, tested in the jail, run, looked at, published.
//!
//! Guests in other languages take compilers of theirs, and bundle interpreters that take half a minute to compile; a test
//! that lacks one says so. Rust projects share a target folder, so that the SDK's dependencies are built once.

use hypermesh_harness::{Node, has_tool, program, repository, require_cgroups, skip};
use hypermesh_wire::catalog::CatalogApplication;
use hypermesh_wire::executions::{ExecutionStatus, VmExecution};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What the outer build was told, and isn't for guests.
const NOT_FOR_GUESTS: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"];

/// A project in a temporary folder.
struct Project {
    _folder: TempDir,
    root: PathBuf,
    _turn: Option<File>,
}

impl Project {
    #[track_caller]
    fn new(template: &str, language: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("my-guest");
        let mut command = program();
        command.args(["guest", "new", "--template", template, "--language", language]).arg(&root);
        succeeded(&command.output().unwrap());
        Self { _folder: folder, root, _turn: (language == "rust").then(turn) }
    }

    /// `hypermesh guest …` in it.
    #[track_caller]
    fn guest(&self, arguments: &[&str]) -> Output {
        self.run(program(), arguments)
    }

    /// The same, talking to a node.
    #[track_caller]
    fn guest_on(&self, node: &Node, arguments: &[&str]) -> Output {
        self.run(node.command(&[]), arguments)
    }

    fn run(&self, mut command: Command, arguments: &[&str]) -> Output {
        command.current_dir(&self.root).stdin(Stdio::null()).arg("guest").args(arguments);
        for name in NOT_FOR_GUESTS {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"));
        command.output().unwrap()
    }

    /// What `guest inspect` says of what `guest build` built.
    #[track_caller]
    fn built(&self) -> Value {
        let built: Value = data(&self.guest(&["build", "-o", "json"]));
        let inspected: Value = data(&self.guest(&["inspect", built["path"].as_str().unwrap(), "-o", "json"]));
        assert_eq!((&inspected["digest"], &inspected["size"]), (&built["digest"], &built["size"]));
        assert_eq!((&inspected["name"], &inspected["version"]), (&"my-guest".into(), &"0.1.0".into()));
        assert_eq!(inspected["world"], built["world"]);
        inspected
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.root.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

/// One project in Rust at a time: they have one name, and are built in one folder, so that the SDK is compiled once.
fn turn() -> File {
    let file = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests.lock")).unwrap();
    file.lock().unwrap();
    file
}

#[track_caller]
fn succeeded(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", text(output));
}

#[track_caller]
fn data<T: DeserializeOwned>(output: &Output) -> T {
    succeeded(output);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Why Rust can't be compiled for guests here.
fn no_target() -> Option<&'static str> {
    let mut rustc = Command::new("rustc");
    let output = rustc.args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output().ok()?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!Path::new(&folder).is_dir()).then_some("the target wasm32-wasip2 is not installed")
}

/// The names of what a component imports.
fn imports(inspected: &Value) -> Vec<&str> {
    inspected["imports"].as_array().unwrap().iter().map(|import| import["import"].as_str().unwrap()).collect()
}

#[track_caller]
fn all_passed(output: &Output, cases: usize) {
    let ran: Vec<Value> = data(output);
    assert_eq!(ran.len(), cases, "{}", text(output));
    for case in ran {
        assert_eq!(case["passed"], true, "{case}");
        assert!(case["cpu_time"].as_f64().is_some_and(|seconds| seconds > 0.0), "the kernel counted: {case}");
    }
}

#[test]
fn a_new_job_is_built_tested_run_inspected_and_published() {
    if let Some(reason) = no_target() {
        skip!("{reason}");
    }
    let node = Node::start();
    require_cgroups!(node);
    let project = Project::new("job", "rust");
    all_passed(&project.guest(&["test", "-o", "json"]), 2);

    let readme = project.root.join("README.md");
    let execution: VmExecution =
        data(&project.guest_on(&node, &["run", "--input", readme.to_str().unwrap(), "-o", "json"]));
    assert_eq!(execution.status, ExecutionStatus::Completed);
    let result: Value = serde_json::from_str(&execution.execution.output.unwrap()).unwrap();
    assert_eq!(result[0]["bytes"], fs::metadata(&readme).unwrap().len());

    let inspected = project.built();
    assert_eq!(inspected["sdk"], concat!("hypermesh-guest-sdk ", env!("CARGO_PKG_VERSION")));
    assert_eq!((&inspected["admitted"], &inspected["world"]), (&true.into(), &"job".into()));
    assert!(imports(&inspected).contains(&"hypermesh:guest/blobs@0.1.0"));

    let publish = ["publish", "--version", "1.2.3", "-o", "json"];
    let published: CatalogApplication = data(&project.guest_on(&node, &publish));
    assert_eq!((published.name.as_str(), published.version.as_str()), ("my-guest", "1.2.3"));
    let again: CatalogApplication = data(&project.guest_on(&node, &publish));
    assert_eq!(again.id, published.id, "twice is not an error");
    let file = inspected["file"].as_str().unwrap();
    let against = project.guest_on(&node, &["inspect", file, "--against", "my-guest", "-o", "json"]);
    let difference = data::<Value>(&against)["difference"].clone();
    assert_eq!(
        (&difference["added"], &difference["removed"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
}

#[test]
fn a_case_that_is_not_as_expected_fails_and_says_why() {
    if let Some(reason) = no_target() {
        skip!("{reason}");
    }
    require_cgroups!(Node::start());
    let project = Project::new("job", "rust");
    project.change("tests/cases.toml", "words = 6", "words = 7");
    project.change("tests/cases.toml", "\"guest_error\"", "\"wall_time\"");
    let tested = project.guest(&["test", "--no-native"]);
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested));
    for said in ["FAILED", "expected the result", "expected to end with wall_time", "0 of 2 cases passed"] {
        assert!(text(&tested).contains(said), "{said}: {}", text(&tested));
    }
    let one = project.guest(&["test", "--no-native", "--case", "poem"]);
    assert!(text(&one).contains("0 of 1 cases passed"), "{}", text(&one));
}

#[test]
fn a_validator_imports_nothing_and_may_draw_on_nothing() {
    if let Some(reason) = no_target() {
        skip!("{reason}");
    }
    let node = Node::start();
    let project = Project::new("validator", "rust");
    let inspected = project.built();
    assert_eq!(imports(&inspected), Vec::<&str>::new());
    assert_eq!((&inspected["admitted"], &inspected["world"]), (&true.into(), &"validator".into()));
    // The node compiles it, which proves its code and its types.
    data::<CatalogApplication>(&project.guest_on(&node, &["publish", "-o", "json"]));

    project.change("src/lib.rs", "terms: Vec<i64>", "terms: std::collections::HashMap<String, i64>");
    project.change("src/lib.rs", "terms.iter()", "terms.values()");
    let refused = project.guest(&["build"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    let said = text(&refused);
    assert!(said.contains("wasi:random/") && said.contains("use a BTreeMap"), "{said}");
}

#[test]
fn an_http_component_is_built_known_by_its_exports_and_asked_in_the_jail() {
    if let Some(reason) = no_target() {
        skip!("{reason}");
    }
    let project = Project::new("http", "rust");
    let http = project.built();
    assert_eq!(http["world"], "http");
    assert!(imports(&http).iter().any(|import| import.starts_with("wasi:http/types@0.2.")), "{http}");
    require_cgroups!(Node::start());
    all_passed(&project.guest(&["test", "--no-native", "-o", "json"]), 2);
    project.change("tests/cases.toml", "hello ann", "hello bob");
    project.change("tests/cases.toml", "405", "404");
    let tested = project.guest(&["test", "--no-native"]);
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested));
    for said in ["body: expected", "hello bob", "expected the status 404, got 405", "0 of 2 cases passed"] {
        assert!(text(&tested).contains(said), "{said}: {}", text(&tested));
    }
}

#[test]
fn a_command_is_built_known_by_its_exports_and_given_its_standard_input() {
    if let Some(reason) = no_target() {
        skip!("{reason}");
    }
    let project = Project::new("command", "rust");
    let command = project.built();
    assert_eq!(command["world"], "command");
    assert!(imports(&command).iter().all(|import| import.starts_with("wasi:")), "{command}");
    require_cgroups!(Node::start());
    all_passed(&project.guest(&["test", "--no-native", "-o", "json"]), 2);
}

#[test]
fn a_command_in_c_is_built_from_debian_s_packages() {
    if !has_tool("clang") || !Path::new("/usr/lib/wasm32-wasi/libc.a").exists() {
        skip!("clang with wasi-libc is not installed");
    }
    let project = Project::new("command", "c");
    let inspected = project.built();
    assert_eq!(inspected["world"], "command");
    let preview_2 = |import: &str| import.starts_with("wasi:") && import.contains("@0.2.");
    assert!(imports(&inspected).into_iter().all(preview_2), "the adapter stands between: {inspected}");
    require_cgroups!(Node::start());
    all_passed(&project.guest(&["test", "-o", "json"]), 1);
}

#[test]
fn a_job_in_python_runs_in_the_jail() {
    if !has_tool("componentize-py") {
        skip!("componentize-py is not installed");
    }
    require_cgroups!(Node::start());
    let project = Project::new("job", "python");
    all_passed(&project.guest(&["test", "-o", "json"]), 2);
    let inspected = project.built();
    assert_eq!((&inspected["admitted"], imports(&inspected).len()), (&true.into(), 3), "{inspected}");
}

#[test]
fn a_job_in_javascript_runs_in_the_jail() {
    let modules = repository().join("examples/word-count-javascript/node_modules");
    if !has_tool("node") || !modules.is_dir() {
        skip!("`npm ci` was not run in examples/word-count-javascript");
    }
    require_cgroups!(Node::start());
    let project = Project::new("job", "javascript");
    std::os::unix::fs::symlink(modules, project.root.join("node_modules")).unwrap();
    all_passed(&project.guest(&["test", "-o", "json"]), 2);
}

#[test]
fn what_is_missing_is_said_with_how_to_get_it() {
    let project = Project::new("job", "javascript");
    let refused = project.guest(&["build"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("npm ci"), "{}", text(&refused));
    let python = Project::new("job", "python");
    let mut command = program();
    command.current_dir(&python.root).env("PATH", "/nowhere").args(["guest", "build"]);
    let refused = command.output().unwrap();
    assert!(text(&refused).contains("pip install -r requirements.txt"), "{}", text(&refused));
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = program();
    let refused = command.current_dir(nowhere.path()).args(["guest", "build"]).output().unwrap();
    assert!(text(&refused).contains("hypermesh guest new"), "{}", text(&refused));
}
