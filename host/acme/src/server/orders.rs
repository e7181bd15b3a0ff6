//! The list of an account's orders (RFC 8555, 7.1.2.1), in pages.

use super::{Acme, Post};
use crate::id::{AccountId, OrderId};
use crate::problem::Problem;
use crate::record::{Order, OrderState};
use crate::reply::Reply;
use hypermesh_model::Timestamp;
use serde_json::json;

/// Orders of one page.
const PAGE: usize = 50;

impl Acme {
    /// `POST` to an account's orders, from the one after `cursor` on.
    pub async fn orders(&self, id: &str, cursor: Option<&str>, post: &Post<'_>) -> Reply {
        self.finish(self.list_orders(id, cursor, post).await)
    }

    async fn list_orders(&self, id: &str, cursor: Option<&str>, post: &Post<'_>) -> Result<Reply, Problem> {
        let id = AccountId::parse(id).map_err(|_| Problem::not_found("account"))?;
        let after = cursor.map(OrderId::parse).transpose();
        let after = after.map_err(|_| Problem::malformed("the cursor is none of ours"))?;
        let account = self.by_account(post, &self.urls().orders(&id, cursor)).await?.reading()?;
        if account.record.id != id {
            return Err(Problem::unauthorized("this is another account"));
        }
        let page = self.store().orders(&id, after.as_ref(), PAGE).await?;
        let now = self.now();
        let urls: Vec<_> = page
            .iter()
            .filter(|order| is_listed(order, now))
            .map(|order| self.urls().order(&order.id))
            .collect();
        let reply = Reply::json(200, &json!({ "orders": urls }));
        Ok(match page.last() {
            Some(last) if page.len() == PAGE => {
                reply.linked("next", self.urls().orders(&id, Some(last.id.as_str())))
            }
            _ => reply,
        })
    }
}

fn is_listed(order: &Order, now: Timestamp) -> bool {
    match order.state {
        OrderState::Open | OrderState::Processing { .. } | OrderState::Valid { .. } => order.expires > now,
        OrderState::Invalid { .. } => false,
    }
}
