//! The demo's story: measure, lease, run, count, release, each step over REST and each shown as the node answered it.
//!
//! Nothing here is said that isn't in an answer; the job's result stands beside the command that checks it, and is
//! checked here too. At most 80 columns, but for what must be copied whole.

use crate::commands::{asset, exec};
use crate::files::LocalFile;
use crate::human;
use crate::job::{self, follow, package, summary, vm};
use crate::output::{Style, print};
use anyhow::{Context, bail};
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::allocations::{Allocation, CreateAllocation, EnforcementState, Requirements};
use hypermesh_wire::assets::{Asset, AssetQuery, AssetType};
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus, Input, VmExecution};
use serde_json::Value;
use std::path::PathBuf;

/// The sample job.
const PACKAGE: &str = "hash-files";
/// Share of the CPU pool that is leased.
const CPU_PERCENT: f64 = 25.0;
/// Memory that is leased.
const MEMORY: Bytes = Bytes::mib(256);
/// Longest the lease may live, should the demo be killed: seconds.
const LEASE_SECONDS: u64 = 600;
/// Longest the job may take, seconds.
const JOB_SECONDS: u64 = 300;
/// Width of a line.
const COLUMNS: usize = 80;

/// Who tells it.
pub(crate) struct Story {
    pub(crate) client: Client,
    /// Of the story itself, on stdout.
    pub(crate) style: Style,
    /// Of the guest's log, on stderr.
    pub(crate) talk: Style,
    pub(crate) token_file: PathBuf,
}

impl Story {
    /// Tells it with `file` as what the job works on.
    ///
    /// # Errors
    /// At the first step that doesn't do what it should. The lease is released whatever happens.
    pub(crate) fn tell(&self, mut file: LocalFile) -> anyhow::Result<()> {
        let health = self.client.health()?;
        self.line(&self.style.strong(&format!("HyperMesh {}", health.version)))?;
        self.line(&format!("node {}", health.server_id))?;

        let assets = self.measured()?;
        let cpu =
            assets.iter().find(|asset| asset.asset_type == AssetType::Cpu).context("no cpu was measured")?;
        let lease = self.lease(cpu)?;
        let worked = self.receipt(&lease).and_then(|()| self.work(&lease, &mut file));
        let released = self.client.release(&lease.id);
        worked?;
        self.line(&format!("   released  {}", human::printable(&released?.message)))?;
        self.your_turn(cpu)
    }

    fn measured(&self) -> anyhow::Result<Vec<Asset>> {
        self.head(1, "What this machine has, as measured")?;
        let mut assets = self.client.assets(&AssetQuery::default())?;
        assets.retain(|asset| is_hardware(asset.asset_type));
        asset::print_measured(&assets, "   ", self.style)?;
        Ok(assets)
    }

    fn lease(&self, cpu: &Asset) -> anyhow::Result<Allocation> {
        let percent = human::number(CPU_PERCENT);
        self.head(2, &format!("A lease on {percent} % of the CPU and {MEMORY} of memory"))?;
        let requirements = Requirements { memory: Some("256MiB".to_owned()), ..Requirements::default() };
        let plain = CreateAllocation::new(&cpu.id, CPU_PERCENT, LEASE_SECONDS);
        let request = CreateAllocation { requirements, ..plain };
        let lease = self.client.allocate(&request)?;
        self.line(&format!("   {} until {:.0}", lease.id, lease.end_time))?;
        Ok(lease)
    }

    fn receipt(&self, lease: &Allocation) -> anyhow::Result<()> {
        let receipt = self.client.enforcement(&lease.id)?;
        self.line(&self.style.faint("   What the kernel holds, read back from its files:"))?;
        for entry in &receipt.entries {
            let mark = match entry.state {
                EnforcementState::Enforced => self.style.good("✓"),
                EnforcementState::BestEffort | EnforcementState::Monitored => self.style.warning("~"),
                EnforcementState::Unenforced => self.style.error("✗"),
            };
            let actual = human::printable(entry.actual.as_deref().unwrap_or(human::UNKNOWN));
            let room = COLUMNS
                .saturating_sub("   ✓ memory  ".chars().count() + " = ".len() + actual.chars().count());
            let file = entry.file.as_ref().map(|file| human::short_path(&human::printable(file), room));
            let held = file.map(|file| format!("{file} = {actual}"));
            let reason = entry.reason.as_deref().map(human::printable);
            let what = [held, reason].into_iter().flatten().collect::<Vec<_>>().join("; ");
            self.line(&format!("   {mark} {:<7} {what}", human::printable(&entry.limit)))?;
        }
        Ok(())
    }

    fn work(&self, lease: &Allocation, file: &mut LocalFile) -> anyhow::Result<()> {
        let size = human::bytes(Some(file.length));
        self.head(3, &format!("The job {PACKAGE} in that lease, on {} ({size})", file.name()))?;
        let application = package::find(&self.client, PACKAGE)?;
        let wanted = vm::Wanted { cpu: None, memory: Some(MEMORY), seconds: JOB_SECONDS };
        let vm = vm::ensure(&self.client, &application.id, &wanted)?;
        let input = job::grant(&self.client, file)?;
        let operation = package::only_operation(&application)?;
        let started = self.client.execute(&request(vm.id, operation, lease, input), 0)?;
        let execution = follow::follow(&self.client, &started.id, self.talk)?;
        let result = match (execution.status, &execution.execution.output) {
            (ExecutionStatus::Completed, Some(result)) => result,
            _ => bail!("the job ended without a result: {}", summary::cause(&execution).unwrap_or_default()),
        };
        self.result(result, file)?;
        self.counted(&execution)
    }

    fn result(&self, result: &str, file: &LocalFile) -> anyhow::Result<()> {
        let parsed: Value = serde_json::from_str(result).context("the job's result is not JSON")?;
        let Some(Value::Object(digests)) = parsed.pointer("/files/0") else {
            bail!("the job's result is not what {PACKAGE} gives: {}", exec::pretty(result));
        };
        for (name, value) in digests {
            self.line(&format!("   {:<7} {}", human::printable(name), human::plain(value)))?;
        }
        if digests.get("sha256").and_then(Value::as_str) != Some(&file.digest) {
            bail!("this program computes another SHA-256 of {}: {}", file.path.display(), file.digest);
        }
        let same = self.style.good("the same as this program computes from the file");
        self.line(&format!("   {same}; check it yourself:"))?;
        self.line(&format!("   sha256sum {}", human::shell_word(&file.path)))
    }

    fn counted(&self, execution: &VmExecution) -> anyhow::Result<()> {
        self.head(4, "What the kernel counted for it")?;
        let used = &execution.execution.resource_usage;
        self.line(&format!("   {}", summary::usage(execution, self.style)))?;
        self.line(&format!("   block I/O {}", human::bytes(used.storage_io)))?;
        self.line(&format!("   the four proofs: {}", summary::proofs(execution)))
    }

    fn your_turn(&self, cpu: &Asset) -> anyhow::Result<()> {
        let url = self.client.base_url();
        self.head(5, "Your turn")?;
        self.line(&format!("   API    {url}/api/v1/assets"))?;
        self.line(&format!("   Docs   {url}/docs"))?;
        self.line(&format!("   Token  {}", human::shell_word(&self.token_file)))?;
        self.line("")?;
        let token = human::shell_word(&self.token_file);
        let lines = [
            format!("curl -s {url}/api/v1/assets"),
            format!("token=$(cat {token})"),
            format!("curl -s {url}/api/v1/allocations \\"),
            r#"  -H "authorization: Bearer $token" -H "content-type: application/json" \"#.to_owned(),
            format!(r#"  -d '{{"asset_id":"{}","amount":10,"duration":60,"#, cpu.id),
            r#"       "requirements":{"memory":"64MiB"}}'"#.to_owned(),
        ];
        lines.iter().try_for_each(|line| self.line(line))
    }

    fn head(&self, number: u32, text: &str) -> anyhow::Result<()> {
        self.line("")?;
        self.line(&self.style.strong(&format!("{number}  {}", human::printable(text))))
    }

    fn line(&self, text: &str) -> anyhow::Result<()> {
        Ok(print(&format!("{text}\n"))?)
    }
}

fn is_hardware(asset_type: AssetType) -> bool {
    match asset_type {
        AssetType::Cpu | AssetType::Gpu | AssetType::Memory | AssetType::Storage | AssetType::Network => true,
        AssetType::Service | AssetType::Container | AssetType::Vm | AssetType::Application => false,
    }
}

fn request(vm_asset_id: String, operation: String, lease: &Allocation, input: Input) -> ExecuteVm {
    ExecuteVm {
        timeout: JOB_SECONDS,
        allocation_duration: LEASE_SECONDS,
        allocation_id: Some(lease.id.clone()),
        inputs: vec![input],
        ..ExecuteVm::new(vm_asset_id, operation)
    }
}
