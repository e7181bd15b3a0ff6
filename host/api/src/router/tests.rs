//! The service as callers see it, over a real domain on this machine, without kernel enforcement: that is tested where
//! it is made.

use super::*;
use crate::config::{ApiConfig, Secret};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use hypermesh_mesh::{CatalogSettings, LeaseFolders, Machine, Mesh, Orphans, Parts, Settings};
use hypermesh_sandbox::CgroupSettings;
use hypermesh_store::Store;
use hypermesh_telemetry::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

mod depth;
mod edge;
mod flows;
mod roles;
mod trustchain;

const TOKEN: &str = "t0ken";

/// A node's API and what it stands on.
struct Node {
    router: Router,
    state: ApiState,
    closing: CancellationToken,
    store: Store,
    folder: TempDir,
}

async fn node() -> Node {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    std::fs::create_dir_all(&data_dir).unwrap();
    let store = Store::open(&data_dir.join("node.sqlite")).unwrap();
    let id = Mesh::identify(&store).unwrap();
    let machine = Machine::measure("/".into(), data_dir.clone(), None);
    // A system root without cgroups: nothing of this machine's is touched.
    let system_root = folder.path().to_owned();
    let cgroups =
        hypermesh_sandbox::open(CgroupSettings { system_root, parent: None, node: id, gpu_minors: vec![] });
    let volumes = LeaseFolders::open(&data_dir).unwrap();
    let settings = Settings {
        data_dir,
        worker_exe: "/bin/false".into(),
        allow_unenforced: true,
        orphans: Orphans::default(),
        grant_folders: Vec::new(),
        address: "127.0.0.1:8446".into(),
        catalog: CatalogSettings::default(),
    };
    let metrics = Metrics::new();
    let parts = Parts { settings, store: store.clone(), machine, cgroups, volumes, metrics: metrics.clone() };
    let mesh = Mesh::start(parts).await.unwrap();
    let closing = CancellationToken::new();
    let config = ApiConfig::new(Secret::new(TOKEN));
    let state = ApiState::new(mesh, metrics, config, "http://127.0.0.1:8446", closing.clone());
    Node { router: hypermesh_router(state.clone(), Traffic::default()), state, closing, store, folder }
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:8446")
}

fn authorized(method: &str, path: &str) -> axum::http::request::Builder {
    request(method, path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

impl Node {
    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request with the token and, if there is one, a JSON body.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call_as(TOKEN, method, path, body).await
    }

    /// The same with another token.
    async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let request = request(method, path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        answer(self.send(request.body(body).unwrap()).await).await
    }
}

/// A router as a listener serves it, without TLS.
fn plainly(node: &Node) -> crate::Serving {
    let (router, plain) = (node.router.clone(), plain_router(&node.state));
    crate::Serving { router, tls: None, plain, traffic: Traffic::default() }
}

async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The first `count` chunks of a stream, as text.
async fn chunks(response: Response, count: usize) -> String {
    let stream = response.into_body().into_data_stream();
    let parts: Vec<_> = stream.take(count).map(|chunk| chunk.unwrap()).collect().await;
    String::from_utf8(parts.concat()).unwrap()
}
