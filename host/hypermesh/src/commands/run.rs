//! `run`: a component from a file or the catalog, on given files, with limits; its result on stdout. With `--array`, over
//! many parameters.
//!
//! Uploads what the node lacks, follows the log, fetches the outputs. A guest that ends without a result is told with
//! its cause and exits 1. Interrupting this command doesn't end the execution: it says how to. With `--http` the component
//! is served instead (`http`).

mod flow;
mod http;
pub(crate) mod terms;

use crate::commands::{array, exec};
use crate::context::Context;
use crate::failure::Failure;
use crate::files::LocalFile;
use crate::human;
use crate::job::{self, follow, package, summary, vm};
use crate::output::{Format, print};
use crate::parse;
use anyhow::{Context as _, bail};
use clap::Args;
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::MAX_SECONDS;
use hypermesh_wire::catalog::{CatalogApplication, UploadQuery};
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus, Input, VmExecution};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use terms::Terms;

/// Seconds that an allocation made for an execution may outlive its time limit: starting and ending take some.
const SLACK: u64 = 60;

/// The type of a package that is a `wasi:cli/command`.
pub(crate) const COMMAND: &str = "command";

/// `run …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    workload: Workload,
    /// Fetch the files that the guest writes into this folder
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    #[command(flatten)]
    fan: array::Fan,
    #[command(flatten)]
    serving: http::Serving,
}

/// What is run, on what and with which limits; now or later.
#[derive(Debug, Args)]
pub(crate) struct Workload {
    /// A component (a path, or *.wasm), or the name or id of a package in the catalog
    #[arg(value_name = "FILE.wasm|NAME")]
    component: String,
    /// What to run [default: the package's operation, if it has only one]
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// A parameter: its value is JSON if it reads as JSON, else text
    #[arg(long = "param", value_parser = parse::parameter, value_name = "NAME=VALUE", conflicts_with = "params")]
    parameters: Vec<(String, Value)>,
    /// All parameters as one JSON object
    #[arg(long, value_parser = parse::object, value_name = "JSON")]
    params: Option<Map<String, Value>>,
    /// A file to grant, under its name; may be given often
    #[arg(long = "input", value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// Run in this lease, which must hold cpu and memory [default: one of its own]
    #[arg(long, value_name = "ID", conflicts_with_all = ["cpu", "memory"])]
    alloc: Option<String>,
    /// CPU share, percent of the whole pool
    #[arg(long, value_parser = parse::percent, value_name = "PERCENT")]
    cpu: Option<f64>,
    /// Memory, e.g. 256MiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Longest wall time: seconds, or with s, m, h or d
    #[arg(long, default_value = "5m", value_parser = parse::seconds, value_name = "TIME")]
    timeout: u64,
    /// Most CPU time: seconds, or with s, m, h or d [default: no limit but the wall time]
    #[arg(long, value_parser = parse::seconds, value_name = "TIME")]
    cpu_time: Option<u64>,
    #[command(flatten)]
    terms: Terms,
}

impl Workload {
    /// Brings to the node what it lacks, and gives the request to make: a vm with the limits, the inputs.
    ///
    /// # Errors
    /// For a component or file that can't be read; what the node says.
    pub(crate) fn prepare(&mut self, client: &Client) -> anyhow::Result<(CatalogApplication, ExecuteVm)> {
        let mut files = open_inputs(&self.inputs)?;
        let application = application(client, &self.component)?;
        let operation = match self.operation.take() {
            Some(operation) => operation,
            None => package::only_operation(&application)?,
        };
        let wanted = wanted(client, self)?;
        let vm = vm::ensure(client, &application.id, &wanted).context("installing the package")?;
        let inputs = files.iter_mut().map(|file| job::grant(client, file)).collect::<anyhow::Result<_>>()?;
        let mut request = request(vm.id, operation, inputs, self);
        self.terms.apply(client, &mut request)?;
        if application.application_type == COMMAND {
            request.parameters = self.terms.command_parameters();
        } else {
            self.terms.refuse_for_job()?;
        }
        Ok((application, request))
    }
}

/// Runs `run …`.
pub(crate) fn run(context: &Context, mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.serving.http {
        return http::run(context, arguments);
    }
    let client = context.client()?;
    // Before anything is sent: a file that is none must not leave half of it behind.
    let items = arguments.fan.items()?;
    let (application, request) = arguments.workload.prepare(&client)?;
    if let Some(items) = items {
        return array::run_over(context, &client, &application, arguments.fan.request(request, items));
    }
    let is_command = application.application_type == COMMAND;
    let started = client.execute(&request, 0)?;
    let talk = context.talk;
    crate::say!("{}", talk.faint(&format!("{} {}: {}", application.name, application.version, started.id)));
    let followed = if is_command {
        flow::command(&client, &started.id, arguments.workload.terms.streams_stdin(), talk)
    } else {
        follow::follow(&client, &started.id, talk)
    };
    let execution =
        followed.with_context(|| format!("{} may still run; see `hypermesh exec get {0}`", started.id))?;
    finish(context, &client, &execution, arguments.output_dir.as_deref(), is_command)
}

/// The files to grant. Guests see names only, so two files of one name can't be told apart.
fn open_inputs(paths: &[PathBuf]) -> anyhow::Result<Vec<LocalFile>> {
    let files = paths.iter().map(|path| LocalFile::open(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut names = BTreeSet::new();
    for file in &files {
        if !names.insert(file.name()) {
            return Err(Failure::Usage(format!("two inputs have the name {}", file.name())).into());
        }
    }
    Ok(files)
}

fn application(client: &Client, component: &str) -> anyhow::Result<CatalogApplication> {
    if !package::is_file(component) {
        return package::find(client, component);
    }
    let mut file = LocalFile::open(Path::new(component))?;
    let about = UploadQuery { name: Some(package::name_of(&file.path)), ..UploadQuery::default() };
    let (application, is_new) = package::ensure(client, &mut file, about)?;
    if is_new {
        crate::say!("uploaded {} {}", application.name, application.version);
    }
    Ok(application)
}

/// A vm's limits cap what a lease gives, so in a given lease the vm's memory is the lease's.
fn wanted(client: &Client, arguments: &Workload) -> anyhow::Result<vm::Wanted> {
    let memory = match &arguments.alloc {
        None => arguments.memory,
        Some(id) => client.allocation(id)?.resources.memory_bytes.map(Bytes),
    };
    Ok(vm::Wanted { cpu: arguments.cpu, memory, seconds: arguments.timeout })
}

fn request(
    vm_asset_id: String,
    operation: String,
    inputs: Vec<Input>,
    arguments: &mut Workload,
) -> ExecuteVm {
    let parameters = match arguments.params.take() {
        Some(members) => members,
        None => std::mem::take(&mut arguments.parameters).into_iter().collect(),
    };
    ExecuteVm {
        parameters,
        timeout: arguments.timeout,
        cpu_time_limit: arguments.cpu_time,
        allocation_duration: (arguments.timeout + SLACK).min(MAX_SECONDS),
        allocation_id: arguments.alloc.take(),
        inputs,
        ..ExecuteVm::new(vm_asset_id, operation)
    }
}

fn finish(
    context: &Context,
    client: &Client,
    execution: &VmExecution,
    output_dir: Option<&Path>,
    is_command: bool,
) -> anyhow::Result<()> {
    let talk = context.talk;
    if execution.dropped_log_lines > 0 {
        crate::say!("{}", talk.warning(&format!("{} log lines were dropped", execution.dropped_log_lines)));
    }
    crate::say!("{}", summary::usage(execution, talk));
    if let Some(cause) = summary::cause(execution) {
        crate::say!("{}", talk.error(&cause));
    }
    match output_dir {
        Some(folder) => fetch(client, execution, folder)?,
        None => {
            for output in &execution.outputs {
                let name = human::shell_word(Path::new(&output.name));
                crate::say!(
                    "{}",
                    talk.faint(&format!("output: hypermesh exec output {} {name}", execution.id))
                );
            }
        }
    }
    match (context.output.format, &execution.execution.output) {
        // A command's standard output is its result.
        (Format::Table, Some(_)) if is_command => {}
        (Format::Table, Some(result)) => print(&(exec::pretty(result) + "\n"))?,
        (Format::Table, None) => {}
        (Format::Json | Format::Yaml, _) => context.output.show(execution, |_, _| String::new())?,
    }
    match execution.status {
        ExecutionStatus::Completed => Ok(()),
        ExecutionStatus::Failed if is_command => Err(Failure::Quiet(summary::exit_code(execution)).into()),
        ExecutionStatus::Failed
        | ExecutionStatus::Cancelled
        | ExecutionStatus::Queued
        | ExecutionStatus::Starting
        | ExecutionStatus::Running => Err(Failure::EXPLAINED.into()),
    }
}

fn fetch(client: &Client, execution: &VmExecution, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    for output in &execution.outputs {
        // The node vets names; this program's own file system is its own to guard.
        if Path::new(&output.name).file_name() != Some(output.name.as_ref()) {
            bail!("the node offers an output of the name {:?}, which is no file name", output.name);
        }
        let path = folder.join(&output.name);
        exec::download(client, &execution.id, &output.name, &path)?;
        crate::say!("{}: {}", path.display(), human::bytes(Some(output.size)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;
    use clap::Parser;
    use serde_json::json;

    fn parse(line: &str) -> Workload {
        let line = std::iter::once("hypermesh").chain(line.split_whitespace());
        let crate::cli::Command::Run(arguments) = crate::cli::Cli::try_parse_from(line).unwrap().command
        else {
            panic!("not the command run");
        };
        arguments.workload
    }

    #[test]
    fn arguments_become_the_request() {
        let mut arguments = parse("run x --param size=3 --param name=abc --timeout 2m --alloc l1");
        let request = request("vm".into(), "op".into(), vec![], &mut arguments);
        assert_eq!(
            serde_json::to_value(request).unwrap(),
            json!({
                "vm_asset_id": "vm", "operation": "op", "parameters": { "size": 3, "name": "abc" }, "timeout": 120,
                "requires_consensus": true, "allocation_duration": 180, "allocation_id": "l1",
            })
        );
    }

    #[test]
    fn two_inputs_of_one_name_are_wrong_usage() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = [a.path().join("same"), b.path().join("same")];
        for path in &paths {
            std::fs::write(path, "x").unwrap();
        }
        assert_eq!(exit_code(&open_inputs(&paths).unwrap_err()), 2);
        assert_eq!(open_inputs(&paths[..1]).unwrap().len(), 1);
    }
}
