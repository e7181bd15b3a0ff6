//! Reading requests: JSON bodies, query strings and ids of paths, each failing with a document that names what is wrong.
//!
//! axum's own extractors answer in plain text and do not name the member. What is checked here is form only; ranges and
//! lengths are `convert`'s. A path that holds what can't be an id names nothing, so it is a 404.

use crate::problem::{Draft, Kind};
use crate::state::ApiState;
use axum::body::Body as HttpBody;
use axum::extract::{FromRef, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use futures_util::TryStreamExt;
use hypermesh_model::{
    ArrayId, AssetId, BlobDigest, CatalogId, CertificateId, DnsRecordId, ExecutionId, LeaseId, NodeId,
    RolloverId, RotationPolicyId, ScheduleId, ServiceName, Subject,
};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use serde_path_to_error::Path;
use std::time::Duration;

/// Longest time for a JSON body to arrive; 1 MiB takes less over any line that reaches a loopback interface.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Names a request, so that it can be sent again (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest key, in characters: a UUID or a digest in hexadecimal.
const MAX_KEY: usize = 64;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// The query string.
pub(crate) struct Params<T>(pub(crate) T);

/// The id in the path.
pub(crate) struct Id<T>(pub(crate) T);

/// The file name in the path of an output.
pub(crate) struct Name(pub(crate) String);

/// The generation that a change is meant for; `None` for any.
pub(crate) struct IfMatch(pub(crate) Option<u64>);

/// The key under which a request makes one thing.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

/// An id that can stand in a path.
pub(crate) trait PathId: Sized {
    /// What it is the id of.
    const NOUN: &'static str;
    /// `None` for a text that can't be one.
    fn read(text: &str) -> Option<Self>;
}

macro_rules! path_ids {
    ($($type:ident, $noun:literal;)*) => {$(
        impl PathId for $type {
            const NOUN: &'static str = $noun;
            fn read(text: &str) -> Option<Self> {
                Self::parse(text).ok()
            }
        }
    )*};
}

path_ids! {
    ArrayId, "array";
    AssetId, "asset";
    BlobDigest, "blob";
    CatalogId, "package";
    CertificateId, "certificate";
    DnsRecordId, "DNS record";
    ExecutionId, "execution";
    LeaseId, "allocation";
    NodeId, "node";
    RolloverId, "rollover";
    RotationPolicyId, "rotation policy";
    ScheduleId, "schedule";
    ServiceName, "service";
}

impl PathId for Subject {
    const NOUN: &'static str = "requester";
    fn read(text: &str) -> Option<Self> {
        // The rules of any id: a token's name has them too.
        AssetId::parse(text).ok().map(|id| Self(id.into()))
    }
}

impl<T, S> FromRequest<S> for Body<T>
where
    T: Serialize + DeserializeOwned,
    S: Send + Sync,
    ApiState: FromRef<S>,
{
    type Rejection = Draft;

    async fn from_request(request: Request, state: &S) -> Result<Self, Draft> {
        require_type(request.headers(), is_json, "application/json")?;
        let limit = ApiState::from_ref(state).config.max_json_body;
        parse_json(&read_body(request.into_body(), limit).await?).map(Self)
    }
}

/// Reads a body of at most `limit` bytes, within a time.
pub(crate) async fn read_body(body: HttpBody, limit: usize) -> Result<Vec<u8>, Draft> {
    let reading = tokio::time::timeout(BODY_TIMEOUT, collect(body, limit));
    reading.await.map_err(|_| {
        Draft::new(Kind::Timeout, format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()))
    })?
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Draft;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Draft> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Draft;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Draft> {
        let text = path_part(parts, state, 0).await.ok_or_else(|| Draft::not_found(T::NOUN, "�"))?;
        T::read(&text).map(Self).ok_or_else(|| Draft::not_found(T::NOUN, &text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Draft;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Draft> {
        path_part(parts, state, 1).await.map(Self).ok_or_else(|| Draft::not_found("output", "�"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Draft;

    /// RFC 9110, 13.1.1, of which one strong tag or `*` is taken: a resource here has one representation. Many clients and
    /// people leave the quotes out, which can mean nothing else.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Draft> {
        let Some(text) = only_header(&parts.headers, &header::IF_MATCH)? else { return Ok(Self(None)) };
        let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match (text, digits.parse().ok().filter(|_| is_number)) {
            ("*", _) => Ok(Self(None)),
            (_, Some(generation)) => Ok(Self(Some(generation))),
            (_, None) => {
                let detail = "`if-match` must be the `etag` of an earlier answer, e.g. \"3\", or *";
                Err(Draft::invalid("if-match", detail))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Draft;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Draft> {
        let Some(text) = only_header(&parts.headers, &IDEMPOTENCY_KEY)? else { return Ok(Self(None)) };
        if (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(Some(text.to_owned())));
        }
        let detail = format!("`idempotency-key` must be 1 to {MAX_KEY} visible ASCII characters");
        Err(Draft::invalid("idempotency-key", detail))
    }
}

/// The text of a header that may be there once.
fn only_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Draft> {
    if headers.get_all(name).iter().count() > 1 {
        return Err(Draft::invalid(name.as_str(), format!("`{name}` must be there once")));
    }
    header_text(headers, name)
}

/// The n-th parameter of the path, decoded; `None` when it is not UTF-8.
async fn path_part<S: Send + Sync>(parts: &mut Parts, state: &S, index: usize) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().nth(index).map(|(_, text)| text.to_owned())
}

/// Refuses a body of another media type (RFC 9110, 15.5.16).
pub(crate) fn require_type(
    headers: &HeaderMap,
    accepts: impl Fn(&str) -> bool,
    expected: &str,
) -> Result<(), Draft> {
    if accepts(&essence(headers)) {
        Ok(())
    } else {
        Err(Draft::new(Kind::UnsupportedMediaType, format!("send the body with `content-type: {expected}`")))
    }
}

/// The media type of a body without its parameters, in lower case; empty where none is said.
pub(crate) fn essence(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(essence: &str) -> bool {
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The length that a request claims, where it claims one.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(body: HttpBody, limit: usize) -> Result<Vec<u8>, Draft> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(|_| broken_off())? {
        if bytes.len() + chunk.len() > limit {
            return Err(Draft::new(Kind::TooLarge, format!("the body may be {limit} bytes long")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// For a body that ended before its end.
pub(crate) fn broken_off() -> Draft {
    Draft::new(Kind::Invalid, "the body broke off")
}

/// Parses a JSON body strictly: one value, nothing after it, and objects where the schema has objects.
fn parse_json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Draft> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let text = error.inner().to_string();
        // serde_json calls it a syntax error, too, when an enumeration gets a number or a number is too large to hold.
        let is_json = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        let text = if is_json { text } else { format!("the body is not JSON: {text}") };
        wrong(member(error.path(), &text), &text)
    })?;
    deserializer
        .end()
        .map_err(|error| Draft::new(Kind::Invalid, format!("the body is not JSON: {error}")))?;
    let given = serde_json::from_slice(bytes).unwrap_or_default();
    match list_for_object(&given, &json!(value), "") {
        Some(path) if path.is_empty() => {
            Err(Draft::new(Kind::Invalid, "the body must be an object, not a list"))
        }
        Some(path) => Err(wrong(Some(path), "must be an object, not a list")),
        None => Ok(value),
    }
}

/// Where a list was given for an object. serde fills an object's members from a list by their position, which nobody
/// means; what was read shows as an object again, so the two tell.
fn list_for_object(given: &Value, read: &Value, path: &str) -> Option<String> {
    if given.is_array() && read.is_object() {
        return Some(path.to_owned());
    }
    if let (Some(given), Some(read)) = (given.as_array(), read.as_array()) {
        let mut pairs = given.iter().zip(read).enumerate();
        return pairs
            .find_map(|(index, (given, read))| list_for_object(given, read, &format!("{path}[{index}]")));
    }
    given.as_object()?.iter().find_map(|(name, given)| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        list_for_object(given, read.get(name)?, &path)
    })
}

/// Parses a query string. What is not UTF-8 is refused and not replaced, so that it can't match by accident.
fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Draft> {
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Draft::new(Kind::Invalid, "the query string is not percent-encoded UTF-8"));
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let text = error.inner().to_string();
        wrong(member(error.path(), &text), &text)
    })
}

fn wrong(member: Option<String>, text: &str) -> Draft {
    match member {
        Some(member) => Draft::invalid(member.clone(), format!("`{member}`: {text}")),
        None => Draft::new(Kind::Invalid, text),
    }
}

/// The path of the member that serde stumbled over. For missing, unknown and doubled members serde stops at the object
/// that (should) hold it, and only its message says which.
fn member(path: &Path, message: &str) -> Option<String> {
    let path = path.to_string();
    let path = if path == "." { String::new() } else { path };
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix)?.split('`').next());
    let last = path.rsplit('.').next().unwrap_or_default();
    match named {
        Some(name) if name != last && path.is_empty() => Some(name.to_owned()),
        Some(name) if name != last => Some(format!("{path}.{name}")),
        _ => (!path.is_empty()).then_some(path),
    }
}

/// A header's text, or a 400 that names it.
pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Draft> {
    headers
        .get(name)
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| Draft::invalid(name.as_str(), format!("`{name}` is not text")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::allocations::{AllocationQuery, CreateAllocation};
    use hypermesh_wire::assets::{AssetQuery, CreateAsset, CreateVm, UpdateAsset};
    use hypermesh_wire::executions::ExecuteVm;
    use proptest::prelude::*;

    fn wrong_member<T: Serialize + DeserializeOwned>(json: &str) -> Option<String> {
        parse_json::<T>(json.as_bytes()).err().and_then(|draft| draft.member().map(str::to_owned))
    }

    #[test]
    fn a_wrong_body_names_its_member() {
        let allocation = |json: &str| wrong_member::<CreateAllocation>(json);
        assert_eq!(allocation(r#"{"amount":1,"duration":1}"#).as_deref(), Some("asset_id"));
        assert_eq!(allocation(r#"{"asset_id":"cpu","amount":"x","duration":1}"#).as_deref(), Some("amount"));
        assert_eq!(allocation(r#"{"asset_id":"cpu","amount":1,"duration":-1}"#).as_deref(), Some("duration"));
        assert_eq!(
            allocation(r#"{"asset_id":"cpu","amount":1,"duration":1e400}"#).as_deref(),
            Some("duration")
        );
        assert_eq!(allocation(r#"{"asset_id":"cpu","amount":NaN,"duration":1}"#).as_deref(), Some("amount"));
        assert_eq!(
            allocation(r#"{"asset_id":"cpu","amount":1,"duration":1,"wish":2}"#).as_deref(),
            Some("wish")
        );
        assert_eq!(
            allocation(r#"{"asset_id":"cpu","amount":1,"duration":1,"requirements":{"memry":2}}"#).as_deref(),
            Some("requirements.memry")
        );
        assert_eq!(
            wrong_member::<CreateVm>(r#"{"name":"a","vm_config":{"resource_limits":{"max_cpu":"all"}}}"#)
                .as_deref(),
            Some("vm_config.resource_limits.max_cpu")
        );
        assert_eq!(
            wrong_member::<CreateVm>(r#"{"name":"a","privacy_level":7}"#).as_deref(),
            Some("privacy_level")
        );
        assert_eq!(wrong_member::<UpdateAsset>(r#"{"id":"x"}"#).as_deref(), Some("id"));
        assert_eq!(wrong_member::<UpdateAsset>(r#"{"name":"x","name":"y"}"#).as_deref(), Some("name"));
    }

    #[test]
    fn a_list_is_no_object() {
        assert!(parse_json::<UpdateAsset>(b"[null, null]").is_err());
        let body = r#"{"type":"service","name":"a","location":["x", null]}"#;
        assert_eq!(wrong_member::<CreateAsset>(body).as_deref(), Some("location"));
        let digest = "0".repeat(64);
        let run = |input: &str| {
            format!(r#"{{"vm_asset_id":"a","operation":"","parameters":{{"l":[1]}},"inputs":[{input}]}}"#)
        };
        let (list, object) =
            (format!(r#"["n","{digest}"]"#), format!(r#"{{"name":"n","digest":"{digest}"}}"#));
        assert_eq!(wrong_member::<ExecuteVm>(&run(&list)).as_deref(), Some("inputs[0]"));
        assert!(parse_json::<ExecuteVm>(run(&object).as_bytes()).is_ok());
    }

    #[test]
    fn optional_members_may_be_null() {
        let json =
            br#"{"vm_asset_id":"a","operation":"","parameters":{},"timeout":null,"requires_consensus":null}"#;
        let body = parse_json::<ExecuteVm>(json).ok().unwrap();
        assert!(body.timeout == 300 && body.requires_consensus && body.allocation_duration == 3600);
    }

    #[test]
    fn a_wrong_query_names_its_parameter() {
        let named = |query: &str| {
            parse_query::<AllocationQuery>(query).err().map(|draft| draft.member().map(str::to_owned))
        };
        assert_eq!(named("limit=x"), Some(Some("limit".into())));
        assert_eq!(named("limit=1&limit=2"), Some(Some("limit".into())));
        assert_eq!(named("wish=1"), Some(Some("wish".into())));
        assert_eq!(named("status=gone"), Some(Some("status".into())));
        assert_eq!(named("asset_id=%ff"), Some(None));
        assert_eq!(named("asset_id=cpu&limit=3"), None);
    }

    /// The value, or the header that is blamed.
    async fn from_header<T: FromRequestParts<(), Rejection = Draft>>(
        name: &str,
        texts: &[&str],
    ) -> Result<T, Option<String>> {
        let request = texts.iter().fold(Request::builder(), |request, text| request.header(name, *text));
        let (mut parts, _) = request.body(HttpBody::empty()).unwrap().into_parts();
        let read = T::from_request_parts(&mut parts, &()).await;
        read.map_err(|draft| draft.member().map(str::to_owned))
    }

    #[tokio::test]
    async fn a_change_is_for_one_generation_or_any() {
        let read = async |texts: &[&str]| from_header::<IfMatch>("if-match", texts).await.map(|IfMatch(n)| n);
        assert_eq!(read(&[]).await, Ok(None));
        assert_eq!(read(&["*"]).await, Ok(None));
        assert_eq!((read(&["\"7\""]).await, read(&["7"]).await), (Ok(Some(7)), Ok(Some(7))));
        for bad in
            ["\"7", "\"\"", "W/\"7\"", "\"-7\"", "\"+7\"", "\"7\", \"8\"", "\"99999999999999999999\"", ""]
        {
            assert_eq!(read(&[bad]).await, Err(Some("if-match".into())), "{bad}");
        }
        assert_eq!(read(&["\"7\"", "\"7\""]).await, Err(Some("if-match".into())));
    }

    #[tokio::test]
    async fn a_key_is_short_and_visible() {
        let read = async |texts: &[&str]| {
            from_header::<IdempotencyKey>("idempotency-key", texts).await.map(|IdempotencyKey(key)| key)
        };
        assert_eq!(read(&[]).await, Ok(None));
        assert_eq!(read(&["build-7"]).await, Ok(Some("build-7".into())));
        for bad in ["", "a b", &"x".repeat(65)] {
            assert_eq!(read(&[bad]).await, Err(Some("idempotency-key".into())), "{bad}");
        }
        assert_eq!(read(&["a", "a"]).await, Err(Some("idempotency-key".into())));
    }

    #[test]
    fn only_json_is_taken_as_json() {
        let check = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().unwrap())]);
            require_type(&headers, is_json, "application/json").is_ok()
        };
        assert!(
            check("application/json")
                && check("Application/JSON; charset=utf-8")
                && check("application/a+json")
        );
        assert!(!check("text/plain") && !check("application/x-www-form-urlencoded") && !check(""));
        assert!(require_type(&HeaderMap::new(), is_json, "application/json").is_err());
    }

    proptest! {
        #[test]
        fn no_body_and_no_query_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), query in "\\PC{0,40}") {
            let _ = parse_json::<CreateVm>(&bytes);
            let _ = parse_query::<AssetQuery>(&query);
        }
    }
}
