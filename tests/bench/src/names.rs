//! Rows: answers of the name server to `dnsperf`, of a zone with many names; beside them Knot with the same zone.

use crate::Effort;
use crate::error::BenchError;
use crate::python::free_address;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::summary;
use hypermesh_harness::Node;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Names of the zone beside those that a node makes.
const NAMES: usize = 50_000;
/// The zone of a node that nobody configured.
const ZONE: &str = "hypermesh.network";
/// Of Knot's rate we want 0.6 at least.
const WITHIN_OF_KNOT: f64 = 1.0 / 0.6;
/// Questions half of which name nothing are to be answered as fast; this is what measuring varies by.
const WITHIN_OF_POSITIVE: f64 = 1.2;

/// What was measured of one server: questions for what is there, and those half of which are for nothing.
#[derive(Debug, Default)]
struct Samples {
    positive: Vec<f64>,
    half: Vec<f64>,
}

/// Measures the rows.
///
/// # Errors
/// When the node refuses the zone, or `dnsperf` says no number.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::io("making a folder"))?;
    let mut zone = String::new();
    for number in 0..NAMES {
        let [_, _, high, low] = u32::try_from(number).unwrap_or_default().to_be_bytes();
        let _ = writeln!(zone, "n{number}.{ZONE}. 300 IN A 192.0.{high}.{low}");
    }
    let trust = node.trustchain();
    trust.import_zone(&zone).map_err(BenchError::node("importing a zone"))?;
    let exported = trust.export_zone().map_err(BenchError::node("exporting the zone"))?;
    let questions = [write(folder.path(), "positive", 0)?, write(folder.path(), "half", 2)?];
    let knot = Knot::start(&exported)?;
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    let mut missing = None;
    for _ in 0..effort.rounds {
        let mut ask = |server: SocketAddr, samples: &mut Samples| -> Result<(), BenchError> {
            for (file, samples) in questions.iter().zip([&mut samples.positive, &mut samples.half]) {
                match rate(server, file, effort.span)? {
                    Ok(rate) => samples.push(rate),
                    Err(reason) => missing = Some(reason),
                }
            }
            Ok(())
        };
        ask(node.dns(), &mut ours)?;
        if let Ok(knot) = &knot {
            ask(knot.address, &mut theirs)?;
        }
    }
    let knot = |theirs: &[f64]| match (&knot, summary(theirs)) {
        (Ok(_), Some(theirs)) => Baseline::Other("Knot, the same zone".into(), theirs),
        (Ok(_), None) => Baseline::None("there are no samples".into()),
        (Err(reason), _) => Baseline::None(reason.clone()),
    };
    let row = |name: &str, samples: &[f64], baseline, goal| Row {
        name: format!("DNS answers by UDP of a zone with {NAMES} names, {name}"),
        unit: "/s",
        more_is_better: true,
        ours: summary(samples)
            .ok_or_else(|| missing.clone().unwrap_or_else(|| "there are no samples".to_owned())),
        baseline,
        goals: vec![goal],
    };
    let half = "half of the questions for names that are not there";
    let positive = summary(&ours.positive);
    let beside_positive = positive.map_or(Baseline::None(String::new()), |positive| {
        Baseline::Ourselves("questions for names that are there", positive)
    });
    Ok(vec![
        row("names that are there", &ours.positive, knot(&theirs.positive), Goal::Within(WITHIN_OF_KNOT)),
        row(half, &ours.half, knot(&theirs.half), Goal::Within(WITHIN_OF_KNOT)),
        row(&format!("{half}, beside"), &ours.half, beside_positive, Goal::Within(WITHIN_OF_POSITIVE)),
    ])
}

/// Writes questions; each `missing`-th is for a name that is not there, none when 0.
fn write(folder: &Path, name: &str, missing: usize) -> Result<PathBuf, BenchError> {
    let mut text = String::new();
    for number in 0..NAMES {
        // 7919 is prime to the number of names: every name once, in no order.
        let name = (number * 7919) % NAMES;
        let prefix = if missing > 0 && number % missing == 0 { "no" } else { "n" };
        let _ = writeln!(text, "{prefix}{name}.{ZONE} A");
    }
    let path = folder.join(name);
    fs::write(&path, text).map_err(BenchError::io(format!("writing {}", path.display())))?;
    Ok(path)
}

/// Answers a second; `Err` in the result where `dnsperf` can't be run.
fn rate(server: SocketAddr, questions: &Path, span: Duration) -> Result<Result<f64, String>, BenchError> {
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string()]);
    dnsperf.arg("-d").arg(questions).args(["-l", &span.as_secs().max(1).to_string()]);
    let output = match dnsperf.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => return Ok(Err(format!("dnsperf can't be run: {error}"))),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let number = |name: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (rate, lost) = (number("Queries per second:"), number("Queries lost:"));
    match (rate, lost) {
        (Some(rate), Some(_)) => Ok(Ok(rate)),
        _ => Err(BenchError::Unexpected(format!("dnsperf said no number: {said}"))),
    }
}

/// A Knot that runs until it is dropped.
struct Knot {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Knot {
    /// Starts it with a zone. `Err` in the result says why it can't be a baseline on this machine.
    fn start(zone: &str) -> Result<Result<Self, String>, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder for Knot"))?;
        let address = free_address()?;
        let at = folder.path().display();
        let config = format!(
            "server:\n  listen: {}@{}\n  rundir: {at}\n  udp-workers: 2\ndatabase:\n  storage: {at}\nzone:\n  - domain: {ZONE}\n    \
             file: {at}/zone\n    zonefile-load: whole\n    journal-content: none\n",
            address.ip(),
            address.port()
        );
        for (name, content) in [("zone", zone), ("knot.conf", &config)] {
            fs::write(folder.path().join(name), content)
                .map_err(BenchError::io(format!("writing {name}")))?;
        }
        let mut knot = Command::new("knotd");
        knot.arg("-c").arg(folder.path().join("knot.conf"));
        let child = match knot.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Err(format!("knotd can't be run: {error}"))),
        };
        let mut knot = Self { child, address, _folder: folder };
        hypermesh_harness::until("Knot", || {
            let ended = knot.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "knotd ended at once: {ended:?}");
            answers(address).then_some(())
        });
        Ok(Ok(knot))
    }
}

/// Whether it answers for the zone.
fn answers(address: SocketAddr) -> bool {
    let mut dig = Command::new("dig");
    dig.args([
        &format!("@{}", address.ip()),
        "-p",
        &address.port().to_string(),
        "+short",
        "+tries=1",
        "+time=1",
    ]);
    let output = dig.arg(format!("n0.{ZONE}")).arg("A").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(b"192.0."))
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
