//! Which scenario holds now, and what outlives a call: whether the library is initialised, and how often each device
//! was asked since. Both belong to one loaded copy of the library, as in the real one.

use crate::scenario::{Code, Gpu, Instance, Scenario};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The environment variable that names the scenario's file.
pub const SCENARIO_VARIABLE: &str = "HYPERMESH_FAKE_NVML";

/// Most devices of a scenario.
const MAX_GPUS: usize = 64;

static INITIALISED: AtomicU64 = AtomicU64::new(0);
static CALLS: [AtomicU64; MAX_GPUS] = [const { AtomicU64::new(0) }; MAX_GPUS];

/// A device or one of its MIG instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Position of the device in the scenario.
    pub(crate) gpu: usize,
    /// Slot of the instance.
    pub(crate) slot: Option<usize>,
}

/// What a call on a device sees.
pub(crate) struct Seen<'a> {
    pub(crate) gpu: &'a Gpu,
    /// `Some` when the handle is an instance's.
    pub(crate) instance: Option<&'a Instance>,
}

impl Seen<'_> {
    /// What only whole devices have.
    pub(crate) fn whole<T>(&self, value: Option<T>) -> Result<T, Code> {
        value.filter(|_| self.instance.is_none()).ok_or(Code::NotSupported)
    }
}

/// The scenario, once `function` may answer at all.
pub(crate) fn enter(function: &str) -> Result<Scenario, Code> {
    let scenario = read()?;
    if let Some(delay) = scenario.delays_ms.get(function) {
        std::thread::sleep(Duration::from_millis(*delay));
    }
    if scenario.missing.iter().any(|missing| missing == function) {
        return Err(Code::FunctionNotFound);
    }
    if let Some(code) = scenario.errors.get(function) {
        return Err(*code);
    }
    if INITIALISED.load(Ordering::Acquire) == 0 && !function.starts_with("nvmlInit") {
        return Err(Code::Uninitialized);
    }
    Ok(scenario)
}

/// The device of a handle, once `function` may answer for it.
pub(crate) fn device<'a>(scenario: &'a Scenario, function: &str, target: Target) -> Result<Seen<'a>, Code> {
    let gpu = scenario.gpus.get(target.gpu).ok_or(Code::InvalidArgument)?;
    let calls = CALLS.get(target.gpu).ok_or(Code::InvalidArgument)?.fetch_add(1, Ordering::AcqRel);
    if gpu.lost || gpu.absent || gpu.lost_after_calls.is_some_and(|limit| calls >= limit) {
        return Err(Code::GpuIsLost);
    }
    let of_whole = gpu.errors_of_whole.get(function).filter(|_| target.slot.is_none());
    if let Some(code) = gpu.errors.get(function).or(of_whole) {
        return Err(*code);
    }
    let instance = match target.slot {
        Some(slot) => Some(gpu.instances.get(slot).and_then(Option::as_ref).ok_or(Code::InvalidArgument)?),
        None => None,
    };
    Ok(Seen { gpu, instance })
}

/// Counts an initialisation; devices that fell off the bus by counting are back.
pub(crate) fn initialise() {
    INITIALISED.fetch_add(1, Ordering::AcqRel);
    for calls in &CALLS {
        calls.store(0, Ordering::Release);
    }
}

/// Takes an initialisation back.
pub(crate) fn shut_down() {
    let less = |count: u64| count.checked_sub(1);
    let _ = INITIALISED.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
}

fn read() -> Result<Scenario, Code> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        std::env::var_os(SCENARIO_VARIABLE).map(PathBuf::from).or_else(|| {
            let mut beside = own_file()?.into_os_string();
            beside.push(".json");
            Some(beside.into())
        })
    });
    let file = file.as_ref().ok_or_else(|| complain("there is no scenario: its variable is not set"))?;
    let text = std::fs::read_to_string(file)
        .map_err(|error| complain(&format!("{} can't be read: {error}", file.display())))?;
    Scenario::parse(&text).map_err(|error| complain(&format!("{}: {error}", file.display())))
}

fn complain(why: &str) -> Code {
    let _ = writeln!(std::io::stderr(), "fake NVML: {why}");
    Code::Unknown
}

/// The file that this code was loaded from, by the mapping that holds it.
fn own_file() -> Option<PathBuf> {
    let here = own_file as fn() -> Option<PathBuf> as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let (end, rest) = rest.split_once(' ')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let path = rest.find('/').map(|at| PathBuf::from(&rest[at..]))?;
        range.contains(&here).then_some(path)
    })
}
