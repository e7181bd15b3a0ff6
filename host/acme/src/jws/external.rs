//! The binding of an account to one elsewhere (RFC 8555, 7.3.4): a second JWS, under a key that both sides know.

use super::{Jws, JwsError, Signer};
use crate::json;
use crate::jwk::Jwk;
use crate::settings::ExternalKeys;
use aws_lc_rs::hmac;
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a binding does not bind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BindingError {
    #[error("it is not of the right form")]
    Form(#[from] JwsError),
    #[error("its algorithm is not HS256")]
    Algorithm,
    #[error("its header has a nonce")]
    Nonce,
    #[error("its URL is not that of the request around it")]
    Url,
    #[error("its key is not named by a `kid`")]
    Signer,
    #[error("its payload is not the key of the account")]
    Payload,
    #[error("its key is unknown, or did not sign it")]
    Signature,
}

/// Whether a binding is for this account's key; the key identifier of the account elsewhere.
pub(crate) fn binds(
    object: &Map<String, Value>,
    account: &Jwk,
    url: &str,
    keys: &dyn ExternalKeys,
) -> Result<String, BindingError> {
    let binding = Jws::from_object(object)?;
    if binding.algorithm != "HS256" {
        return Err(BindingError::Algorithm);
    }
    if binding.nonce.is_some() {
        return Err(BindingError::Nonce);
    }
    if binding.url != url {
        return Err(BindingError::Url);
    }
    let Signer::Id(id) = binding.signer else { return Err(BindingError::Signer) };
    let inner = json::parse_object(&binding.payload).map_err(|_| BindingError::Payload)?;
    if Jwk::parse(&inner).as_ref() != Ok(account) {
        return Err(BindingError::Payload);
    }
    let key = keys.mac_key(&id).filter(|key| key.algorithm() == hmac::HMAC_SHA256);
    let key = key.ok_or(BindingError::Signature)?;
    hmac::verify(&key, &binding.signed, &binding.signature).map_err(|_| BindingError::Signature)?;
    Ok(id)
}
