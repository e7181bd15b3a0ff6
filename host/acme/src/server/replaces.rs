//! Which certificate an order replaces (RFC 9773, 5), so that an authority may treat renewals kindly.

use super::Acme;
use crate::id::{AccountId, CertificateId, OrderId};
use crate::identifier::Identifier;
use crate::problem::{Problem, ProblemKind};
use crate::record::Certificate;
use crate::store::Versioned;
use serde_json::{Map, Value};

impl Acme {
    /// The certificate that a new order says it replaces, marked so.
    ///
    /// It must be the account's, share an identifier with the order, and not be replaced by an order that may still
    /// succeed.
    pub(super) async fn replaced(
        &self,
        payload: &Map<String, Value>,
        account: &AccountId,
        identifiers: &[Identifier],
        order: &OrderId,
    ) -> Result<Option<Versioned<Certificate>>, Problem> {
        let text = match payload.get("replaces") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(Problem::malformed("`replaces` is no string")),
        };
        let id = CertificateId::parse(text).map_err(|error| Problem::malformed(error.to_string()))?;
        let found = self.store().certificate(&id).await?;
        let mut found = found.ok_or_else(|| Problem::malformed("the certificate to replace is unknown"))?;
        if &found.record.account != account {
            return Err(Problem::unauthorized("the certificate to replace is another account's"));
        }
        if !found.record.identifiers.iter().any(|identifier| identifiers.contains(identifier)) {
            return Err(Problem::malformed("the certificate to replace has none of the order's identifiers"));
        }
        if let Some(other) = &found.record.replaced_by
            && self.may_succeed(other).await?
        {
            let detail = "the certificate is replaced by another order";
            return Err(Problem::new(ProblemKind::AlreadyReplaced, detail));
        }
        found.record.replaced_by = Some(order.clone());
        Ok(Some(found))
    }

    async fn may_succeed(&self, order: &OrderId) -> Result<bool, Problem> {
        use super::order::OrderStatus;
        let Some(order) = self.store().order(order).await? else { return Ok(false) };
        Ok(match self.order_status(&order.record).await?.0 {
            OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => true,
            OrderStatus::Invalid(_) => false,
        })
    }
}
