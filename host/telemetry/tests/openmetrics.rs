//! The whole text keeps the rules of OpenMetrics 1.0, whatever is in the snapshots.
//!
//! The checker restates the rules (§ Text Format, § MetricFamily) rather than trusting the encoder: each family once and in
//! one piece, its TYPE first, names and suffixes as the type wants them, no series twice, `# EOF` at the end.

use hypermesh_model::{Bytes, GpuUuid, LeaseId, LeaseStatus, Subject, Timestamp};
use hypermesh_telemetry::{
    CpuSample, GpuSample, IoSample, LeaseSample, MAX_LEASES, MemorySample, Metrics, MigLabels,
    PressureSample, StallSample,
};
use proptest::prelude::*;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Suffixes of the samples of a type.
fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "gauge" | "unknown" => &[""],
        "histogram" => &["_bucket", "_sum", "_count"],
        other => panic!("the type {other} is not one of ours"),
    }
}

fn is_name(name: &str, colon: bool) -> bool {
    let ok = |c: char| c.is_ascii_alphabetic() || c == '_' || (colon && c == ':');
    name.starts_with(ok) && name.chars().all(|c| ok(c) || c.is_ascii_digit())
}

/// Cuts `key="value",…}` into sorted pairs, and gives what follows the brace. Values stay escaped.
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut pairs, mut rest) = (Vec::new(), text);
    while !rest.starts_with('}') {
        let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no value: {text}"));
        assert!(is_name(key, false), "label name {key} in {text}");
        let (mut end, mut escaped) = (None, false);
        for (at, c) in after.char_indices() {
            match c {
                _ if escaped => {
                    assert!(matches!(c, '\\' | '"' | 'n'), "escaped {c:?} in {text}");
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.unwrap_or_else(|| panic!("no end: {text}"));
        assert!(pairs.iter().all(|(known, _)| known != key), "label {key} twice in {text}");
        pairs.push((key.to_owned(), after[..end].to_owned()));
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    pairs.sort();
    (pairs, &rest[1..])
}

#[derive(Default)]
struct Checker {
    family: String,
    kind: String,
    families: HashSet<String>,
    series: HashSet<String>,
}

impl Checker {
    /// Panics with the line that breaks a rule; otherwise gives the number of series.
    fn check(text: &str) -> usize {
        let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
        let mut checker = Self::default();
        // Not `lines`, which would also take a carriage return for the end of a line.
        for line in body.split_terminator('\n') {
            match line.strip_prefix("# ") {
                Some(comment) => checker.comment(comment),
                None => checker.sample(line),
            }
        }
        checker.series.len()
    }

    fn comment(&mut self, comment: &str) {
        let words: Vec<&str> = comment.splitn(3, ' ').collect();
        let [word, name, text] = words[..] else { panic!("not a descriptor: {comment}") };
        match word {
            "HELP" => {
                assert!(is_name(name, true), "{comment}");
                assert!(self.families.insert(name.to_owned()), "twice: {comment}");
                (self.family, self.kind) = (name.to_owned(), String::new());
            }
            "TYPE" => {
                assert!(self.family == name && self.kind.is_empty(), "out of place: {comment}");
                self.kind = text.to_owned();
                let reserved = ["_total", "_created", "_bucket", "_count", "_sum", "_info"];
                assert!(!reserved.iter().any(|suffix| name.ends_with(suffix)), "{comment}");
            }
            "UNIT" => assert!(self.family == name && name.ends_with(&format!("_{text}")), "{comment}"),
            other => panic!("{other} is not a comment of OpenMetrics"),
        }
    }

    fn sample(&mut self, line: &str) {
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
        let (name, rest) = line.split_at(end);
        let suffix = name.strip_prefix(&self.family).unwrap_or_else(|| panic!("in {}: {line}", self.family));
        assert!(suffixes(&self.kind).contains(&suffix), "{} {}: {line}", self.kind, self.family);
        let (pairs, value) = rest.strip_prefix('{').map_or((Vec::new(), rest), labels);
        let value: f64 =
            value.strip_prefix(' ').and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        assert!(value.is_finite() && (self.kind != "counter" || value >= 0.0), "{line}");
        assert!(self.series.insert(format!("{name}{pairs:?}")), "twice: {line}");
    }
}

/// A lease of which everything is known.
fn lease(id: &str, requester: &str) -> LeaseSample {
    let (time, count, bytes) =
        (Some(Duration::from_micros(123_456_789)), Some(12_345), Some(Bytes(987_654_321)));
    let stall = StallSample { waiting: time, stalled: time };
    LeaseSample {
        started: Some(Timestamp::from_millis(1_700_000_000_123)),
        cpu: CpuSample {
            usage: time,
            user: time,
            system: time,
            periods: count,
            throttled_periods: count,
            throttled: time,
            quota: time,
            period: time,
            shares: count,
        },
        memory: MemorySample {
            usage: bytes,
            working_set: bytes,
            rss: bytes,
            cache: bytes,
            swap: bytes,
            max_usage: bytes,
            limit_hits: count,
            oom_events: count,
            limit: bytes,
        },
        processes: count,
        threads: count,
        io: IoSample { read_bytes: bytes, written_bytes: bytes, reads: count, writes: count },
        storage_used: bytes,
        storage_limit: bytes,
        pressure: PressureSample { cpu: stall, memory: stall, io: stall },
        gpu_memory: [(GpuUuid("GPU-0b1c".into()), Bytes(1 << 30))].into(),
        ..LeaseSample::new(
            format!("/hypermesh/node-1/{id}"),
            LeaseId::parse(id).expect("an id"),
            Subject(requester.to_owned()),
        )
    }
}

/// An id as long as a generated one.
fn id(n: usize) -> String {
    format!("alloc-{n:032}")
}

#[test]
fn the_text_of_a_busy_node_keeps_the_rules() {
    let metrics = Metrics::new();
    let empty = Checker::check(&metrics.encode());
    metrics.http_request("hypermesh", "GET", Some("/api/v1/assets/{id}"), 200, Duration::from_millis(1));
    metrics.set_machine(Some(0.5), Some(1));
    metrics.set_lease_phases([LeaseStatus::Active]);
    metrics.set_leases((0..20).map(|n| lease(&id(n), "ada")).collect());
    let gpu =
        GpuSample { index: 0, memory_used: Some(Bytes(0)), pcie_replays: Some(1), ..GpuSample::default() };
    let mig = Some(MigLabels { profile: "1g.10gb".into(), gpu_instance: 7 });
    metrics.set_gpus(vec![gpu.clone(), GpuSample { mig, ..gpu }]);
    let series = Checker::check(&metrics.encode());
    assert!(series > empty + 20 * 33, "{series}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn whatever_a_requester_is_called_the_text_keeps_the_rules(
        leases in prop::collection::vec((0usize..6, any::<String>(), "[\"\\\\\n\r{},=# ]{0,8}"), 0..8),
        power in any::<f64>(),
    ) {
        let metrics = Metrics::new();
        let ids: HashSet<usize> = leases.iter().map(|(n, _, _)| *n).collect();
        let bare = Checker::check(&metrics.encode());
        metrics.set_leases(leases.iter().map(|(n, a, b)| lease(&id(*n), &format!("{a}{b}"))).collect());
        metrics.set_gpus(vec![GpuSample { power_watts: Some(power), model: Some(leases.iter().map(|l| &*l.1).collect()), ..GpuSample::default() }]);
        let series = Checker::check(&metrics.encode());
        prop_assert_eq!(series, bare + ids.len() * 34 + usize::from(power.is_finite()));
    }
}

/// Not a check: the time that a scrape of many leases takes. `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "prints a time"]
fn a_scrape_of_many_leases_takes() {
    for count in [1000, MAX_LEASES] {
        let metrics = Metrics::new();
        let samples: Vec<_> = (0..count).map(|n| lease(&id(n), "ada@example.org")).collect();
        let began = Instant::now();
        metrics.set_leases(samples);
        let set = began.elapsed();
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let began = Instant::now();
                assert!(metrics.encode().len() > count);
                began.elapsed()
            })
            .collect();
        times.sort();
        let (length, lines) = (metrics.encode().len(), metrics.encode().lines().count());
        eprintln!(
            "{count} leases: set {set:?}; encode min {:?}, median {:?}, max {:?}; {length} bytes, {lines} lines",
            times[0], times[10], times[19]
        );
    }
}
