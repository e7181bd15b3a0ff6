//! The OpenAPI document (3.1) and the page that shows it.
//!
//! Operations document themselves where they are; what all have in common is added here in one place: the errors that
//! the layers and extractors give, and the token on every write. So no operation can forget them. The served document is
//! the one in `openapi/`, which a test compares.

use crate::guests;
use crate::problem::{Kind, PROBLEM_JSON};
use crate::roles;
use crate::unbuilt;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Router, routing};
use hypermesh_wire::problem::Problem;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, Content, Info, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub(crate) const BEARER: &str = "bearer";

/// Scripts and styles of the page come from the node itself, and no other page may frame it. The page sets styles inline.
const CONTENT_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// An id in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ById {
    /// Its id.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    id: String,
}

/// A digest in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ByDigest {
    /// Its SHA-256.
    #[param(pattern = "^[0-9a-f]{64}$")]
    digest: String,
}

/// An id and the name of a file in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ByIdAndName {
    /// Its id.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    id: String,
    /// The file's name, percent-encoded.
    #[param(min_length = 1, max_length = 128)]
    name: String,
}

/// The name of a token in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ByName {
    /// Its name.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    name: String,
}

/// The name of a service in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ByService {
    /// Its name.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    name: String,
}

/// A file of an authority in a path: its name with its ending.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ByFile {
    /// The authority's id, and what form is wanted.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    file: String,
}

/// A requester in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ByRequester {
    /// The requester: the name of a token, or `admin`.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    requester: String,
}

/// A change that is meant for one generation.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct Matching {
    /// Only if it is at this generation: the `etag` of an earlier answer, with or without its quotes; `*`
    /// for any.
    #[param(rename = "If-Match", required = false, pattern = "^(\\*|\"[0-9]{1,19}\"|[0-9]{1,19})$")]
    if_match: String,
}

/// A request that may be sent twice.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct Keyed {
    /// A key of the caller's choice: the same request with the same key makes one allocation, however often it is sent.
    #[param(rename = "Idempotency-Key", required = false, pattern = "^[!-~]{1,64}$")]
    idempotency_key: String,
}

/// An upload that is signed.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct Signed {
    /// A signature over the component's bytes, in base64, as `cosign sign-blob` gives it.
    #[param(
        rename = "Hypermesh-Signature",
        required = false,
        pattern = "^[A-Za-z0-9+/]{2,1022}[A-Za-z0-9+/=]{2}$"
    )]
    hypermesh_signature: String,
}

/// Resuming a stream of events.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct Resume {
    /// Resume after this event, 0 for the first; without it, from now on.
    #[param(rename = "Last-Event-ID", required = false, minimum = 0, maximum = 1_000_000_000_000_u64)]
    last_event_id: u64,
}

/// A body of any bytes.
pub(crate) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Binary {}

/// Which error responses stand under which name, and when they occur.
const PROBLEMS: [(&str, Kind, &str); 15] = [
    ("BadRequest", Kind::Invalid, "A member, parameter or header is wrong; `member` names it"),
    ("Unauthorized", Kind::Unauthorized, "The token is missing or wrong"),
    ("Forbidden", Kind::Forbidden, "The `origin` may not write, or the token does not allow it"),
    ("NotFound", Kind::NotFound, "There is no such thing"),
    ("RequestTimeout", Kind::Timeout, "The body came too slowly"),
    ("Conflict", Kind::Conflict, "The state, or the capacity that is free, does not allow it now"),
    ("TooLarge", Kind::TooLarge, "The body is larger than allowed"),
    ("UnsupportedMediaType", Kind::UnsupportedMediaType, "The body's `content-type` is not taken here"),
    ("Misdirected", Kind::Misdirected, "The node does not answer to this `host`"),
    ("Unprocessable", Kind::Unprocessable, "It is understood but can't be done; the reasons say why"),
    ("InternalError", Kind::Internal, "A fault of the node; its log has it under `request_id`"),
    ("NotBuilt", Kind::NotBuilt, "This build does not have it"),
    ("Unavailable", Kind::Unavailable, "Too much to do, or stopping; see `retry-after`"),
    ("GuestFailed", Kind::GuestFailed, "The guest gave no answer; the detail says why"),
    ("GuestTimeout", Kind::GuestTimeout, "The guest took longer than the service allows"),
];

/// A document before its operations: of which service it is, and their tags.
pub(crate) struct About {
    title: &'static str,
    description: &'static str,
    tags: &'static [(&'static str, &'static str)],
}

/// Port 8446.
pub(crate) const HYPERMESH: About = About {
    title: "HyperMesh",
    description: "Measure a machine, lease a part of it, run WebAssembly guests there.",
    tags: &[
        ("system", "Whether the node lives, is ready and is well"),
        ("assets", "The node's hardware, and what people register"),
        ("allocations", "Leases on a part of the machine, enforced by the kernel"),
        ("executions", "Runs of WebAssembly guests"),
        ("schedules", "Executions at a time, or again and again"),
        ("services", "HTTP guests that the node serves, an instance a request"),
        ("catalog", "Vetted components: their versions, signatures, registries"),
        ("blobs", "Input files, by content"),
        ("nodes", "This node and the network"),
        ("events", "What changed"),
        ("access", "Who may do how much: tokens and quotas"),
        (unbuilt::TAG, "Part of the contract, not of this build"),
    ],
};

/// Port 8444.
pub(crate) const TRUSTCHAIN: About = About {
    title: "TrustChain",
    description: "A certificate authority, a DNS zone and a transparency log. What follows documents of others is served \
        beside this one: ACME (RFC 8555, RFC 9773) at `/acme/directory`, the log's tiles (c2sp.org/static-ct-api) at \
        `/tile/` and `/issuer/`, OCSP by GET at `/ocsp/`.",
    tags: &[
        ("system", "Whether the service lives, is ready and is well"),
        ("certificates", "Certificates: issued, renewed, revoked, validated"),
        ("trust", "The authorities, and the replacement of the one that signs"),
        ("published", "What relying parties fetch: revocation lists, status, issuers"),
        ("log", "The transparency log (RFC 6962)"),
        ("dns", "The node's zone"),
        ("rotation", "Certificates replaced before their time is over"),
        ("authentication", "Proving to hold a certificate's key"),
    ],
};

/// The document of the HyperMesh service.
pub fn openapi() -> OpenApi {
    complete(crate::router::documented(std::time::Duration::ZERO).into_openapi())
}

/// The document of the TrustChain service.
pub fn trustchain_openapi() -> OpenApi {
    common(crate::router::trustchain_documented(std::time::Duration::ZERO).into_openapi())
}

/// What stands around the operations.
pub(crate) fn frame(about: &About) -> OpenApi {
    let mut info = Info::new(about.title, env!("CARGO_PKG_VERSION"));
    info.description = Some(about.description.to_owned());
    let tag = |(name, text): &(&str, &str)| TagBuilder::new().name(*name).description(Some(*text)).build();
    let mut components = Components::new();
    components.add_security_scheme(BEARER, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    for (name, _, when) in PROBLEMS {
        let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
        let response = ResponseBuilder::new().description(when).content(PROBLEM_JSON, content).build();
        components.responses.insert(name.to_owned(), response.into());
    }
    let tags: Vec<_> = about.tags.iter().map(tag).collect();
    OpenApiBuilder::new().info(info).tags(Some(tags)).components(Some(components)).build()
}

/// Adds what all operations have in common, and the routes of port 8446 that stand in no handler.
pub(crate) fn complete(mut api: OpenApi) -> OpenApi {
    unbuilt::document(&mut api.paths);
    api = common(api);
    // They say themselves what may go wrong.
    guests::document(&mut api.paths);
    api
}

/// Adds what all operations have in common.
pub(crate) fn common(mut api: OpenApi) -> OpenApi {
    for (path, item) in &mut api.paths.paths {
        let in_path = path.contains('{');
        let PathItem { get, put, post, delete, patch, .. } = item;
        get.iter_mut().for_each(|operation| add_errors(operation, in_path, false));
        if roles::proves_itself(&Method::POST, path) {
            post.iter_mut().for_each(|operation| add_errors(operation, in_path, false));
        } else {
            post.iter_mut().for_each(|operation| add_errors(operation, in_path, true));
        }
        for operation in [put, delete, patch].into_iter().flatten() {
            add_errors(operation, in_path, true);
        }
    }
    api
}

fn add_errors(operation: &mut Operation, in_path: bool, write: bool) {
    give_content(operation);
    if write {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    }
    let built = !operation.responses.responses.contains_key("501");
    let body = operation.request_body.is_some();
    let parameters = operation.parameters.as_ref().is_some_and(|all| {
        all.iter().any(|one| matches!(one, RefOr::T(one) if one.parameter_in != ParameterIn::Path))
    });
    let names = [
        (built && (body || parameters), "BadRequest"),
        (write, "Unauthorized"),
        (write, "Forbidden"),
        (built && in_path, "NotFound"),
        (body, "RequestTimeout"),
        (body, "TooLarge"),
        (body, "UnsupportedMediaType"),
        (true, "Misdirected"),
        (true, "InternalError"),
        (built, "Unavailable"),
    ];
    for (_, name) in names.into_iter().filter(|(occurs, _)| *occurs) {
        add_response(operation, name);
    }
}

/// Errors that an operation described itself are problem documents too.
fn give_content(operation: &mut Operation) {
    let errors = operation.responses.responses.iter_mut().filter(|(status, _)| status.as_str() >= "400");
    for (_, response) in errors {
        if let RefOr::T(response) = response {
            let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
            response.content.entry(PROBLEM_JSON.to_owned()).or_insert(content.into());
        }
    }
}

pub(crate) fn add_response(operation: &mut Operation, name: &str) {
    let kind = PROBLEMS.iter().find(|(known, ..)| *known == name).map(|(_, kind, _)| *kind);
    if let Some(kind) = kind {
        let status = kind.parts().0.as_str().to_owned();
        operation.responses.responses.entry(status).or_insert(Ref::from_response_name(name).into());
    }
}

/// `/openapi.json` and `/docs`.
pub(crate) fn router(api: OpenApi) -> Router {
    let text: Arc<str> = serde_json::to_string(&api).unwrap_or_default().into();
    let serve = move || {
        let text = Arc::clone(&text);
        async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) }
    };
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    Router::from(page).layer(map_response(guard_page)).route("/openapi.json", routing::get(serve))
}

async fn guard_page(mut response: Response) -> Response {
    let policy: HeaderName = header::CONTENT_SECURITY_POLICY;
    response.headers_mut().insert(policy, HeaderValue::from_static(CONTENT_POLICY));
    response
}

#[cfg(test)]
mod tests;
