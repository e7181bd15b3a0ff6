//! Proving to hold a certificate's key: a challenge, and its signature.

use super::state::TrustState;
use crate::convert::time;
use crate::convert::trustchain::pem;
use crate::extract::Body;
use crate::problem::{Draft, Kind};
use crate::respond::Answer;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hypermesh_wire::trustchain::{AuthenticateCertificate, Authenticated, Challenge};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest nonce, and longest signature in base64: of an RSA key of 8192 bits.
const MAX_NONCE: usize = 256;
const MAX_SIGNATURE: usize = 2048;

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default().routes(routes!(get_challenge)).routes(routes!(authenticate))
}

/// What is to be signed with a certificate's key
#[utoipa::path(get, path = "/auth/challenge", tag = "authentication",
    responses((status = 200, description = "A challenge, good for one attempt", body = Challenge)))]
async fn get_challenge(State(state): State<TrustState>) -> Answer<Json<Challenge>> {
    let challenge = state.trust.challenge()?;
    Ok(Json(Challenge {
        nonce: challenge.nonce,
        message: BASE64.encode(challenge.message),
        expires_at: time(challenge.expires_at),
    }))
}

/// Prove to hold the key of a certificate of this node
#[utoipa::path(post, path = "/auth/certificate", tag = "authentication", request_body = AuthenticateCertificate,
    responses((status = 200, description = "It is valid, and its key is held", body = Authenticated),
        (status = 401, description = "It isn't, or the proof is missing or wrong; `detail` says which")))]
async fn authenticate(
    State(state): State<TrustState>,
    Body(body): Body<AuthenticateCertificate>,
) -> Answer<Json<Authenticated>> {
    let certificate = pem("certificate", body.certificate)?;
    bounded("nonce", body.nonce.as_ref(), MAX_NONCE)?;
    bounded("signature", body.signature.as_ref(), MAX_SIGNATURE)?;
    let refused = |detail: &str| Draft::new(Kind::Unauthorized, detail);
    let (Some(nonce), Some(signature)) = (body.nonce, body.signature) else {
        let detail = "the proof is missing: sign the `message` of GET /auth/challenge, and send its `nonce` and the `signature`";
        return Err(refused(detail));
    };
    let signature = BASE64.decode(signature).map_err(|_| refused("the `signature` is not base64"))?;
    let peer = state.trust.authenticate(&certificate, &nonce, &signature)?;
    Ok(Json(Authenticated {
        valid: true,
        expires_at: time(peer.expires_at),
        subject: peer.subject,
        certificate_id: peer.certificate_id.into(),
    }))
}

fn bounded(member: &str, text: Option<&String>, max: usize) -> Result<(), Draft> {
    match text.map(|text| text.chars().count()) {
        Some(length) if !(1..=max).contains(&length) => Err(Draft::invalid(
            member,
            format!("`{member}` must have 1 to {max} characters; it has {length}"),
        )),
        Some(_) | None => Ok(()),
    }
}
