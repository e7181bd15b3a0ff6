//! An order becomes a certificate (RFC 8555, 7.4).
//!
//! The order goes from `open` to `processing` on the version that was read, so of several requests one issues. From
//! there on a task of its own carries it to its end, whether or not the client waits: what the authority refuses opens
//! the order again, since another request may be accepted.

use super::order::OrderStatus;
use super::{Acme, Post, SOON};
use crate::authority::{IssueRequest, Issued, Refused};
use crate::base64url;
use crate::id::OrderId;
use crate::problem::{Problem, ProblemKind};
use crate::record::{Account, Authorization, Certificate, ChallengeStatus, Order, OrderState};
use crate::reply::Reply;
use crate::store::{ABSENT, Change, StoreError, Versioned};
use crate::x509::{CertificateFacts, Request};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// Seconds for which what CAA records said holds (RFC 8659, 8.1 leaves it to policy; public authorities have 8 hours).
const CAA_SECONDS: u64 = 8 * 3600;
/// For all names of an order together; a client may try again.
const CAA_PATIENCE: Duration = Duration::from_secs(30);

impl Acme {
    /// `POST` to an order's finalize URL.
    pub async fn finalize(&self, id: &str, post: &Post<'_>) -> Reply {
        self.finish(self.make_certificate(id, post).await)
    }

    async fn make_certificate(&self, id: &str, post: &Post<'_>) -> Result<Reply, Problem> {
        let id = OrderId::parse(id).map_err(|_| Problem::not_found("order"))?;
        let opened = self.by_account(post, &self.urls().finalize(&id)).await?;
        let payload = opened.object()?;
        let account = opened.who.record;
        let found = self.order_of(&account.id, &id).await?;
        let (status, authorizations) = self.order_status(&found.record).await?;
        must_be_ready(&status)?;
        let csr_der = csr(&payload, &found.record, &account)?;
        let recheck = self.still_permitted(&authorizations, &account);
        timeout(CAA_PATIENCE, recheck).await.unwrap_or_else(|_| Err(late()))?;
        let acme = self.clone();
        // A task, so that a client that goes away does not leave an order that nobody is busy with.
        let task = tokio::spawn(async move { acme.carry(found, csr_der).await });
        let order = task.await.map_err(|_| Problem::internal())??;
        Ok(self.order_reply(200, &order, &OrderStatus::Valid))
    }

    /// Takes an order and carries it to its end, whatever becomes of the authority's own work.
    async fn carry(&self, found: Versioned<Order>, csr_der: Vec<u8>) -> Result<Order, Problem> {
        let order = self.take(found).await?;
        let (acme, taken) = (self.clone(), order.clone());
        let ended = tokio::spawn(async move { acme.issue(taken, csr_der).await }).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, order = %order.id, "issuing did not end");
        });
        match ended {
            Ok(outcome) => outcome,
            Err(()) => Err(self.give_up(order).await),
        }
    }

    /// Asks CAA records again where the proof is old.
    async fn still_permitted(
        &self,
        authorizations: &[Authorization],
        account: &Account,
    ) -> Result<(), Problem> {
        let oldest = self.now().minus_seconds(CAA_SECONDS);
        let mut refused = Vec::new();
        for authorization in authorizations {
            let met = authorization.challenges.iter().find(|one| one.status == ChallengeStatus::Valid);
            let Some(challenge) = met.filter(|one| one.validated.is_none_or(|at| at < oldest)) else {
                continue;
            };
            let attempt = self.attempt(authorization, challenge, account);
            if let Err(failure) = self.inner.probe.permits(&attempt).await {
                refused.push(Problem::from(failure).about(&authorization.identifier));
            }
        }
        Problem::from_several(refused, "several identifiers are refused").map_or(Ok(()), Err)
    }

    /// Takes the order for this request; another one that was faster has it.
    async fn take(&self, found: Versioned<Order>) -> Result<Order, Problem> {
        let Versioned { record: mut order, version } = found;
        order.state = OrderState::Processing { run: self.inner.run.clone() };
        match self.store().commit(vec![Change::Order(order.clone(), version)]).await {
            Ok(()) => Ok(order),
            Err(StoreError::Conflict) => Err(not_ready("another request finalizes the order")),
            Err(error) => Err(error.into()),
        }
    }

    async fn issue(&self, mut order: Order, csr_der: Vec<u8>) -> Result<Order, Problem> {
        let refused = match self.inner.authority.issue(request(&order, csr_der)).await {
            Ok(issued) => return self.record(order, issued).await,
            Err(refused) => refused,
        };
        order.state = OrderState::Open;
        self.rewrite(&order, None).await?;
        Err(problem_of(refused))
    }

    async fn record(&self, mut order: Order, issued: Issued) -> Result<Order, Problem> {
        let facts = CertificateFacts::from_der(&issued.certificate_der).map_err(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, order = %order.id, "the authority's certificate can't be read");
        });
        let Ok(facts) = facts else { return Err(self.give_up(order).await) };
        let certificate = Certificate {
            id: facts.id.clone(),
            account: order.account.clone(),
            identifiers: order.identifiers.clone(),
            chain_pem: issued.chain_pem,
            not_after: facts.not_after,
            replaced_by: None,
        };
        order.state = OrderState::Valid { certificate: facts.id };
        match self.rewrite(&order, Some(certificate)).await {
            Ok(()) => Ok(order),
            // There may be no room for a certificate, and still for the end of its order.
            Err(problem) => {
                tracing::error!(error = &problem as &dyn std::error::Error, order = %order.id, "a certificate can't be kept");
                Err(self.give_up(order).await)
            }
        }
    }

    /// Ends an order of which nobody knows whether there is a certificate, so that there never are two.
    async fn give_up(&self, mut order: Order) -> Problem {
        let detail = "the server failed while it made the certificate; make a new order";
        let error = Problem::new(ProblemKind::ServerInternal, detail);
        order.state = OrderState::Invalid { error: error.clone() };
        self.rewrite(&order, None).await.err().unwrap_or(error)
    }

    /// Writes an order that this process has taken, so nobody else changes it.
    async fn rewrite(&self, order: &Order, certificate: Option<Certificate>) -> Result<(), Problem> {
        let found = self.store().order(&order.id).await?.ok_or_else(|| Problem::not_found("order"))?;
        let mut changes = vec![Change::Order(order.clone(), found.version)];
        changes.extend(certificate.map(|certificate| Change::Certificate(certificate, ABSENT)));
        Ok(self.store().commit(changes).await?)
    }
}

fn request(order: &Order, csr_der: Vec<u8>) -> IssueRequest {
    IssueRequest {
        account: order.account.clone(),
        csr_der,
        identifiers: order.identifiers.clone(),
        not_after: order.not_after,
    }
}

fn not_ready(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::OrderNotReady, detail)
}

fn late() -> Problem {
    let problem = Problem::new(ProblemKind::Dns, "CAA records were not all answered within 30 seconds");
    Problem { retry_after: Some(SOON), ..problem }
}

fn must_be_ready(status: &OrderStatus) -> Result<(), Problem> {
    match status {
        OrderStatus::Ready => Ok(()),
        OrderStatus::Pending => Err(not_ready("some authorizations of the order are not valid yet")),
        OrderStatus::Processing => Err(not_ready("another request finalizes the order")),
        OrderStatus::Valid => Err(not_ready("the order has its certificate")),
        OrderStatus::Invalid(error) => Err(not_ready(format!("the order is invalid: {}", error.detail))),
    }
}

/// The request, whose names are those of the order and whose key is not the account's.
fn csr(payload: &Map<String, Value>, order: &Order, account: &Account) -> Result<Vec<u8>, Problem> {
    let bad = |detail: String| Problem::new(ProblemKind::BadCsr, detail);
    let text = payload.get("csr").and_then(Value::as_str);
    let text = text.ok_or_else(|| Problem::malformed("the payload has no string `csr`"))?;
    let der = base64url::decode(text).ok_or_else(|| bad("`csr` is not base64url without padding".into()))?;
    let request = Request::from_der(&der).map_err(|why| bad(format!("the request is refused: {why}")))?;
    let ordered: BTreeSet<_> = order.identifiers.iter().cloned().collect();
    let lacking: Vec<_> = ordered.difference(&request.names).map(ToString::to_string).take(5).collect();
    if !lacking.is_empty() {
        return Err(bad(format!("the request lacks names of the order: {}", lacking.join(", "))));
    }
    let strange: Vec<_> = request.names.difference(&ordered).map(ToString::to_string).take(5).collect();
    if !strange.is_empty() {
        return Err(bad(format!("the request has names that the order has not: {}", strange.join(", "))));
    }
    if request.key.as_ref() == Some(&account.key) {
        return Err(bad("the request has the account's own key".into()));
    }
    Ok(der)
}

fn problem_of(refused: Refused) -> Problem {
    match refused {
        Refused::BadRequest(why) => Problem::new(ProblemKind::BadCsr, why),
        Refused::BadKey(why) => Problem::new(ProblemKind::BadPublicKey, why),
        Refused::Identifier(identifier, why) => {
            Problem::new(ProblemKind::RejectedIdentifier, why).about(&identifier)
        }
        Refused::Busy { retry_after } => busy(retry_after),
        Refused::Failed(_) => {
            tracing::error!(error = &refused as &dyn std::error::Error, "a certificate can't be made");
            Problem { retry_after: Some(SOON), ..Problem::internal() }
        }
    }
}

/// What a client is told while the authority has too much to do.
pub(super) fn busy(retry_after: u64) -> Problem {
    let problem = Problem::new(ProblemKind::ServerInternal, "the authority is busy; try again later");
    Problem { retry_after: Some(retry_after), ..problem.with_status(503) }
}
