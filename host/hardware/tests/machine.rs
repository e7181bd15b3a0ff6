//! The crate against this machine: what it says is what `nproc`, `free`, `lscpu` and the kernel's files say.

use std::io::Write as _;

use hypermesh_hardware::{Hardware, LimitSource, MIN_INTERVAL};
use hypermesh_model::Bytes;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The output of a program; `None`, said aloud, where it isn't installed.
fn output(test: &str, program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => panic!("{program} failed: {output:?}"),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {program}: {error}");
            None
        }
    }
}

/// The value of a line `name: value` of a program's output.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[test]
fn processors_are_those_of_nproc() {
    let inventory = Hardware::new("/").inventory();
    let Some(all) = output("processors_are_those_of_nproc", "nproc", &["--all"]) else { return };
    // `--all` counts installed processors, offline ones included.
    assert!(inventory.cpu.threads.unwrap() <= all.trim().parse().unwrap());
    let allowed: u32 = output("processors_are_those_of_nproc", "nproc", &[]).unwrap().trim().parse().unwrap();
    let affinity = inventory.capacity.cpu_limits.iter().find(|limit| limit.source == LimitSource::Affinity);
    assert_eq!(affinity.unwrap().value.0, allowed * 1000);
    assert!(inventory.capacity.cpu.0 <= allowed * 1000);
    assert!(inventory.capacity.cpu.0 > 0);
}

#[test]
fn topology_is_that_of_lscpu() {
    let cpu = Hardware::new("/").inventory().cpu;
    let Some(text) = output("topology_is_that_of_lscpu", "lscpu", &[]) else { return };
    assert_eq!(Some(cpu.architecture.as_str()), field(&text, "Architecture"));
    assert_eq!(cpu.model.as_deref(), field(&text, "Model name"));
    let number = |name| field(&text, name).and_then(|value| value.parse::<u32>().ok());
    assert_eq!(cpu.sockets, number("Socket(s)"));
    assert_eq!(cpu.numa_nodes, number("NUMA node(s)"));
    let cores = number("Core(s) per socket").zip(number("Socket(s)")).map(|(cores, sockets)| cores * sockets);
    assert_eq!(cpu.cores, cores);
    assert_eq!(cpu.hypervisor, Some(field(&text, "Hypervisor vendor").is_some()));
}

#[test]
fn cores_and_nodes_are_those_of_lscpu() {
    let topology = Hardware::new("/").inventory().topology;
    let Some(text) = output("cores_and_nodes_are_those_of_lscpu", "lscpu", &["-p=CPU,CORE,NODE"]) else {
        return;
    };
    let mut seen = 0;
    // Both tell of online processors; those that this process may not use are in lscpu's list alone.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<Option<u32>> = line.split(',').map(|field| field.parse().ok()).collect();
        let (cpu, core, node) = (fields[0].unwrap(), fields[1].unwrap(), fields[2].unwrap_or(0));
        let Some(ours) = topology.cores.iter().find(|core| core.cpus.contains(&cpu)) else { continue };
        seen += 1;
        assert_eq!(ours.node, node, "{line}");
        let same_core = |other: &&str| other.split(',').nth(1) == Some(&core.to_string());
        let siblings = text.lines().filter(|line| !line.starts_with('#')).filter(same_core).count();
        assert!(ours.cpus.len() <= siblings, "{line}: {ours:?}");
        assert_eq!(ours.cpus.len() < siblings, ours.partial, "{line}: {ours:?}");
    }
    assert_eq!(seen, topology.cores.iter().map(|core| core.cpus.len()).sum::<usize>());
    assert!(seen > 0 && topology.nodes.iter().all(|node| node.distances.len() == topology.nodes.len()));
}

#[test]
fn addresses_are_those_of_hostname() {
    let test = "addresses_are_those_of_hostname";
    let interfaces = Hardware::new("/").inventory().interfaces;
    let ours: Vec<String> = interfaces
        .iter()
        .flat_map(|interface| interface.addresses.clone().unwrap())
        .map(|address| address.address.to_string())
        .collect();
    // Every address of the host, but loopback and link-local ones; some may be of interfaces that don't count.
    let Some(text) = output(test, "hostname", &["-I"]) else { return };
    if ours.is_empty() || text.trim().is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no interface that counts has an address");
        return;
    }
    assert!(text.split_whitespace().any(|address| ours.iter().any(|own| own == address)), "{text} {ours:?}");
}

#[test]
fn memory_is_that_of_free() {
    let hardware = Hardware::new("/");
    let inventory = hardware.inventory();
    let Some(text) = output("memory_is_that_of_free", "free", &["-b"]) else { return };
    let column =
        |line: &str, n: usize| field(&text, line)?.split_whitespace().nth(n)?.parse().ok().map(Bytes);
    assert_eq!(inventory.memory.total_memory, column("Mem", 0));
    assert_eq!(inventory.memory.swap_total, column("Swap", 0));
    assert!(inventory.capacity.memory <= inventory.memory.total_memory.unwrap());
    assert!(inventory.capacity.memory > Bytes(0));
    // Other processes come and go between the two readings.
    let (ours, theirs) = (hardware.sample().memory.available.unwrap(), column("Mem", 5).unwrap());
    assert!(ours.0.abs_diff(theirs.0) < inventory.memory.total_memory.unwrap().0 / 10, "{ours} {theirs}");
}

#[test]
fn interfaces_are_those_with_a_device() {
    let found: Vec<String> = Hardware::new("/").inventory().interfaces.into_iter().map(|i| i.name).collect();
    let mut listed: Vec<String> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("device").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    listed.sort();
    if listed.is_empty() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED interfaces_are_those_with_a_device: no interface has a device"
        );
        return;
    }
    assert_eq!(found, listed);
    assert!(!found.contains(&"lo".to_owned()));
}

#[test]
fn storage_is_that_of_df() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Hardware::new("/").with_data_folder(folder.path()).inventory().storage.unwrap();
    let arguments = ["-B1", "--output=size,target,fstype", folder.path().to_str().unwrap()];
    let Some(text) = output("storage_is_that_of_df", "df", &arguments) else { return };
    let mut words = text.lines().nth(1).unwrap().split_whitespace();
    assert_eq!(Some(storage.total.0), words.next().unwrap().parse().ok());
    assert_eq!(storage.mount_point.as_deref(), words.next());
    assert_eq!(storage.fs_type.as_deref(), words.next());
}

#[test]
fn a_spinning_thread_is_seen() {
    let hardware = Hardware::new("/");
    let stop = AtomicBool::new(false);
    let usage = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop()
            }
        });
        let earlier = hardware.sample();
        std::thread::sleep(5 * MIN_INTERVAL);
        let usage = hardware.sample().usage_since(&earlier);
        stop.store(true, Ordering::Relaxed);
        usage
    });
    eprintln!("with one spinner: {usage:?}");
    assert!(usage.cpu_percent.unwrap() > 0.0);
    let spinner = usage.cores.iter().filter_map(|core| core.percent).fold(0.0, f64::max);
    assert!(spinner > 10.0, "{usage:?}");
    assert!(usage.memory_percent.unwrap() > 0.0);
}

#[test]
fn a_sample_is_cheap() {
    let hardware = Hardware::new("/");
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = Instant::now();
            let _ = hardware.sample();
            started.elapsed()
        })
        .collect();
    times.sort();
    eprintln!("a sample takes {:?} (median), {:?} (worst of 50)", times[25], times[49]);
    // Five times the aim, for machines that do other work while they test.
    assert!(times[25] < Duration::from_millis(5), "{:?}", times[25]);
}

#[test]
fn the_inventory_of_this_machine_can_be_shown() {
    let inventory = Hardware::new("/").with_data_folder("/").inventory();
    eprintln!("{}", serde_json::to_string_pretty(&inventory).unwrap());
}

/// A v1 group below `hypermesh`, removed when dropped; its processes have ended by then. The parent stays: a node may
/// be using it.
struct Group(PathBuf);

impl Group {
    fn new(controller: &str, files: &[(&str, &str)]) -> std::io::Result<Self> {
        let name = format!("hypermesh/hardware-test-{}", std::process::id());
        let group = Self(Path::new("/sys/fs/cgroup").join(controller).join(name));
        std::fs::create_dir_all(&group.0)?;
        for (file, text) in files {
            std::fs::write(group.0.join(file), text)?;
        }
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn real_cgroups_limit_the_capacity() {
    let quota = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "25000")];
    let groups = Path::new("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists().then(|| {
        Ok::<_, std::io::Error>((
            Group::new("cpu", &quota)?,
            Group::new("memory", &[("memory.limit_in_bytes", "268435456")])?,
        ))
    });
    let (cpu, memory) = match groups {
        Some(Ok(groups)) => groups,
        Some(Err(error)) => {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED real_cgroups_limit_the_capacity: no group can be made: {error}"
            );
            return;
        }
        None => {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED real_cgroups_limit_the_capacity: no cgroup v1 cpu controller is mounted"
            );
            return;
        }
    };
    // A process that moves itself and then is this binary's test that prints the inventory.
    let script = r#"echo 0 > "$1/cgroup.procs" && echo 0 > "$2/cgroup.procs" &&
                    exec "$0" --exact the_inventory_of_this_machine_can_be_shown --nocapture"#;
    let mut child = Command::new("sh");
    child.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).args([&cpu.0, &memory.0]);
    let output = child.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["capacity"]["cpu"], 250, "{text}");
    assert_eq!(shown["capacity"]["memory"], 268_435_456, "{text}");
}
