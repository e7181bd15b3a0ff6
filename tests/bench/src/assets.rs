//! Row 3: plain reads, `GET /api/v1/assets`, as many a second as there are.

use crate::Effort;
use crate::error::BenchError;
use crate::python::FastApi;
use crate::report::{Baseline, Row};
use crate::statistics::summary;
use hypermesh_client::Client;
use hypermesh_harness::Node;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/assets";
/// Connections that are kept alive: enough that a server is never idle, few enough for one machine.
const CONNECTIONS: usize = 32;

/// Measures the row.
///
/// # Errors
/// When the node or the tool that loads it fails.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let ours_url = format!("{}{PATH}", node.url());
    let list = node.client().raw("GET", PATH, None).map_err(BenchError::node("listing the assets"))?;
    let service = FastApi::start(&list.body)?;
    let load = if hypermesh_harness::has_tool("wrk") { wrk } else { own_clients };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        ours.push(load(&ours_url, effort.span)?);
        if let Ok(service) = &service {
            theirs.push(load(&service.url(), effort.span)?);
        }
    }
    let baseline = match (summary(&theirs), service) {
        (Some(theirs), _) => Baseline::Other("FastAPI on uvicorn, a worker a core, same JSON".into(), theirs),
        (None, Err(reason)) => Baseline::None(reason),
        (None, Ok(_)) => Baseline::None("there are no samples".into()),
    };
    Ok(vec![Row {
        name: format!("GET {PATH}, {} bytes, {CONNECTIONS} connections", list.body.len()),
        unit: "/s",
        more_is_better: true,
        ours: summary(&ours).ok_or_else(|| "there are no samples".to_owned()),
        baseline,
        goals: Vec::new(),
    }])
}

/// Requests a second, by `wrk`.
fn wrk(url: &str, span: Duration) -> Result<f64, BenchError> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get).min(CONNECTIONS);
    let mut command = Command::new("wrk");
    command.arg("--threads").arg(threads.to_string()).arg("--connections").arg(CONNECTIONS.to_string());
    command.arg("--duration").arg(format!("{}s", span.as_secs().max(1))).arg(url);
    let output = command.output().map_err(BenchError::io("starting wrk"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    requests_a_second(&said).ok_or_else(|| BenchError::Unexpected(format!("wrk of {url} said: {said}")))
}

/// What `wrk` says; `None` where an answer was none, or not a success, since then the number means something else.
fn requests_a_second(said: &str) -> Option<f64> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    said.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?.trim().parse().ok()
}

/// Requests a second, by threads of our own, where `wrk` isn't installed.
fn own_clients(url: &str, span: Duration) -> Result<f64, BenchError> {
    let base = url.strip_suffix(PATH).unwrap_or(url);
    let begun = Instant::now();
    let until = begun + span;
    let work = || -> Result<u32, BenchError> {
        let client = Client::new(base, None).map_err(BenchError::node("connecting"))?;
        let mut done = 0;
        while Instant::now() < until {
            let answer = client.raw("GET", PATH, None).map_err(BenchError::node("listing the assets"))?;
            if answer.status != 200 {
                return Err(BenchError::Unexpected(format!("{url} answered {}", answer.status)));
            }
            done += 1;
        }
        Ok(done)
    };
    let counts: Result<Vec<u32>, BenchError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(BenchError::Unexpected("a client panicked".into())))
        };
        threads.into_iter().map(join).collect()
    });
    let total: u32 = counts?.iter().sum();
    Ok(f64::from(total) / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read_and_errors_are_no_number() {
        let said = "Running 1s test\n  3712 requests in 1.00s, 1.09MB read\nRequests/sec:   3711.42\nTransfer/sec: 1.09MB\n";
        assert_eq!(requests_a_second(said), Some(3711.42));
        assert_eq!(
            requests_a_second(&said.replace("Transfer", "  Non-2xx or 3xx responses: 7\nTransfer")),
            None
        );
        assert_eq!(
            requests_a_second(&said.replace("Transfer", "  Socket errors: connect 1\nTransfer")),
            None
        );
        assert_eq!(requests_a_second("unable to connect"), None);
    }
}
