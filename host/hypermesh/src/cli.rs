//! The command line: what can be asked, with its help. What is done is in `commands`.

use crate::commands::{
    acme, alloc, api, array, asset, ca, catalog, cert, completions, config, demo, dns, events, exec, guest,
    log, quota, run, schedule, serve, service, token, volume,
};
use crate::output::Format;
use clap::{Args, ColorChoice, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes: 0 ok · 1 failed · 2 wrong usage · 3 refused by the node · 4 not authorised · 5 node unreachable · \
64 bad configuration.
Environment: HYPERMESH_DATA_DIR, HYPERMESH_SERVER, HYPERMESH_TOKEN (else the token file of the data folder), HYPERMESH_CA, \
HYPERMESH_CLIENT_CERT and HYPERMESH_CLIENT_KEY, NO_COLOR.";

/// Measure a machine, lease parts of it, run WebAssembly guests there.
#[derive(Debug, Parser)]
#[command(name = "hypermesh", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The node's data folder: state, token, addresses
    #[arg(long, global = true, env = "HYPERMESH_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The node's address [default: that of the node that runs on the data folder, else http://127.0.0.1:8446]
    #[arg(long, global = true, env = "HYPERMESH_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Root certificate of a node that speaks TLS, PEM [default: that of the node that runs on the data folder]
    #[arg(long, global = true, env = "HYPERMESH_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Client certificate with those above it, PEM: stands for its holder in place of a token
    #[arg(long, global = true, env = "HYPERMESH_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, global = true, env = "HYPERMESH_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// How data is printed
    #[arg(short = 'o', long = "output", global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// When to use colours; NO_COLOR turns `auto` off
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

/// How a node is set up, as flags. They win over the environment, which wins over the file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Node options")]
pub(crate) struct NodeOptions {
    /// Configuration file, TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the TrustChain API; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_trustchain: Option<SocketAddr>,
    /// Address of the STOQ API
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_stoq: Option<SocketAddr>,
    /// Address of the HyperMesh API
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_hypermesh: Option<SocketAddr>,
    /// Address of the DNS server, UDP and TCP
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_dns: Option<SocketAddr>,
    /// Speak TLS at the three APIs, with the node's own certificate; an address that others reach needs it
    #[arg(long)]
    pub(crate) tls: bool,
    /// The zone that the node answers for [default: hypermesh.network]
    #[arg(long, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// Lease even where the kernel can't enforce the limits
    #[arg(long)]
    pub(crate) allow_unenforced: bool,
    /// Cgroup below which leases are made, e.g. /hypermesh.slice
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup_parent: Option<String>,
    /// Form of the log on stderr: text or json
    #[arg(long, value_name = "FORM")]
    pub(crate) log_format: Option<String>,
    /// What is logged, e.g. info,hypermesh_mesh=debug
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a node and run a real job on a real file, step by step
    Demo(demo::Arguments),
    /// Run a node until Ctrl-C
    Serve(serve::Arguments),
    /// Show how the node is
    Status,
    /// Watch assets, leases and executions on one screen; end one with `k`
    Top,
    /// Check whether this machine can run a node, and say what is missing
    Doctor(NodeOptions),
    /// The machine's hardware and what was registered
    #[command(subcommand)]
    Asset(asset::Command),
    /// Leases on a part of the machine
    #[command(subcommand)]
    Alloc(alloc::Command),
    /// How much each requester may hold
    #[command(subcommand)]
    Quota(quota::Command),
    /// The folders of leases
    #[command(subcommand)]
    Volume(volume::Command),
    /// Who may write, and what
    #[command(subcommand)]
    Token(token::Command),
    /// Run a WebAssembly component, from a file or from the catalog
    Run(Box<run::Arguments>),
    /// HTTP guests that the node serves
    #[command(subcommand)]
    Service(service::Command),
    /// Executions
    #[command(subcommand)]
    Exec(exec::Command),
    /// Write guests: new, build, test, run, inspect, publish
    #[command(subcommand)]
    Guest(guest::Command),
    /// Executions over many parameters; `run --array` begins one
    #[command(subcommand)]
    Array(array::Command),
    /// Executions at a time, or again and again
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// The catalog of components
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Certificates: issued, renewed, revoked, validated
    #[command(subcommand)]
    Cert(Box<cert::Command>),
    /// The authorities: how to trust them, their lists, their replacement
    #[command(subcommand)]
    Ca(ca::Command),
    /// The node's DNS zone
    #[command(subcommand)]
    Dns(dns::Command),
    /// The transparency log, and an audit of it
    #[command(subcommand)]
    Log(log::Command),
    /// The ACME server, for certbot and others
    #[command(subcommand)]
    Acme(acme::Command),
    /// Send any request to the node's API
    Api(api::Arguments),
    /// What happened on the node
    Events(events::Arguments),
    /// The configuration in effect
    #[command(subcommand)]
    Config(config::Command),
    /// Print completions for a shell
    Completions(completions::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("hypermesh").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_help_promises_is_accepted() {
        for line in [
            "demo --once --file Cargo.lock --listen-hypermesh 127.0.0.1:0",
            "serve -o json --data-dir /tmp/x --listen-trustchain 127.0.0.1:0 --listen-stoq [::1]:0",
            "serve --config a.toml --allow-unenforced --cgroup-parent /a.slice",
            "status -o yaml --color never",
            "doctor",
            "top --color never",
            "asset list --type cpu --status available",
            "asset create --type service --name x --specifications {\"a\":1}",
            "asset update ID --status maintenance",
            "alloc create --cpu 25 --memory 256MiB --duration 10m",
            "alloc create --asset A --amount 2.5",
            "alloc create --cpu-millis 1500m --cpu-mode pinned --memory 1GiB --memory-request 512MiB --pids 9",
            "alloc create --cpu 5 --burst 50000 --io-read-bps 10MB --io-write-bps 1MiB --io-read-iops 9 --io-write-iops 9",
            "alloc create --storage 1GiB --keep-storage --on-expiry freeze --grace 5m --warn 0",
            "alloc create --gpus 2 --gpu-model A100 --gpu-uuid GPU-1 --gpu-uuid GPU-2 --gpu-min-memory 40GiB --mig",
            "alloc create --gpus 1 --gpu-memory 2GiB --priority 90 --preemptible --min-runtime 1h --key build-7",
            "alloc create --cpu 90 --wait",
            "alloc create --cpu 90 --wait 10m --duration 1d",
            "alloc create --cpu 90 --at 2030-01-02T03:04:05Z",
            "alloc create --cpu 90 --at +2h --dry-run",
            "alloc list --phase frozen --status active",
            "alloc resize L --memory 1GiB --cpu-millis 500 --burst 0 --force --if-match 7",
            "alloc renew L --duration 2h --if-match 7",
            "alloc attach L 42",
            "alloc usage L",
            "alloc usage L -f --interval 5 -o json",
            "alloc queue",
            "quota list",
            "quota set ann --cpu-millis 2000 --memory 4GiB --storage 0.5GiB --gpus 0 --leases 3",
            "quota remove ann",
            "volume list",
            "run --http hello.wasm --name hello --detach --concurrency 4 --request-timeout 5s --max-body 1MiB --duration 1d",
            "run --http hello --alloc L --net localhost:80",
            "service list",
            "service show hello",
            "service logs hello --follow",
            "service delete hello",
            "volume remove L",
            "token create ann --role operator",
            "token list",
            "token revoke ann",
            "alloc exec L -- sh -c true",
            "run a.wasm --param n=3 --param s=x --input f --input g --cpu 10 --memory 64MiB --timeout 5m",
            "run hash-files --params {\"a\":1} --alloc L --output-dir out",
            "run x --array size=1,2,4 --array mode=a,b --parallel 3 --max-failures 2",
            "run x --array n=1..100:5 --unordered -o json",
            "run x --array items.jsonl",
            "array list",
            "array show A --items",
            "array follow A --unordered",
            "array cancel A",
            "schedule create nightly hash-files --param n=3 --cron @daily --tz Europe/Berlin --concurrency forbid",
            "schedule create once x.wasm --at +2h --catch-up skip --history 5 --paused",
            "schedule list",
            "schedule show S",
            "schedule pause S",
            "schedule resume S",
            "schedule run-now S",
            "schedule delete S",
            "exec logs E -f",
            "exec output E name --to file",
            "catalog add a.wasm --name a --version 0.2.0",
            "guest new word-count --template validator --language rust --sdk ../guest-sdk",
            "guest build --project p -o json",
            "guest test --project p --case poem --no-native",
            "guest run --local --project p --param n=3 --input f --memory 64MiB",
            "guest inspect a.wasm --against b.wasm",
            "guest publish --name a --version 1.0.0 --to localhost:5000/a:1.0.0",
            "catalog import a.wasm --description what",
            "catalog import a.tar --name b",
            "catalog import a.wasm --signature a.sig",
            "catalog export a@1.0.0 -f a.tar",
            "catalog pull ghcr.io/acme/a:1.0.0 --name a --version 1.0.0",
            "catalog pull localhost:5000/a --insecure --username me --password-stdin",
            "catalog push a localhost:5000/a --insecure --sign-key k.pem",
            "catalog sign a@1.0.0 --key k.pem",
            "catalog verify a --key k.pub --key l.pub",
            "catalog list --name a --type job --status deprecated",
            "catalog search hash files",
            "catalog show a@^1.2",
            "catalog versions a",
            "catalog deprecate a@1.0.0 --reason use-2",
            "catalog undeprecate a@1.0.0",
            "catalog remove a@1.0.0",
            "api POST /api/v1/allocations --data @file",
            "api --trustchain GET /api/v1/status",
            "events --follow",
            "config show --origin",
            "completions bash",
            "serve --tls --zone mesh.example --listen-dns 127.0.0.1:0",
            "status --ca root.pem --server https://127.0.0.1:8446",
            "status --client-cert a.pem --client-key a.key",
            "cert list --status active --level leaf --usage server --subject a --name b",
            "cert issue CN=a.hypermesh.network --name b.hypermesh.network --days 30 --key-type ed25519 --out a",
            "cert issue --csr a.csr --usage client",
            "cert renew C --key-type ecdsa-p384 --days 9 --out b",
            "cert revoke C --reason keyCompromise",
            "cert validate C --host a --purpose server",
            "cert validate --file a.pem --roots r.pem",
            "cert export C --chain",
            "cert proof C",
            "cert rotate C --emergency --out c",
            "cert history C",
            "cert policy create C --interval 30 --warning 0 --grace 1",
            "cert policy list",
            "cert policy remove P",
            "ca show",
            "ca trust",
            "ca export --bundle",
            "ca crl",
            "ca rollover prepare",
            "ca rollover advance R",
            "ca rollover abandon R",
            "ca rollover list",
            "dns list a.hypermesh.network",
            "dns add a.hypermesh.network mx mail.hypermesh.network --priority 10 --ttl 60",
            "dns change D --value 127.0.0.2",
            "dns remove D",
            "dns resolve a.hypermesh.network --type AAAA",
            "dns zone",
            "dns export",
            "dns import zone",
            "log show",
            "log checkpoint",
            "log key",
            "log rebuild",
            "log verify /srv/data --key log.pem",
            "acme show",
            "acme clients a.hypermesh.network",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for line in [
            "run",
            "run x --params {} --param a=1",
            "run x --alloc L --cpu 10",
            "run x --cpu 0",
            "run x --cpu nan",
            "run x --memory lots",
            "run x --timeout -1",
            "run x --params [1]",
            "run x --parallel 2",
            "run x --array n=1..2 --output-dir out",
            "run x --array n=1..2 --parallel 0",
            "run x --array n=1..2 --parallel 257",
            "schedule create a",
            "schedule create a x",
            "schedule create a x --at +1h --cron @daily",
            "schedule create a x --at +1h --tz UTC",
            "schedule create a x --cron @daily --concurrency never",
            "schedule create a x --cron @daily --history 0",
            "alloc create",
            "alloc create --asset A",
            "alloc create --amount 5",
            "alloc create --duration 1h --priority 5",
            "alloc create --cpu 5 --cpu-millis 50",
            "alloc create --cpu 5 --cpu-mode glued",
            "alloc create --cpu 5 --priority 101",
            "alloc create --cpu 5 --wait 5m --at +1h",
            "alloc create --cpu 5 --at yesterday",
            "alloc create --cpu 5 --mig",
            "alloc create --cpu 5 --keep-storage",
            "alloc create --cpu 5 --min-runtime 1h",
            "alloc create --cpu 5 --grace 5m",
            "alloc create --cpu 5 --key a b",
            "alloc create --cpu 5 --key é",
            "alloc create --cpu 5 --key k --dry-run",
            "alloc resize L",
            "alloc resize L --force",
            "alloc resize --memory 1MiB",
            "alloc renew L --duration 0",
            "alloc attach L",
            "alloc attach L self",
            "alloc usage L --interval 61",
            "quota set ann",
            "token create ann",
            "token create ann --role king",
            "alloc exec L",
            "asset list --type toaster",
            "asset update ID --status allocated",
            "guest new",
            "guest new x --language perl",
            "guest inspect",
            "serve --listen-hypermesh 8446",
            "status --client-cert a.pem",
            "cert issue",
            "cert issue CN=a --usage king",
            "cert issue --csr a --key-type ed25519",
            "cert validate",
            "cert validate C --file a",
            "cert revoke C --reason bored",
            "dns add a b c",
            "dns resolve a --type ANY",
            "status -o xml",
        ] {
            let error = parse(line).err().unwrap_or_else(|| panic!("{line} was accepted"));
            assert_eq!(error.exit_code(), 2, "{line}: {error}");
        }
    }
}
