//! From a path to its method, for an edge that passes everything below one path on.

use super::{Acme, Method, Post, paths};
use crate::problem::Problem;
use crate::reply::Reply;

impl Acme {
    /// Answers any request. `path` is what follows the base URL: `/new-order`, `/account/…/orders?cursor=…`.
    pub async fn respond(&self, method: Method, path: &str, post: &Post<'_>) -> Reply {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let open = match (path, method) {
            (paths::DIRECTORY, Method::Get | Method::Head) => Some(self.directory()),
            (paths::NEW_NONCE, Method::Get | Method::Head) => Some(self.new_nonce(method == Method::Head)),
            (_, Method::Get | Method::Head) => match path.strip_prefix(paths::RENEWAL_INFO) {
                Some(certificate) => Some(self.renewal_info(certificate.trim_start_matches('/')).await),
                None => Some(self.finish(Err(unsigned()))),
            },
            (_, Method::Post) => None,
        };
        match open {
            Some(reply) => reply,
            None => self.signed(path, query, post).await,
        }
    }

    async fn signed(&self, path: &str, query: Option<&str>, post: &Post<'_>) -> Reply {
        match path {
            paths::NEW_ACCOUNT => return self.new_account(post).await,
            paths::NEW_ORDER => return self.new_order(post).await,
            paths::REVOKE_CERTIFICATE => return self.revoke_certificate(post).await,
            paths::KEY_CHANGE => return self.key_change(post).await,
            _ => {}
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let cursor = query.and_then(|query| query.strip_prefix("cursor="));
        // The constants begin with their slash, the parts don't.
        let is = |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.starts_with('/'));
        match parts.as_slice() {
            [_, id] if is(paths::ACCOUNT) => self.account(id, post).await,
            [_, id, "orders"] if is(paths::ACCOUNT) => self.orders(id, cursor, post).await,
            [_, id] if is(paths::ORDER) => self.order(id, post).await,
            [_, id, "finalize"] if is(paths::ORDER) => self.finalize(id, post).await,
            [_, id] if is(paths::AUTHORIZATION) => self.authorization(id, post).await,
            [_, id, kind] if is(paths::CHALLENGE) => self.challenge(id, kind, post).await,
            [_, id] if is(paths::CERTIFICATE) => self.certificate(id, post).await,
            _ => self.finish(Err(Problem::not_found("resource"))),
        }
    }
}

/// What a `GET` of a resource that must be asked for with a signature gets (RFC 8555, 6.3).
fn unsigned() -> Problem {
    Problem::malformed("this is asked for by a signed `POST` (POST-as-GET)").with_status(405)
}
