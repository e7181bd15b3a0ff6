//! Starting, serving, draining.

use crate::config::Config;
use crate::error::NodeError;
use crate::{token, trust};
use hypermesh_api::{
    ApiConfig, ApiState, Listening, Secret, Service, Serving, Tls, Traffic, TrustState, hypermesh_router,
    plain_router, published_router, serve, trustchain_router, unbuilt_router,
};
use hypermesh_artifacts::SAMPLES;
use hypermesh_mesh::{
    CatalogSettings, LeaseFolders, Machine, Mesh, MeshError, NewPackage, Parts, Receiving, Settings,
};
use hypermesh_model::{Subject, Version};
use hypermesh_sandbox::CgroupSettings;
use hypermesh_store::Store;
use hypermesh_telemetry::Metrics;
use hypermesh_trustchain::TrustChain;
use serde::Serialize;
use serde::ser::SerializeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The addresses that a node listens on. Serialises as URLs, as others on this machine can use them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the service")]
pub struct Bound {
    pub trustchain: SocketAddr,
    pub stoq: SocketAddr,
    pub hypermesh: SocketAddr,
    /// UDP and TCP; empty until TrustChain is open.
    pub dns: Vec<SocketAddr>,
    /// Whether the services speak TLS.
    pub tls: bool,
}

impl Bound {
    /// The URL of one of the services.
    pub fn url(&self, address: SocketAddr) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, trust::reachable(address))
    }
}

impl Serialize for Bound {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trustchain", &self.url(self.trustchain))?;
        map.serialize_entry("stoq", &self.url(self.stoq))?;
        map.serialize_entry("hypermesh", &self.url(self.hypermesh))?;
        let dns: Vec<_> = self.dns.iter().map(|address| trust::reachable(*address).to_string()).collect();
        map.serialize_entry("dns", &dns)?;
        map.end()
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    mesh: Mesh,
    trust: TrustChain,
    bound: Bound,
    endpoints: PathBuf,
    closing: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

/// SIGINT and SIGTERM, which end the process no longer by themselves. Watched before anybody is told that the node is
/// there: who knows may stop it.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Watches them from now on. Within a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn watch() -> Result<Self, NodeError> {
        let watch = |kind| signal(kind).map_err(NodeError::Signals);
        Ok(Self { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? })
    }
}

impl Node {
    /// Starts a node: opens what it keeps, recovers what an earlier run left, measures, listens.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let catalog = config.catalog.settings().map_err(NodeError::Config)?;
        let data_dir = make_data_dir(&config.data_dir)?;
        let store = Store::open(&data_dir.join("node.sqlite")).map_err(NodeError::Store)?;
        // Held before anything is told to the kernel: a port that is taken must not end another node's leases.
        let listeners = Listeners::bind(&config).await?;
        let mut bound = listeners.bound(config.tls)?;
        let token_file = data_dir.join("token");
        let token = token::read_or_make(&token_file).map_err(|source| NodeError::Folder {
            doing: "read the token",
            path: token_file,
            source,
        })?;
        let metrics = Metrics::new();
        let node = Mesh::identify(&store).map_err(NodeError::Mesh)?;
        let trust = trust::settings(&config, &data_dir, node, bound.trustchain).map_err(NodeError::Config)?;
        let base_url = trust.base_url.clone();
        let trust = trust::open(trust, store.clone()).await?;
        bound.dns = trust.dns_addresses();
        let mesh = start_mesh(&config, catalog, &data_dir, store, &bound, metrics.clone()).await?;
        let closing = CancellationToken::new();
        let (tls, follower) = match config.tls {
            true => Some(trust::tls(&trust, &closing)?).unzip(),
            false => (None, None),
        };
        let state = ApiState::new(
            mesh.clone(),
            metrics,
            api_config(&config, token),
            bound.url(bound.hypermesh),
            closing.clone(),
        )
        .with_clients(Arc::new(trust::Clients(trust.clone())));
        let listening = Listening {
            address: bound.trustchain,
            tls: config.tls,
            base_url,
            zone: config.trustchain.zone.clone(),
        };
        publish(&data_dir, &bound, &trust)?;
        tracing::info!(node = %mesh.node_id(), hypermesh = %bound.hypermesh, "the node is ready");
        let trust_state = TrustState::new(state.clone(), trust.clone(), listening, Traffic::default());
        let mut servers = listeners.serve(&state, &trust_state, tls.as_ref(), &closing);
        servers.extend(follower);
        Ok(Self { mesh, trust, bound, endpoints: data_dir.join(ENDPOINTS), servers, closing })
    }

    /// The addresses that it listens on.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Puts the sample jobs into the catalog and gives their names.
    ///
    /// # Errors
    /// When one is refused: a fault of this build.
    pub async fn install_samples(&self) -> Result<Vec<String>, NodeError> {
        let by = Subject("hypermesh".into());
        let mut names = Vec::new();
        for sample in SAMPLES {
            let new = NewPackage {
                name: Some(sample.name.into()),
                version: Version::parse(sample.version).ok(),
                description: Some(sample.description.into()),
                signature: None,
            };
            let add = async {
                let mut upload = self.mesh.receive(Receiving::Component)?;
                upload.write(sample.component)?;
                self.mesh.add_built_in(&by, new, upload.finish()?).await
            };
            match add.await {
                Ok(package) => names.push(package.name),
                // An older sample of the same version: somebody works on it. The one that is there stays.
                Err(MeshError::Conflict { detail }) => {
                    tracing::warn!(detail, "a sample is not installed");
                    names.push(sample.name.into());
                }
                Err(error) => return Err(NodeError::Mesh(error)),
            }
        }
        Ok(names)
    }

    /// Serves until SIGINT or SIGTERM, then stops.
    ///
    /// # Errors
    /// When the end can't be recorded.
    pub async fn run_until(self, mut signals: Signals) -> Result<(), NodeError> {
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
        }
        self.stop().await
    }

    /// Ends event streams, lets running requests finish, records the end. Leases and workers outlive the node.
    ///
    /// # Errors
    /// When the end can't be recorded.
    pub async fn stop(self) -> Result<(), NodeError> {
        tracing::info!("the node is stopping");
        self.closing.cancel();
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a server failed");
            }
        }
        self.trust.stop().await.map_err(NodeError::TrustChain)?;
        self.mesh.stop().await.map_err(NodeError::Mesh)?;
        // Without it the CLI falls back to the default addresses.
        let _ = fs::remove_file(self.endpoints);
        Ok(())
    }
}

struct Listeners {
    trustchain: TcpListener,
    stoq: TcpListener,
    hypermesh: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, NodeError> {
        let bind = async |service, address: SocketAddr| {
            TcpListener::bind(address).await.map_err(|source| NodeError::Listen { service, address, source })
        };
        Ok(Self {
            trustchain: bind("trustchain", config.listen_trustchain).await?,
            stoq: bind("stoq", config.listen_stoq).await?,
            hypermesh: bind("hypermesh", config.listen_hypermesh).await?,
        })
    }

    fn bound(&self, tls: bool) -> Result<Bound, NodeError> {
        let address = |l: &TcpListener| l.local_addr().map_err(NodeError::Signals);
        Ok(Bound {
            trustchain: address(&self.trustchain)?,
            stoq: address(&self.stoq)?,
            hypermesh: address(&self.hypermesh)?,
            dns: Vec::new(),
            tls,
        })
    }

    fn serve(
        self,
        state: &ApiState,
        trust: &TrustState,
        tls: Option<&Tls>,
        closing: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let serving = |router, plain, traffic| Serving { router, tls: tls.cloned(), plain, traffic };
        let (stoq, hypermesh) = (Traffic::default(), Traffic::default());
        let services = [
            (
                self.trustchain,
                serving(trustchain_router(trust.clone()), published_router(trust.clone()), trust.traffic()),
            ),
            (
                self.stoq,
                serving(unbuilt_router(Service::Stoq, state, stoq.clone()), plain_router(state), stoq),
            ),
            (
                self.hypermesh,
                serving(hypermesh_router(state.clone(), hypermesh.clone()), plain_router(state), hypermesh),
            ),
        ];
        let spawn =
            |(listener, serving)| tokio::spawn(serve(listener, serving, closing.clone().cancelled_owned()));
        services.map(spawn).into()
    }
}

/// Who may read and write, and under which names the node is known.
fn api_config(config: &Config, token: String) -> ApiConfig {
    let mut api = ApiConfig::new(Secret::new(token));
    api.allowed_hosts.clone_from(&config.allowed_hosts);
    // Certificates and ACME's directory send their readers there.
    let told = [&config.trustchain.base_url, &config.trustchain.issuer_url];
    api.allowed_hosts.extend(told.into_iter().flatten().filter_map(|url| trust::host(url)));
    if config.tls {
        // A client that came this far verified the name against the node's certificate, so nobody bent it.
        let zone = &config.trustchain.zone;
        let names = ["trust", "stoq", &config.trustchain.node_name].map(|label| format!("{label}.{zone}"));
        api.allowed_hosts.extend(names.into_iter().chain([zone.clone()]));
        let bound = config.listeners().into_iter().map(|(_, address)| address.ip());
        api.allowed_hosts.extend(bound.flat_map(trust::addresses).map(|address| address.to_string()));
    }
    api.allowed_origins.extend(config.allowed_origins.iter().cloned());
    api
}

async fn start_mesh(
    config: &Config,
    catalog: CatalogSettings,
    data_dir: &Path,
    store: Store,
    bound: &Bound,
    metrics: Metrics,
) -> Result<Mesh, NodeError> {
    let node = Mesh::identify(&store).map_err(NodeError::Mesh)?;
    let (folder, nvml) = (data_dir.to_owned(), config.nvml_library.clone());
    // The first NVML call can take seconds, and folders of leases are mounted again; nothing else waits for it.
    let (machine, volumes) = tokio::task::spawn_blocking(move || {
        let volumes = LeaseFolders::open(&folder);
        (Machine::measure("/".into(), folder, nvml), volumes)
    })
    .await
    .map_err(|e| NodeError::Signals(io::Error::other(e)))?;
    let volumes = volumes.map_err(NodeError::Mesh)?;
    if let Some(reason) = volumes.unavailable_reason() {
        tracing::warn!(reason, "leases of storage are refused");
    }
    let gpus = &machine.inventory().gpus.gpus;
    let cgroups = hypermesh_sandbox::open(CgroupSettings {
        system_root: "/".into(),
        parent: config.cgroup_parent.clone(),
        node,
        gpu_minors: gpus.iter().filter_map(|gpu| gpu.minor).collect(),
    });
    if let Some(reason) = cgroups.unavailable_reason() {
        let then =
            if config.allow_unenforced { "limits are not enforced" } else { "allocations are refused" };
        tracing::warn!(reason, "cgroups can't be used; {then}");
    }
    let settings = Settings {
        data_dir: data_dir.to_owned(),
        // This very program, also after its file was replaced by a newer one.
        worker_exe: "/proc/self/exe".into(),
        allow_unenforced: config.allow_unenforced,
        orphans: config.orphans,
        grant_folders: real_folders(&config.grant_folders),
        address: bound.hypermesh.to_string(),
        catalog,
    };
    Mesh::start(Parts { settings, store, machine, cgroups, volumes, metrics }).await.map_err(NodeError::Mesh)
}

/// Folders by their real paths: what is granted is compared with those.
fn real_folders(folders: &[PathBuf]) -> Vec<PathBuf> {
    let real = |folder: &PathBuf| {
        let found = fs::canonicalize(folder);
        if let Err(error) = &found {
            tracing::warn!(folder = %folder.display(), %error, "a folder of `grant_folders` can't be granted");
        }
        found.ok()
    };
    folders.iter().filter_map(real).collect()
}

/// Makes the data folder, readable by the owner alone, and gives its absolute path: workers run elsewhere.
fn make_data_dir(path: &Path) -> Result<PathBuf, NodeError> {
    let fault = |doing| move |source| NodeError::Folder { doing, path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(fault("make"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fault("close to others"))?;
    fs::canonicalize(path).map_err(fault("find"))
}

/// Where a running node is.
const ENDPOINTS: &str = "endpoints.json";
/// Whom its clients trust.
const ROOT: &str = "root.pem";
/// The key of its transparency log.
const LOG_KEY: &str = "log.pem";

/// Writes down where the node is and whom to trust, for the command line.
fn publish(data_dir: &Path, bound: &Bound, trust: &TrustChain) -> Result<(), NodeError> {
    let endpoints = data_dir.join(ENDPOINTS);
    let text = serde_json::to_vec(bound).map_err(|e| NodeError::Folder {
        doing: "write",
        path: endpoints.clone(),
        source: io::Error::from(e),
    })?;
    write(&data_dir.join(ROOT), trust.root_pem().as_bytes())?;
    write(&data_dir.join(LOG_KEY), trust::key_pem(&trust.log_key_der()).as_bytes())?;
    write(&endpoints, &text)
}

/// Writes a file as a whole, or not at all.
fn write(path: &Path, content: &[u8]) -> Result<(), NodeError> {
    let fault = |source| NodeError::Folder { doing: "write", path: path.to_owned(), source };
    let temporary = path.with_extension("new");
    fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, path)).map_err(fault)
}
