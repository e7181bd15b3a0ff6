//! What a request for a lease, or for another size of one, means.
//!
//! A value out of its range is a 400. Values that are right by themselves and wrong together are a 422: the schema can't
//! tell them. What depends on the asset, the domain checks.

use crate::convert::{check, same_names};
use crate::problem::Draft;
use hypermesh_mesh::{AllocationRequest, CpuAmount, GpuSelection, Requirements, Resize};
use hypermesh_model::{self as model, AssetId, Bytes, GpuUuid, IoLimits, MilliCpu, Terms, Timestamp};
use hypermesh_wire::allocations::{
    self as wire, CreateAllocation, MAX_BURST_US, MAX_CPU_MILLIS, MAX_GPUS, MAX_GRACE_S, MAX_IO, MAX_PIDS,
    MAX_PRIORITY, MAX_WAIT_S, ResizeAllocation,
};
use hypermesh_wire::{MAX_NAME, MAX_SECONDS};

/// Largest amount of any asset, in its unit: far above any machine, and exact as a float.
const MAX_AMOUNT: f64 = 1e9;
/// Longest UUID of a GPU, in characters, prefix included.
const MAX_GPU_ID: usize = 124;
/// How long before its end a lease's holder is warned, seconds, unless half of the lease is shorter.
const DEFAULT_WARN_S: u64 = 60;
/// How long a lease stays frozen that says only that it is to be frozen, seconds.
const DEFAULT_GRACE_S: u64 = 30;

same_names!(cpu_mode: wire::CpuMode => model::CpuMode { Shared, Limited, Pinned });
same_names!(on_expiry: wire::OnExpiry => model::OnExpiry { Kill, Freeze });

/// A lease to plan. The key comes from a header, and is set by the handler.
pub(crate) fn new(body: &CreateAllocation) -> Result<AllocationRequest, Draft> {
    let duration_seconds = check::range("duration", body.duration, 1, MAX_SECONDS)?;
    let wait = optional(body.wait_s, |n| check::range("wait_s", n, 0, MAX_WAIT_S))?;
    if wait.is_some() && body.start_time.is_some() {
        return Err(check::not_granted("wait_s", "a reservation (`start_time`) does not wait"));
    }
    Ok(AllocationRequest {
        asset_id: check::id("asset_id", &body.asset_id, AssetId::parse)?,
        amount: check::positive("amount", body.amount, MAX_AMOUNT)?,
        duration_seconds,
        requirements: requirements(&body.requirements)?,
        terms: terms(body)?,
        start: body.start_time.map(start).transpose()?,
        wait_seconds: wait.filter(|seconds| *seconds > 0),
        idempotency_key: None,
    })
}

/// The time of a reservation: ahead, and at most a year.
fn start(at: jiff::Timestamp) -> Result<Timestamp, Draft> {
    let (at, now) = (Timestamp::from_millis(at.as_millisecond()), Timestamp::now());
    if at < now {
        return Err(check::not_granted("start_time", "it has passed"));
    }
    if at > now.plus_seconds(MAX_SECONDS) {
        return Err(check::not_granted("start_time", "reservations are made for at most a year ahead"));
    }
    Ok(at)
}

fn terms(body: &CreateAllocation) -> Result<Terms, Draft> {
    let on_expiry = body.on_expiry.map(on_expiry).unwrap_or_default();
    let grace = optional(body.grace_s, |n| check::range("grace_s", n, 1, MAX_GRACE_S))?;
    let grace_seconds = match (on_expiry, grace) {
        (model::OnExpiry::Kill, None) => 0,
        (model::OnExpiry::Kill, Some(_)) => {
            return Err(check::not_granted("grace_s", "only with `on_expiry` `freeze`"));
        }
        (model::OnExpiry::Freeze, grace) => grace.unwrap_or(DEFAULT_GRACE_S),
    };
    let warn_seconds = match optional(body.warn_s, |n| check::range("warn_s", n, 0, MAX_SECONDS))? {
        Some(seconds) if seconds > body.duration => {
            return Err(check::not_granted("warn_s", "longer than the allocation itself"));
        }
        Some(seconds) => seconds,
        None => DEFAULT_WARN_S.min(body.duration / 2),
    };
    Ok(Terms {
        on_expiry,
        grace_seconds,
        warn_seconds,
        priority: optional(body.priority, |n| check::range("priority", n, 0, MAX_PRIORITY))?
            .unwrap_or(Terms::DEFAULT_PRIORITY),
        preemptible: body.preemptible.unwrap_or_default(),
        min_runtime_seconds: optional(body.min_runtime_s, |n| {
            check::range("min_runtime_s", n, 0, MAX_SECONDS)
        })?
        .unwrap_or_default(),
        keep_storage: body.keep_storage.unwrap_or_default(),
    })
}

fn requirements(more: &wire::Requirements) -> Result<Requirements, Draft> {
    let within = Within("requirements.");
    let (memory, memory_request) = within.memories(more.memory.as_deref(), more.memory_request.as_deref())?;
    Ok(Requirements {
        cpu: within.cpu(more.cpu, more.cpu_millis)?,
        cpu_mode: more.cpu_mode.map(cpu_mode),
        cpu_burst_us: within.burst(more.cpu_burst_us)?.filter(|burst| *burst > 0),
        memory,
        memory_request,
        pids: within.number("pids", more.pids, 1, MAX_PIDS)?,
        io: within.io(more.io.as_ref())?,
        storage: within.size("storage", more.storage.as_deref())?,
        gpus: within.number("gpus", more.gpus, 1, MAX_GPUS)?,
        gpu: more.gpu.as_ref().map(gpu).transpose()?.unwrap_or_default(),
    })
}

fn gpu(wish: &wire::GpuWish) -> Result<GpuSelection, Draft> {
    let within = Within("requirements.gpu.");
    if wish.uuids.len() > MAX_GPUS as usize {
        let detail = format!("`requirements.gpu.uuids` may have {MAX_GPUS} entries");
        return Err(Draft::invalid("requirements.gpu.uuids", detail));
    }
    let model = wish.model.clone();
    Ok(GpuSelection {
        model: check::optional_text("requirements.gpu.model", model, 1, MAX_NAME)?,
        min_memory: within.size("min_memory", wish.min_memory.as_deref())?,
        uuids: wish.uuids.iter().enumerate().map(|(i, text)| gpu_uuid(i, text)).collect::<Result<_, _>>()?,
        mig: wish.mig.unwrap_or_default(),
        shared_memory: within.size("shared_memory", wish.shared_memory.as_deref())?,
    })
}

/// A UUID in the schema's notation (`hypermesh_wire::GPU_PATTERN`).
fn gpu_uuid(index: usize, text: &str) -> Result<GpuUuid, Draft> {
    let rest = text.strip_prefix("GPU-").or_else(|| text.strip_prefix("MIG-"));
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'/';
    if rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(known)) && text.len() <= MAX_GPU_ID {
        return Ok(GpuUuid(text.to_owned()));
    }
    let member = format!("requirements.gpu.uuids[{index}]");
    Err(Draft::invalid(
        &*member,
        format!("`{member}` must be a UUID as the driver writes it, GPU-… or MIG-…"),
    ))
}

/// Another size.
pub(crate) fn change(body: &ResizeAllocation) -> Result<Resize, Draft> {
    let within = Within("");
    let (memory, memory_request) = within.memories(body.memory.as_deref(), body.memory_request.as_deref())?;
    let change = Resize {
        cpu: within.cpu(body.cpu, body.cpu_millis)?,
        cpu_burst_us: within.burst(body.cpu_burst_us)?,
        memory,
        memory_request,
        pids: within.number("pids", body.pids, 1, MAX_PIDS)?,
        io: within.io(body.io.as_ref())?,
        storage: within.size("storage", body.storage.as_deref())?,
        force: body.force.unwrap_or_default(),
    };
    if change == (Resize { force: change.force, ..Resize::default() }) {
        let detail = "nothing is to be changed: give `cpu`, `cpu_millis`, `cpu_burst_us`, `memory`, \
                      `memory_request`, `pids`, `io` or `storage`";
        return Err(Draft::new(crate::problem::Kind::Unprocessable, detail));
    }
    Ok(change)
}

/// Reads the members that a new lease and a change of one share; holds what their names begin with.
struct Within(&'static str);

impl Within {
    fn number<T>(&self, name: &str, given: Option<T>, min: T, max: T) -> Result<Option<T>, Draft>
    where
        T: PartialOrd + std::fmt::Display,
    {
        optional(given, |number| check::range(&format!("{}{name}", self.0), number, min, max))
    }

    fn size(&self, name: &str, given: Option<&str>) -> Result<Option<Bytes>, Draft> {
        optional(given, |text| check::size(&format!("{}{name}", self.0), text))
    }

    fn burst(&self, given: Option<u64>) -> Result<Option<u64>, Draft> {
        self.number("cpu_burst_us", given, 0, MAX_BURST_US)
    }

    fn cpu(&self, percent: Option<f64>, millis: Option<u32>) -> Result<Option<CpuAmount>, Draft> {
        let percent =
            optional(percent, |percent| check::positive(&format!("{}cpu", self.0), percent, 100.0))?;
        let millis = self.number("cpu_millis", millis, 1, MAX_CPU_MILLIS)?;
        match (percent, millis) {
            (Some(_), Some(_)) => Err(check::not_granted(
                &format!("{}cpu_millis", self.0),
                "the same as `cpu` in another unit; give one of them",
            )),
            (Some(percent), None) => Ok(Some(CpuAmount::Percent(percent))),
            (None, millis) => Ok(millis.map(|millis| CpuAmount::Milli(MilliCpu(millis)))),
        }
    }

    /// The limit and what of it is kept.
    fn memories(
        &self,
        limit: Option<&str>,
        request: Option<&str>,
    ) -> Result<(Option<Bytes>, Option<Bytes>), Draft> {
        let limit = self.size("memory", limit)?;
        let request = self.size("memory_request", request)?;
        if limit.is_some() && request > limit {
            let member = format!("{}memory_request", self.0);
            return Err(check::not_granted(&member, "more than the limit, `memory`"));
        }
        Ok((limit, request))
    }

    fn io(&self, given: Option<&wire::IoLimits>) -> Result<IoLimits, Draft> {
        let Some(given) = given else { return Ok(IoLimits::default()) };
        let rate = |name: &str, rate| self.number(&format!("io.{name}"), rate, 1, MAX_IO);
        Ok(IoLimits {
            read_bps: rate("read_bps", given.read_bps)?,
            write_bps: rate("write_bps", given.write_bps)?,
            read_iops: rate("read_iops", given.read_iops)?,
            write_iops: rate("write_iops", given.write_iops)?,
        })
    }
}

fn optional<T, U>(given: Option<T>, read: impl FnOnce(T) -> Result<U, Draft>) -> Result<Option<U>, Draft> {
    given.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn body(changes: &[(&str, Value)]) -> CreateAllocation {
        let mut body = json!({ "asset_id": "cpu", "amount": 25, "duration": 60, "requirements": {} });
        for (change, value) in changes {
            let pointer = format!("/{}", change.replace('.', "/"));
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    /// The status and the member of a refusal.
    fn refused(changes: &[(&str, Value)]) -> Option<(u16, String)> {
        let draft = new(&body(changes)).err()?;
        let member = draft.member().unwrap_or_default().to_owned();
        Some((draft.render("/", "r").status().as_u16(), member))
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        let long = "x".repeat(129);
        for (member, value) in [
            ("asset_id", json!("../cpu")),
            ("asset_id", json!("")),
            ("amount", json!(0)),
            ("amount", json!(-25)),
            ("amount", json!(1e12)),
            ("duration", json!(0)),
            ("duration", json!(u64::MAX)),
            ("wait_s", json!(604_801)),
            ("priority", json!(101)),
            ("min_runtime_s", json!(u64::MAX)),
            ("warn_s", json!(u64::MAX)),
            ("grace_s", json!(0)),
            ("requirements.cpu", json!(101)),
            ("requirements.cpu_millis", json!(0)),
            ("requirements.cpu_burst_us", json!(u64::MAX)),
            ("requirements.memory", json!("0MiB")),
            ("requirements.memory_request", json!("lots")),
            ("requirements.storage", json!("1mib")),
            ("requirements.pids", json!(0)),
            ("requirements.gpus", json!(65)),
        ] {
            assert_eq!(refused(&[(member, value)]), Some((400, member.to_owned())));
        }
        for (member, value) in [
            ("gpu.model", json!({ "model": long })),
            ("gpu.min_memory", json!({ "min_memory": "" })),
            ("gpu.uuids[1]", json!({ "uuids": ["GPU-1", "0"] })),
            ("gpu.uuids", json!({ "uuids": vec!["GPU-1"; 65] })),
        ] {
            let expected = Some((400, format!("requirements.{member}")));
            assert_eq!(refused(&[("requirements.gpu", value)]), expected);
        }
        assert_eq!(
            refused(&[("requirements.io", json!({ "read_bps": 0 }))]),
            Some((400, "requirements.io.read_bps".into()))
        );
        assert_eq!(refused(&[("requirements.memory", json!("256MiB"))]), None);
    }

    #[test]
    fn what_is_wrong_only_together_is_understood_and_refused() {
        let ahead = |seconds| json!(Timestamp::now().plus_seconds(seconds));
        for (member, changes) in [
            ("wait_s", vec![("wait_s", json!(0)), ("start_time", ahead(60))]),
            ("start_time", vec![("start_time", json!("2001-02-03T04:05:06Z"))]),
            ("start_time", vec![("start_time", ahead(MAX_SECONDS + 60))]),
            ("grace_s", vec![("grace_s", json!(5))]),
            ("grace_s", vec![("grace_s", json!(5)), ("on_expiry", json!("kill"))]),
            ("warn_s", vec![("warn_s", json!(61))]),
            (
                "requirements.cpu_millis",
                vec![("requirements.cpu", json!(5)), ("requirements.cpu_millis", json!(5))],
            ),
            (
                "requirements.memory_request",
                vec![("requirements.memory", json!("1MiB")), ("requirements.memory_request", json!("2MiB"))],
            ),
        ] {
            assert_eq!(refused(&changes), Some((422, member.to_owned())), "{changes:?}");
        }
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let short = new(&body(&[])).ok().unwrap();
        assert_eq!((short.terms.warn_seconds, short.terms.grace_seconds, short.terms.priority), (30, 0, 50));
        let long = new(&body(&[("duration", json!(600)), ("on_expiry", json!("freeze"))])).ok().unwrap();
        assert_eq!((long.terms.warn_seconds, long.terms.grace_seconds), (60, 30));
        let silent = new(&body(&[("warn_s", json!(0)), ("wait_s", json!(0))])).ok().unwrap();
        assert_eq!((silent.terms.warn_seconds, silent.wait_seconds), (0, None));
    }

    #[test]
    fn every_dimension_arrives() {
        let changes = [
            ("requirements.cpu_millis", json!(1500)),
            ("requirements.cpu_mode", json!("pinned")),
            ("requirements.cpu_burst_us", json!(1000)),
            ("requirements.memory", json!("2MiB")),
            ("requirements.memory_request", json!("1MiB")),
            ("requirements.io", json!({ "write_iops": 9 })),
            ("requirements.storage", json!("1GiB")),
            ("requirements.gpus", json!(2)),
            (
                "requirements.gpu",
                json!({ "model": "A", "uuids": ["MIG-1/2"], "mig": true, "shared_memory": "1GiB" }),
            ),
        ];
        let read = new(&body(&changes)).ok().unwrap().requirements;
        let expected = Requirements {
            cpu: Some(CpuAmount::Milli(MilliCpu(1500))),
            cpu_mode: Some(model::CpuMode::Pinned),
            cpu_burst_us: Some(1000),
            memory: Some(Bytes::mib(2)),
            memory_request: Some(Bytes::mib(1)),
            pids: None,
            io: IoLimits { write_iops: Some(9), ..IoLimits::default() },
            storage: Some(Bytes::mib(1024)),
            gpus: Some(2),
            gpu: GpuSelection {
                model: Some("A".into()),
                min_memory: None,
                uuids: vec![GpuUuid("MIG-1/2".into())],
                mig: true,
                shared_memory: Some(Bytes::mib(1024)),
            },
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn a_change_names_what_is_wrong_and_one_of_nothing_is_refused() {
        let read = |json: Value| change(&serde_json::from_value(json).unwrap());
        let status = |json: Value| read(json).err().unwrap().render("/", "r").status().as_u16();
        assert_eq!((status(json!({})), status(json!({ "force": true }))), (422, 422));
        assert_eq!(status(json!({ "cpu": 1, "cpu_millis": 1 })), 422);
        assert_eq!(read(json!({ "io": { "read_bps": 0 } })).err().unwrap().member(), Some("io.read_bps"));
        let smaller = read(json!({ "memory": "1MiB", "cpu_burst_us": 0, "force": true })).ok().unwrap();
        assert_eq!(
            (smaller.memory, smaller.cpu_burst_us, smaller.force),
            (Some(Bytes::mib(1)), Some(0), true)
        );
    }

    proptest! {
        #[test]
        fn every_amount_is_taken_or_refused_by_name(amount in any::<f64>()) {
            match new(&CreateAllocation::new("cpu", amount, 1)) {
                Ok(request) => prop_assert!(request.amount > 0.0 && request.amount <= MAX_AMOUNT),
                Err(draft) => prop_assert_eq!(draft.member(), Some("amount")),
            }
        }

        #[test]
        fn uuids_that_the_schema_takes_are_taken(text in "(GPU|MIG)-[0-9A-Za-z/-]{1,120}") {
            prop_assert!(gpu_uuid(0, &text).is_ok(), "{}", text);
        }
    }
}
