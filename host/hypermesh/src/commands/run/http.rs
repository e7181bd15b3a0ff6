//! `run --http`: serves a component behind the node until Ctrl-C, or in the background.

use super::{application, vm};
use crate::commands::service::each_line;
use crate::context::Context;
use crate::failure::Failure;
use crate::job::follow::format_line;
use crate::job::package;
use crate::output::{Format, print};
use crate::parse;
use anyhow::Context as _;
use clap::Args;
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::services::{CreateService, Service};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// The type of a package that is a `wasi:http/proxy`.
const HTTP: &str = "http";

/// How a component is served.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Serving {
    /// Serve it under /guests/NAME/ on the node, a fresh instance a request, until Ctrl-C
    #[arg(long, conflicts_with_all = [
        "operation", "parameters", "params", "inputs", "cpu_time", "output_dir", "arguments", "environment", "stdin",
        "fuel", "output_limit", "log_limit", "open_files", "retries", "wait", "priority",
    ])]
    pub(crate) http: bool,
    /// Name of the service [default: the package's]
    #[arg(long, value_name = "NAME", requires = "http")]
    name: Option<String>,
    /// Leave it serving, and return
    #[arg(long, requires = "http")]
    detach: bool,
    /// Requests at the same time, 1 to 64 [default: 8]
    #[arg(long, value_name = "NUMBER", requires = "http")]
    concurrency: Option<u32>,
    /// Longest time of one request, up to 5m [default: 30s]
    #[arg(long, value_parser = parse::seconds, value_name = "TIME", requires = "http")]
    request_timeout: Option<u64>,
    /// Longest body of a request and of an answer, up to 1GiB [default: 16MiB]
    #[arg(long, value_parser = parse::size, value_name = "SIZE", requires = "http")]
    max_body: Option<Bytes>,
    /// Life of the lease that is made for it [default: 1h]
    #[arg(long, value_parser = parse::seconds, value_name = "TIME", requires = "http", conflicts_with = "alloc")]
    duration: Option<u64>,
}

/// Runs `run --http …`.
pub(super) fn run(context: &Context, mut arguments: super::Arguments) -> anyhow::Result<()> {
    let client = context.client()?;
    let application = application(&client, &arguments.workload.component)?;
    if application.application_type != HTTP {
        let detail =
            format!("`{}` is a {}, and answers no HTTP", application.name, application.application_type);
        return Err(Failure::Usage(detail).into());
    }
    let serving = arguments.serving.clone();
    let seconds = serving.request_timeout.unwrap_or_default();
    let wanted = vm::Wanted { seconds, ..super::wanted(&client, &arguments.workload)? };
    let vm = vm::ensure(&client, &application.id, &wanted).context("installing the package")?;
    let name = serving.name.clone().unwrap_or_else(|| {
        // The same rules but for a dash at the beginning, which a file's name never gives.
        package::name_of(Path::new(&application.name))
    });
    let mut request = CreateService::new(name, vm.id);
    request.allocation_id = arguments.workload.alloc.take();
    request.folders = std::mem::take(&mut arguments.workload.terms.folders);
    request.network = std::mem::take(&mut arguments.workload.terms.network);
    request.concurrency = serving.concurrency.unwrap_or(request.concurrency);
    request.timeout = serving.request_timeout.unwrap_or(request.timeout);
    request.allocation_duration = serving.duration.unwrap_or(request.allocation_duration);
    request.max_body = serving.max_body.map(|size| format!("{}B", size.0));
    // Before it is made: a signal in between must not leave it behind.
    let signals = if serving.detach { None } else { Some(watch_signals()?) };
    let service = client.serve(&request)?;
    match context.output.format {
        Format::Table => print(&format!("{}\n", service.url))?,
        Format::Json | Format::Yaml => context.output.show(&service, |_, _| String::new())?,
    }
    match signals {
        Some(signals) => attend(context, &client, &service, &signals),
        None => {
            crate::say!(
                "{}",
                context.talk.faint(&format!("end it: hypermesh service delete {}", service.name))
            );
            Ok(())
        }
    }
}

/// What ends the command.
enum Over {
    /// Ctrl-C, or a request to end.
    Told,
    /// The service, or the way to it.
    Ended(anyhow::Result<()>),
}

type Overs = (mpsc::Sender<Over>, mpsc::Receiver<Over>);

/// Hears of SIGINT and SIGTERM from now on.
fn watch_signals() -> anyhow::Result<Overs> {
    let (tell, told) = mpsc::channel();
    let runtime = Builder::new_current_thread().enable_io().build().context("watching signals")?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let telling = tell.clone();
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // With the receiver gone the command is over already.
        let _ = telling.send(Over::Told);
    });
    Ok((tell, told))
}

/// Shows the service's log until somebody ends this command, then ends the service.
fn attend(context: &Context, client: &Client, service: &Service, signals: &Overs) -> anyhow::Result<()> {
    let talk = context.talk;
    crate::say!("{}", talk.faint("its log follows; Ctrl-C ends it"));
    let (tell, told) = signals;
    let (follower, name, telling) = (client.clone(), service.name.clone(), tell.clone());
    thread::spawn(move || {
        let ended = each_line(&follower, &name, true, |line| {
            crate::say!("{}", format_line(line, talk));
            Ok(())
        });
        let _ = telling.send(Over::Ended(ended));
    });
    match told.recv() {
        Ok(Over::Told) | Err(_) => {
            client.remove_service(&service.name).context("ending the service")?;
            crate::say!("{}", talk.faint("ended"));
            Ok(())
        }
        Ok(Over::Ended(followed)) => {
            followed.with_context(|| {
                format!("service {0} may still serve; end it by `hypermesh service delete {0}`", service.name)
            })?;
            let reason = client.service(&service.name).ok().and_then(|service| service.end_reason);
            let reason = reason.unwrap_or_else(|| "it was removed".to_owned());
            crate::say!(
                "{}",
                talk.warning(&format!("the service ended: {}", crate::human::printable(&reason)))
            );
            Err(Failure::EXPLAINED.into())
        }
    }
}
