//! Routes of the contract that this build does not have: each answers 501 with a document that says so.
//!
//! A caller so learns that the route is right and the build is not, which a 404 would hide. The tables hold the contract's
//! routes; those of this service stand in the OpenAPI document as what they are.

use crate::edge::Edge;
use crate::problem::{Draft, Kind};
use crate::state::ApiState;
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Json, Router};
use hypermesh_wire::system::Probe;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{HttpMethod, PathItem, Paths, Ref, Required};

/// A service of the contract that this build does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// QUIC connections.
    Stoq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
}
use Verb::{Get, Post, Put};

/// A route, and the id of its operation where it stands in our document.
pub(crate) type Route = (Verb, &'static str, &'static str);

/// The tag of these routes in the OpenAPI document.
pub(crate) const TAG: &str = "not built";

/// Routes of port 8446.
pub(crate) const MESH: [Route; 10] = [
    (Post, "/api/v1/consensus/validate", "consensus_validate"),
    (Get, "/api/v1/consensus/history/{asset_id}", "consensus_history"),
    (Post, "/api/v1/consensus/proof", "consensus_proof"),
    (Get, "/api/v1/byzantine/detections", "byzantine_detections"),
    (Post, "/api/v1/byzantine/report", "byzantine_report"),
    (Get, "/api/v1/proxy/list", "proxy_list"),
    (Post, "/api/v1/proxy/create", "proxy_create"),
    (Put, "/api/v1/proxy/{id}", "proxy_update"),
    (Get, "/api/v1/proxy/{id}/validate-trust", "proxy_validate_trust"),
    (Post, "/api/v1/proxy/execute", "proxy_execute"),
];

/// Routes of port 8445.
const STOQ: [Route; 22] = [
    (Get, "/docs", ""),
    (Get, "/openapi.json", ""),
    (Get, "/health", ""),
    (Get, "/metrics", ""),
    (Get, "/api/v1/system/health", ""),
    (Get, "/api/v1/connections", ""),
    (Post, "/api/v1/connections", ""),
    (Get, "/api/v1/connections/{id}", ""),
    (Post, "/api/v1/connections/{id}/close", ""),
    (Get, "/api/v1/metrics/performance", ""),
    (Post, "/api/v1/metrics/historical", ""),
    (Get, "/api/v1/analysis/quality", ""),
    (Get, "/api/v1/optimization/{connection_id}", ""),
    (Post, "/api/v1/optimization/{connection_id}/apply", ""),
    (Get, "/api/v1/pools", ""),
    (Post, "/api/v1/pools", ""),
    (Get, "/api/v1/analytics/streams", ""),
    (Post, "/api/v1/diagnostics/{connection_id}", ""),
    (Post, "/api/v1/benchmark", ""),
    (Get, "/api/v1/benchmark/{test_id}", ""),
    (Get, "/api/v1/config/transport", ""),
    (Put, "/api/v1/config/transport", ""),
];

impl Service {
    /// Its name in metrics and documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stoq => "stoq",
        }
    }

    fn routes(self) -> &'static [Route] {
        match self {
            Self::Stoq => &STOQ,
        }
    }
}

/// All routes of a service as 501, and `/livez`, because the process does live.
pub(crate) fn service(service: Service, edge: Edge) -> Router {
    let alive = axum::routing::get(|| async { Json(Probe { status: "ok".into() }) });
    edge.around(answer_all(service.routes(), Router::new()).route("/livez", alive))
}

/// The routes of port 8446 that are not built, for merging into its router.
pub(crate) fn mesh() -> Router<ApiState> {
    answer_all(&MESH, Router::new())
}

fn answer_all<S: Clone + Send + Sync + 'static>(routes: &[Route], router: Router<S>) -> Router<S> {
    let refuse = |verb: Verb| MethodRouter::new().on(verb.filter(), not_built);
    routes.iter().fold(router, |router, (verb, path, _)| router.route(path, refuse(*verb)))
}

async fn not_built() -> Draft {
    Draft::new(Kind::NotBuilt, "the route is part of the contract, but this build does not have it yet")
}

impl Verb {
    fn filter(self) -> MethodFilter {
        match self {
            Get => MethodFilter::GET,
            Post => MethodFilter::POST,
            Put => MethodFilter::PUT,
        }
    }

    fn documented(self) -> HttpMethod {
        match self {
            Get => HttpMethod::Get,
            Post => HttpMethod::Post,
            Put => HttpMethod::Put,
        }
    }
}

/// Adds the routes of port 8446 to the document.
pub(crate) fn document(paths: &mut Paths) {
    for (verb, path, operation_id) in MESH {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<_> = names.map(path_parameter).collect();
        let operation = OperationBuilder::new()
            .tag(TAG)
            .operation_id(Some(operation_id))
            .summary(Some("Not in this build"))
            .parameters((!parameters.is_empty()).then_some(parameters))
            .response("501", Ref::from_response_name("NotBuilt"));
        let item = PathItem::new(verb.documented(), operation);
        match paths.paths.get_mut(path) {
            Some(known) => known.merge_operations(item),
            None => drop(paths.paths.insert(path.to_owned(), item)),
        }
    }
}

fn path_parameter(name: &str) -> utoipa::openapi::path::Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
    parameter.required(Required::True).schema(Some(schema)).build()
}
