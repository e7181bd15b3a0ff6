//! What relying parties fetch, where certificates say it is: lists of revoked certificates, their status, and their
//! issuers. Plain HTTP gets it too, even where TLS is spoken (RFC 5280 §8).

use super::certificates::{CHAIN, DER};
use super::state::TrustState;
use crate::docs::{Binary, ByFile};
use crate::extract::{Id, PathId, read_body, require_type};
use crate::problem::{Draft, Kind};
use crate::respond::{Answer, cached, file};
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use hypermesh_model::{CertificateId, Timestamp};
use hypermesh_trustchain::Crl;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A list of revoked certificates, DER (RFC 2585 §4.2).
const CRL: &str = "application/pkix-crl";
/// The same, PEM.
const CRL_PEM: &str = "application/x-pem-file";
const OCSP_REQUEST: &str = "application/ocsp-request";
const OCSP_RESPONSE: &str = "application/ocsp-response";
/// Longest OCSP request: some hundred serial numbers.
const MAX_OCSP: usize = 64 << 10;
/// Longest OCSP request in a URL (RFC 6960 A.1: those below 255 bytes go there).
const MAX_OCSP_TEXT: usize = 2048;

/// A file of an authority: its id and the ending.
struct AuthorityFile {
    id: CertificateId,
    ending: String,
}

impl PathId for AuthorityFile {
    const NOUN: &'static str = "authority";
    fn read(text: &str) -> Option<Self> {
        let (id, ending) = text.rsplit_once('.')?;
        Some(Self { id: CertificateId::parse(id).ok()?, ending: ending.to_owned() })
    }
}

/// A name of any form.
struct Plain(String);

impl PathId for Plain {
    const NOUN: &'static str = "authority";
    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

/// Those in the document.
pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(get_crl))
        .routes(routes!(get_authority))
        .routes(routes!(post_ocsp))
}

/// OCSP by GET, whose request is any base64 behind the path (RFC 6960 A.1).
pub(crate) fn ocsp_by_get() -> axum::Router<TrustState> {
    axum::Router::new().route("/ocsp/{*request}", get(get_ocsp))
}

/// The revoked certificates of an authority: `ID.crl` is DER, `ID.pem` is PEM
#[utoipa::path(get, path = "/crl/{file}", tag = "published", params(ByFile),
    responses((status = 200, description = "The list", content(
        (Binary = "application/pkix-crl"), (String = "application/x-pem-file")))))]
async fn get_crl(State(state): State<TrustState>, Id(file): Id<AuthorityFile>) -> Answer<Response> {
    let AuthorityFile { id, ending } = file;
    let known = matches!(ending.as_str(), "crl" | "pem");
    if !known {
        return Err(Draft::not_found("list", &format!("{id}.{ending}")));
    }
    let list = state.trust.crl(&id).await?;
    let left = seconds_left(&list);
    let response = match ending.as_str() {
        "crl" => self::file(CRL, &format!("{id}.crl"), list.der),
        _ => self::file(CRL_PEM, &format!("{id}.pem"), pem("X509 CRL", &list.der)),
    };
    // A revocation must be seen soon, so caches ask again well before the list's own end.
    Ok(cached(response, left.min(MAX_CRL_AGE)))
}

/// Longest time that a cache may keep a list, seconds.
const MAX_CRL_AGE: u64 = 60;

fn seconds_left(list: &Crl) -> u64 {
    let millis = list.next_update.as_millis().saturating_sub(Timestamp::now().as_millis());
    u64::try_from(millis / 1000).unwrap_or(0)
}

/// The certificate of an authority: `ID.crt` is DER, `ID.pem` is PEM; `root.pem` is the root, `bundle.pem` all
#[utoipa::path(get, path = "/ca/{file}", tag = "published", params(ByFile),
    responses((status = 200, description = "The certificate", content(
        (Binary = "application/pkix-cert"), (String = "application/x-pem-file"),
        (String = "application/pem-certificate-chain")))))]
async fn get_authority(State(state): State<TrustState>, Id(Plain(name)): Id<Plain>) -> Answer<Response> {
    match name.as_str() {
        "root.pem" => return Ok(file(CRL_PEM, "root.pem", state.trust.root_pem())),
        "bundle.pem" => return Ok(file(CHAIN, "bundle.pem", state.trust.bundle_pem())),
        _ => {}
    }
    let AuthorityFile { id, ending } =
        AuthorityFile::read(&name).ok_or_else(|| Draft::not_found("authority", &name))?;
    let der = state.trust.authority_der(&id)?;
    match ending.as_str() {
        "crt" | "cer" | "der" => Ok(file(DER, &format!("{id}.crt"), der)),
        "pem" => Ok(file(CRL_PEM, &format!("{id}.pem"), pem("CERTIFICATE", &der))),
        _ => Err(Draft::not_found("authority", &name)),
    }
}

/// Whether certificates are revoked (OCSP, RFC 6960)
#[utoipa::path(post, path = "/ocsp", tag = "published",
    request_body(content = Binary, content_type = "application/ocsp-request"),
    responses((status = 200, description = "The signed answer; what is wrong with a request stands in it",
        body = Binary, content_type = "application/ocsp-response")))]
async fn post_ocsp(State(state): State<TrustState>, request: Request) -> Answer<Response> {
    require_type(request.headers(), |essence| essence == OCSP_REQUEST, OCSP_REQUEST)?;
    let body = read_body(request.into_body(), MAX_OCSP).await?;
    Ok(ocsp(&state, &body))
}

async fn get_ocsp(State(state): State<TrustState>, Path(request): Path<String>) -> Answer<Response> {
    if request.len() > MAX_OCSP_TEXT {
        return Err(Draft::new(Kind::TooLarge, "send a request of this length by POST"));
    }
    // A base64 that can't be read is a request that can't be read, and OCSP has a word for it: an empty one gets it.
    let der = BASE64.decode(&request).or_else(|_| URL_SAFE.decode(&request)).unwrap_or_default();
    Ok(ocsp(&state, &der))
}

fn ocsp(state: &TrustState, request: &[u8]) -> Response {
    ([(header::CONTENT_TYPE, OCSP_RESPONSE)], Bytes::from(state.trust.ocsp(request))).into_response()
}

/// DER as PEM (RFC 7468 §2): lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    let lines: Vec<_> = lines.collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_has_lines_of_64_characters() {
        let text = pem("X509 CRL", &[0; 100]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines[1].len(), lines.len()), ("-----BEGIN X509 CRL-----", 64, 5));
        assert!(text.ends_with("-----END X509 CRL-----\n"));
    }

    #[test]
    fn a_file_is_an_id_and_an_ending() {
        let file = AuthorityFile::read("0a1b.crl").unwrap();
        assert_eq!((file.id.as_str(), file.ending.as_str()), ("0a1b", "crl"));
        for wrong in ["", "crl", ".crl", "../x.crl", "A.crl"] {
            assert!(AuthorityFile::read(wrong).is_none(), "{wrong}");
        }
    }
}
