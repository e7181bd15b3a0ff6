//! What the OpenAPI document says of the routes to guests: which method and path there are is the guest's business, so all
//! of them stand there as one path.

use crate::docs::{self, BEARER};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, HttpMethod, PathItem, Paths, Required, ResponseBuilder};

/// The one path.
const PATH: &str = "/guests/{name}/{path}";

/// The methods, the id of each, and whether it needs a token.
const METHODS: [(HttpMethod, &str, bool); 5] = [
    (HttpMethod::Get, "guest_get", false),
    (HttpMethod::Post, "guest_post", true),
    (HttpMethod::Put, "guest_put", true),
    (HttpMethod::Patch, "guest_patch", true),
    (HttpMethod::Delete, "guest_delete", true),
];

const SUMMARY: &str = "Ask the guest of a service";
const DESCRIPTION: &str = "The guest sees the path and the query behind `/guests/{name}` as they were sent, which may have \
    any number of segments, and `x-forwarded-prefix`. HEAD and OPTIONS are taken too. It gets neither credentials nor \
    cookies; its pages are sandboxed, and it can't set cookies.";
const ANSWER: &str = "What the guest answers; it may answer with any other status too";

/// Adds them to the document.
pub(crate) fn document(paths: &mut Paths) {
    for (method, id, writes) in METHODS {
        let mut operation = OperationBuilder::new()
            .tag("services")
            .operation_id(Some(id))
            .summary(Some(SUMMARY))
            .description(Some(DESCRIPTION))
            .parameters(Some([parameter("name", Some("^[a-z0-9][a-z0-9-]{0,63}$")), parameter("path", None)]))
            .response("200", ResponseBuilder::new().description(ANSWER));
        if writes {
            let body = RequestBodyBuilder::new().content("*/*", Content::default());
            operation = operation
                .request_body(Some(body.description(Some("What the guest takes")).build()))
                .security(SecurityRequirement::new(BEARER, Vec::<String>::new()));
        }
        let mut operation = operation.build();
        let always =
            ["NotFound", "Misdirected", "InternalError", "GuestFailed", "Unavailable", "GuestTimeout"];
        let of_writes: &[&str] =
            if writes { &["BadRequest", "Unauthorized", "Forbidden", "TooLarge"] } else { &[] };
        for name in always.iter().chain(of_writes) {
            docs::add_response(&mut operation, name);
        }
        let item = PathItem::new(method, operation);
        match paths.paths.get_mut(PATH) {
            Some(known) => known.merge_operations(item),
            None => drop(paths.paths.insert(PATH.to_owned(), item)),
        }
    }
}

fn parameter(name: &str, pattern: Option<&str>) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).pattern(pattern);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
    parameter.required(Required::True).schema(Some(schema)).build()
}
