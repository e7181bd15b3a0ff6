//! Certificates, to be fetched by who ordered them (RFC 8555, 7.4.2).

use super::{Acme, Post};
use crate::id::CertificateId;
use crate::problem::Problem;
use crate::reply::Reply;

impl Acme {
    /// `POST` to a certificate: it and those above it, PEM.
    pub async fn certificate(&self, id: &str, post: &Post<'_>) -> Reply {
        self.finish(self.show_certificate(id, post).await)
    }

    async fn show_certificate(&self, id: &str, post: &Post<'_>) -> Result<Reply, Problem> {
        let id = CertificateId::parse(id).map_err(|_| Problem::not_found("certificate"))?;
        let account = self.by_account(post, &self.urls().certificate(&id)).await?.reading()?;
        let found = self.store().certificate(&id).await?;
        let certificate = found.ok_or_else(|| Problem::not_found("certificate"))?.record;
        if certificate.account != account.record.id {
            return Err(Problem::unauthorized("the certificate is another account's"));
        }
        Ok(Reply::pem(&certificate.chain_pem))
    }
}
