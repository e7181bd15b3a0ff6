//! When to renew a certificate (RFC 9773, 4). Anybody may ask; nothing is signed.

use super::Acme;
use crate::id::CertificateId;
use crate::problem::Problem;
use crate::reply::Reply;
use serde_json::json;

/// Seconds until a client asks again, RFC 9773, 4.3: often enough to hear of a revocation in time.
const ASK_AGAIN: u64 = 6 * 3600;

impl Acme {
    /// `GET` of a certificate's renewal information.
    pub async fn renewal_info(&self, certificate: &str) -> Reply {
        let reply = match CertificateId::parse(certificate) {
            Ok(id) => self.window(&id).await,
            Err(error) => Err(Problem::malformed(error.to_string())),
        };
        self.indexed(reply.unwrap_or_else(Reply::from))
    }

    async fn window(&self, id: &CertificateId) -> Result<Reply, Problem> {
        let window = self.inner.authority.renewal(id).await;
        let window = window.ok_or_else(|| Problem::not_found("certificate"))?;
        let mut document = json!({ "suggestedWindow": { "start": window.start, "end": window.end } });
        if let Some(url) = window.explanation_url {
            document["explanationURL"] = json!(url);
        }
        Ok(Reply::json(200, &document).retry_after(Some(ASK_AGAIN)))
    }
}
