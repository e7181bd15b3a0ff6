//! `guest test`: the logic on this machine, then the component in the real jail, with limits.
//!
//! The second starts a node of this same binary, uploads the component, which vets and compiles it, and runs every case of
//! `tests/cases.toml` as an execution like any other: in a lease, in its own process, limited by the kernel. An HTTP component
//! is served, and a case asks it. What a case took is what the kernel counted. A validator ends with the upload: what runs it
//! is not part of a node yet.

mod cases;
mod check;

use super::Place;
use super::build::{build, cargo};
use super::private::Private;
use super::project::{Project, Source, Template};
use super::tools::{CARGO, NODE, PYTHON};
use crate::context::Context;
use crate::failure::Failure;
use crate::files::LocalFile;
use crate::human;
use crate::job::{package, vm};
use crate::output::Style;
use crate::table::Table;
use anyhow::Context as _;
use cases::{Case, Cases, Parsed, Request};
use clap::Args;
use hypermesh_client::Client;
use hypermesh_wire::MAX_SECONDS;
use hypermesh_wire::catalog::{CatalogApplication, UploadQuery};
use hypermesh_wire::executions::{ExecuteVm, VmExecution};
use hypermesh_wire::services::CreateService;
use serde::Serialize;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Seconds that the node may hold back an answer; asked again until the execution has ended.
const WAIT: u32 = 60;
/// Seconds that a case's lease may outlive its time limit: starting and ending take some.
const SLACK: u64 = 60;
/// How long a guest may go on after its answer until its CPU time is given up as unknown.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks whether it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The service that a case is asked of; the node has no other.
const SERVICE: &str = "case";
/// Longest time that a service may give a request, in seconds.
const MAX_REQUEST_SECONDS: u64 = 300;

/// `guest test …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only cases whose name holds this
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Without the tests of the logic on this machine
    #[arg(long)]
    no_native: bool,
    /// Where the kernel can't enforce limits, run without them
    #[arg(long)]
    allow_unenforced: bool,
}

/// How a case went.
#[derive(Debug, Serialize)]
struct Ran {
    case: String,
    passed: bool,
    /// Wall time, seconds, as the node saw it; of a request, as who asked saw it.
    time: Option<f64>,
    /// CPU time, seconds, as the kernel counted it.
    cpu_time: Option<f64>,
    /// Highest memory in bytes, as the kernel counted it; of a request it is not told.
    memory_peak: Option<u64>,
    /// What was not as expected.
    failures: Vec<String>,
}

/// Runs `guest test`.
pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let project = Project::find(arguments.place.project.as_deref())?;
    let cases = Cases::read(&project.root, project.world)?;
    if !arguments.no_native {
        native(&project)?;
    }
    let built = build(&project)?;
    let node = Private::start(arguments.allow_unenforced)?;
    let client = node.client();
    let mut file = LocalFile::open(&built.path)?;
    let about = UploadQuery {
        name: Some(package::name_of(&built.path)),
        version: Some(project.version.clone()),
        description: project.metadata.description.clone(),
    };
    let application = package::upload(client, &mut file, &about).context("the node refuses the component")?;
    crate::say!("{}", context.talk.faint(&format!("admitted: {} {}", application.name, application.version)));
    if project.world == Template::Validator {
        return context.output.show(&Vec::<Ran>::new(), |_, _| String::new());
    }
    let wanted = |case: &&Case| arguments.case.as_ref().is_none_or(|text| case.name.contains(text.as_str()));
    let mut all = Vec::new();
    for case in cases.all.iter().filter(wanted) {
        let runner = Runner { client, project: &project, application: &application, cases: &cases };
        all.push(runner.run(case).with_context(|| format!("case `{}`", case.name))?);
    }
    context.output.show(&all, |all, style| table(all, style))?;
    let failed = all.iter().filter(|ran| !ran.passed).count();
    let said = format!("{} of {} cases passed", all.len() - failed, all.len());
    if failed > 0 {
        crate::say!("{}", context.talk.error(&said));
        return Err(Failure::EXPLAINED.into());
    }
    crate::say!("{}", context.talk.good(&said));
    Ok(())
}

/// The tests of the language's own tool.
fn native(project: &Project) -> anyhow::Result<()> {
    let tests = project.root.join("tests");
    match &project.source {
        Source::Rust { .. } => CARGO.talk(cargo(&project.root).arg("test")),
        Source::Python { .. } if tests.is_dir() => {
            let mut python = Command::new(PYTHON.name);
            PYTHON.talk(python.current_dir(&project.root).args(["-m", "unittest", "discover", "tests"]))
        }
        Source::Javascript { .. } if tests.is_dir() => {
            let mut node = Command::new(NODE.name);
            NODE.talk(node.current_dir(&project.root).args(["--test", "tests/"]))
        }
        Source::Python { .. } | Source::Javascript { .. } | Source::C { .. } => Ok(()),
    }
}

/// What a case needs.
struct Runner<'a> {
    client: &'a Client,
    project: &'a Project,
    application: &'a CatalogApplication,
    cases: &'a Cases,
}

impl Runner<'_> {
    fn run(&self, case: &Case) -> anyhow::Result<Ran> {
        let limits = case.limits.over(&self.cases.limits)?;
        let wanted = vm::Wanted { cpu: limits.cpu, memory: limits.memory, seconds: limits.timeout };
        let vm = vm::ensure(self.client, &self.application.id, &wanted).context("installing the package")?;
        match &case.request {
            Some(request) => self.ask(case, request, vm.id, limits.timeout),
            None => self.execute(case, vm.id, &limits),
        }
    }

    /// Serves an HTTP component for one request.
    fn ask(&self, case: &Case, request: &Request, vm: String, seconds: u64) -> anyhow::Result<Ran> {
        let timeout = seconds.min(MAX_REQUEST_SECONDS);
        let wanted = CreateService {
            timeout,
            concurrency: 1,
            allocation_duration: timeout + SLACK,
            ..CreateService::new(SERVICE, vm)
        };
        let service = self.client.serve(&wanted)?;
        let body = request.body.as_ref().map(|body| body.bytes(&self.project.root)).transpose()?;
        let method = request.method.as_deref().unwrap_or("GET");
        let begun = Instant::now();
        let answer =
            self.client.ask_guest(&service, method, &request.path, &request.headers, body.as_deref())?;
        let time = begun.elapsed().as_secs_f64();
        let failures =
            check::answer_failures(self.client, &case.expect, &service.name, &answer, &self.project.root)?;
        let cpu_time = self.counted(&service.name)?;
        self.client.remove_service(&service.name)?;
        Ok(Ran {
            case: case.name.clone(),
            passed: failures.is_empty(),
            time: Some(time),
            cpu_time,
            memory_peak: None,
            failures,
        })
    }

    /// What the kernel counted of the request, once the guest that answered it is gone: it may go on after its answer.
    fn counted(&self, service: &str) -> anyhow::Result<Option<f64>> {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let usage = self.client.service(service)?.usage;
            if usage.requests > 0 && usage.running == 0 {
                return Ok(usage.cpu_time);
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn execute(&self, case: &Case, vm: String, limits: &Parsed) -> anyhow::Result<Ran> {
        let folder = TempDir::new().context("no temporary folder")?;
        let inputs = case.grant(self.client, &self.project.root, folder.path())?;
        let operation = match &case.operation {
            Some(operation) => operation.clone(),
            None => package::only_operation(self.application)?,
        };
        let request = ExecuteVm {
            parameters: case.parameters(),
            timeout: limits.timeout,
            cpu_time_limit: limits.cpu_time,
            requires_consensus: false,
            allocation_duration: (limits.timeout + SLACK).min(MAX_SECONDS),
            inputs,
            stdin: case.stdin(self.client, &self.project.root, folder.path())?,
            ..ExecuteVm::new(vm, operation)
        };
        let mut execution = self.client.execute(&request, WAIT)?;
        while !execution.status.is_final() {
            execution = self.client.execution(&execution.id, WAIT)?;
        }
        let failures = check::failures(self.client, &case.expect, &execution, &self.project.root)?;
        Ok(ran(case, &execution, failures))
    }
}

fn ran(case: &Case, execution: &VmExecution, failures: Vec<String>) -> Ran {
    let times = &execution.execution;
    let time =
        times.start_time.zip(times.end_time).map(|(start, end)| end.duration_since(start).as_secs_f64());
    Ran {
        case: case.name.clone(),
        passed: failures.is_empty(),
        time,
        cpu_time: times.resource_usage.cpu_time,
        memory_peak: times.resource_usage.memory_peak,
        failures,
    }
}

fn table(all: &[Ran], style: Style) -> String {
    let mut table = Table::new(&["CASE", "RESULT", ">TIME", ">CPU", ">PEAK"]);
    for ran in all {
        table.row([
            ran.case.clone(),
            if ran.passed { "passed" } else { "FAILED" }.to_owned(),
            human::seconds(ran.time),
            human::seconds(ran.cpu_time),
            human::bytes(ran.memory_peak),
        ]);
    }
    let mut text = table.render(style);
    for ran in all {
        for failure in &ran.failures {
            text.push_str(&format!("{}: {}\n", human::printable(&ran.case), human::printable_lines(failure)));
        }
    }
    text
}
