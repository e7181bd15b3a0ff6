//! TrustChain: certificates, the authorities, DNS records, rotation, the log. For a [`Client`] of port 8444.

use crate::uri::{path, with_query};
use crate::{Client, ClientError};
use hypermesh_wire::assets::Message;
use hypermesh_wire::trustchain::{
    Authority, Certificate, CertificateQuery, ChangeDnsRecord, CreateCertificate, CreateDnsRecord,
    CreateRotationPolicy, DnsQuery, DnsRecord, ExecuteRotation, Imported, InclusionProof, IssuedCertificate,
    LogTreeHead, PolicyQuery, Rebuilt, RenewCertificate, ResolveDns, RevokeCertificate, Revoked, Rollover,
    Rotated, RotationPolicy, RotationQuery, RotationRecord, TrustHierarchy, ValidateCertificate,
    ValidateQuery, Validation, ZoneView,
};
use ureq::http::Method;

/// Certificates.
impl Client {
    /// The first page of the certificates, in the order in which they were issued.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn certificates(&self, query: &CertificateQuery) -> Result<Vec<Certificate>, ClientError> {
        self.get_filtered(&path(&["certificates"]), query)
    }

    /// One certificate.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn certificate(&self, id: &str) -> Result<Certificate, ClientError> {
        self.get(&path(&["certificates", id]))
    }

    /// Issues a certificate.
    ///
    /// # Errors
    /// A 422 problem where it is not issued, with the reason; see [`ClientError`].
    pub fn create_certificate(&self, wanted: &CreateCertificate) -> Result<IssuedCertificate, ClientError> {
        self.post(&path(&["certificates"]), wanted)
    }

    /// Issues one of the same subject, names and use.
    ///
    /// # Errors
    /// As [`Self::create_certificate`]; a 409 problem for one that can't be renewed.
    pub fn renew_certificate(
        &self,
        id: &str,
        wanted: &RenewCertificate,
    ) -> Result<IssuedCertificate, ClientError> {
        self.post(&path(&["certificates", id, "renew"]), wanted)
    }

    /// Takes a certificate back.
    ///
    /// # Errors
    /// A 409 problem where it was before; see [`ClientError`].
    pub fn revoke_certificate(&self, id: &str, reason: &RevokeCertificate) -> Result<Revoked, ClientError> {
        self.post(&path(&["certificates", id, "revoke"]), reason)
    }

    /// Validates a certificate of the node.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id. That it is not valid is no error.
    pub fn validate_certificate(&self, id: &str, query: &ValidateQuery) -> Result<Validation, ClientError> {
        self.post_empty(&with_query(&path(&["certificates", id, "validate"]), query)?)
    }

    /// Validates any certificate.
    ///
    /// # Errors
    /// A 422 problem where there is no certificate in it. That it is not valid is no error.
    pub fn validate(&self, wanted: &ValidateCertificate) -> Result<Validation, ClientError> {
        self.post(&path(&["certificates", "validate"]), wanted)
    }

    /// The proof that a certificate is in the log.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn inclusion(&self, id: &str) -> Result<InclusionProof, ClientError> {
        self.get(&path(&["certificates", id, "inclusion"]))
    }

    /// A certificate, PEM; with those above it but the root, if wanted.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn certificate_pem(&self, id: &str, chain: bool) -> Result<String, ClientError> {
        match chain {
            true => self.text(&path(&["certificates", id, "chain"])),
            false => self.text(&path(&["certificates", &format!("{id}.pem")])),
        }
    }
}

/// Authorities and rotation.
impl Client {
    /// Who signed whom.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn hierarchy(&self) -> Result<TrustHierarchy, ClientError> {
        self.get(&path(&["trust", "hierarchy"]))
    }

    /// The authorities, and what each does now.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn authorities(&self) -> Result<Vec<Authority>, ClientError> {
        self.get(&path(&["trust", "authorities"]))
    }

    /// Rollovers, done and under way.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn rollovers(&self) -> Result<Vec<Rollover>, ClientError> {
        self.get(&path(&["trust", "rollovers"]))
    }

    /// Begins a rollover.
    ///
    /// # Errors
    /// A 409 problem while one is under way; see [`ClientError`].
    pub fn prepare_rollover(&self) -> Result<Rollover, ClientError> {
        self.post_empty(&path(&["trust", "rollovers"]))
    }

    /// Takes a rollover to its next phase, or gives it up.
    ///
    /// # Errors
    /// A 409 problem where it can't; see [`ClientError`].
    pub fn change_rollover(&self, id: &str, abandon: bool) -> Result<Rollover, ClientError> {
        let action = if abandon { "abandon" } else { "advance" };
        self.post_empty(&path(&["trust", "rollovers", id, action]))
    }

    /// Rotation policies.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn rotation_policies(&self) -> Result<Vec<RotationPolicy>, ClientError> {
        self.get_filtered(&path(&["rotation", "policies"]), &PolicyQuery::default())
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// A 404 problem where there is no such certificate; see [`ClientError`].
    pub fn create_rotation_policy(
        &self,
        wanted: &CreateRotationPolicy,
    ) -> Result<RotationPolicy, ClientError> {
        self.post(&path(&["rotation", "policies"]), wanted)
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn remove_rotation_policy(&self, id: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["rotation", "policies", id]))
    }

    /// Replaces a certificate now.
    ///
    /// # Errors
    /// A 404 problem where there is no such certificate; see [`ClientError`].
    pub fn rotate(&self, wanted: &ExecuteRotation) -> Result<Rotated, ClientError> {
        self.post(&path(&["rotation", "execute"]), wanted)
    }

    /// What was rotated, oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn rotation_history(&self, query: &RotationQuery) -> Result<Vec<RotationRecord>, ClientError> {
        self.get_filtered(&path(&["rotation", "history"]), query)
    }
}

/// DNS and the log.
impl Client {
    /// Records of the zone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn dns_records(&self, query: &DnsQuery) -> Result<Vec<DnsRecord>, ClientError> {
        self.get_filtered(&path(&["dns", "records"]), query)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// A 422 problem where it is no record of the zone; see [`ClientError`].
    pub fn create_dns_record(&self, wanted: &CreateDnsRecord) -> Result<DnsRecord, ClientError> {
        self.post(&path(&["dns", "records"]), wanted)
    }

    /// Changes the members of a record that are set.
    ///
    /// # Errors
    /// As [`Self::create_dns_record`]; a 404 problem where there is none of that id.
    pub fn change_dns_record(&self, id: &str, change: &ChangeDnsRecord) -> Result<DnsRecord, ClientError> {
        self.put(&path(&["dns", "records", id]), change)
    }

    /// Removes a record.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn remove_dns_record(&self, id: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["dns", "records", id]))
    }

    /// Asks the node's DNS server.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn resolve_name(&self, question: &ResolveDns) -> Result<Vec<DnsRecord>, ClientError> {
        self.post(&path(&["dns", "resolve"]), question)
    }

    /// The zone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn zone(&self) -> Result<ZoneView, ClientError> {
        self.get(&path(&["dns", "zone"]))
    }

    /// The zone as a file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn export_zone(&self) -> Result<String, ClientError> {
        self.text(&path(&["dns", "zone", "file"]))
    }

    /// Adds the records of a zone file.
    ///
    /// # Errors
    /// A 422 problem that names the line; see [`ClientError`].
    pub fn import_zone(&self, text: &str) -> Result<Imported, ClientError> {
        self.send_text(Method::POST, &path(&["dns", "zone", "file"]), "text/dns", text)
    }

    /// The log's newest signed tree head.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn log_head(&self) -> Result<LogTreeHead, ClientError> {
        self.get("/ct/v1/get-sth")
    }

    /// Makes the index of certificates again from the log.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn rebuild_index(&self) -> Result<Rebuilt, ClientError> {
        self.post_empty(&path(&["log", "rebuild"]))
    }

    /// A text at a path that begins with `/`: certificates, a checkpoint, a zone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn text(&self, path: &str) -> Result<String, ClientError> {
        let answer = self.raw("GET", path, None)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        match answer.status {
            200..=299 => Ok(text),
            status => Err(match serde_json::from_slice(&answer.body) {
                Ok(problem) => ClientError::Problem(Box::new(problem)),
                Err(_) => ClientError::Unexpected { status, body: text },
            }),
        }
    }
}
