//! Orders (RFC 8555, 7.1.3 and 7.4): made, and shown.
//!
//! ```text
//! pending ──all authorizations valid──▶ ready ──finalize──▶ processing ──▶ valid
//!    └──one is lost, or time is over──────┴────────────────────┴─────────▶ invalid
//! ```
//!
//! Whether an open order is pending, ready or invalid is worked out whenever somebody looks ([`OrderStatus::of`]).

use super::{Acme, Post, SOON, made, paths};
use crate::base64url;
use crate::id::{AccountId, AuthorizationId, OrderId};
use crate::identifier::{Identifier, InvalidIdentifier};
use crate::problem::{Problem, ProblemKind};
use crate::record::{
    Authorization, AuthorizationStatus, Challenge, ChallengeKind, ChallengeStatus, Order, OrderState,
};
use crate::reply::Reply;
use crate::store::{ABSENT, Change, Versioned};
use hypermesh_model::Timestamp;
use serde_json::{Map, Value, json};

/// Random bytes of a token: 128 bits, RFC 8555, 11.3.
const TOKEN: usize = 16;

/// How an order stands, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OrderStatus {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid(Problem),
}

impl OrderStatus {
    /// From the order and, if it is open, its authorizations.
    pub(super) fn of(order: &Order, authorizations: &[Authorization], now: Timestamp, run: &str) -> Self {
        match &order.state {
            OrderState::Valid { .. } => Self::Valid,
            OrderState::Invalid { error } => Self::Invalid(error.clone()),
            OrderState::Processing { run: other } if other == run => Self::Processing,
            OrderState::Processing { .. } => {
                let detail = "the server ended while it made the certificate; make a new order";
                Self::Invalid(Problem::new(ProblemKind::ServerInternal, detail))
            }
            OrderState::Open if order.expires <= now => {
                Self::Invalid(Problem::malformed("the order expired"))
            }
            OrderState::Open => Self::of_open(order, authorizations, now),
        }
    }

    fn of_open(order: &Order, authorizations: &[Authorization], now: Timestamp) -> Self {
        let lost = authorizations.iter().filter_map(|authorization| why_lost(authorization, now)).collect();
        if let Some(problem) = Problem::from_several(lost, "control over several identifiers was not proven")
        {
            return Self::Invalid(problem);
        }
        let all = authorizations.len() == order.authorizations.len();
        if all && authorizations.iter().all(|authorization| authorization.is_valid(now)) {
            Self::Ready
        } else {
            Self::Pending
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// Why an authorization can no longer become or stay valid.
fn why_lost(authorization: &Authorization, now: Timestamp) -> Option<Problem> {
    let why = |detail: &str| Some(Problem::unauthorized(detail).about(&authorization.identifier));
    match authorization.status {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid if authorization.expires <= now => {
            why("its authorization expired")
        }
        AuthorizationStatus::Pending | AuthorizationStatus::Valid => None,
        AuthorizationStatus::Invalid => {
            let error = authorization.challenges.iter().find_map(|challenge| challenge.error.clone());
            let unknown = || Problem::unauthorized("control was not proven");
            Some(error.unwrap_or_else(unknown).about(&authorization.identifier))
        }
        AuthorizationStatus::Deactivated => why("its authorization was given up"),
        AuthorizationStatus::Revoked => why("its authorization was revoked"),
    }
}

impl Acme {
    /// `POST` to newOrder.
    pub async fn new_order(&self, post: &Post<'_>) -> Reply {
        self.finish(self.make_order(post).await)
    }

    /// `POST` to an order: shows it.
    pub async fn order(&self, id: &str, post: &Post<'_>) -> Reply {
        self.finish(self.show_order(id, post).await)
    }

    async fn make_order(&self, post: &Post<'_>) -> Result<Reply, Problem> {
        let opened = self.by_account(post, &self.urls().of(paths::NEW_ORDER)).await?;
        let payload = opened.object()?;
        let account = opened.who.record.id;
        let identifiers = self.identifiers(&payload)?;
        if payload.contains_key("profile") {
            return Err(Problem::new(ProblemKind::InvalidProfile, "there are no profiles to choose from"));
        }
        if payload.get("notBefore").is_some_and(|value| !value.is_null()) {
            return Err(Problem::malformed("the begin of validity can't be chosen; leave `notBefore` out"));
        }
        let now = self.now();
        let not_after = not_after(&payload, now)?;
        let limits = &self.inner.settings.limits;
        if self.store().open_orders(&account, now).await? >= limits.open_orders {
            return Err(Problem::limited("the account has too many open orders", 600));
        }
        let expires = now.plus_seconds(limits.order_seconds);
        let mut changes = Vec::new();
        let mut authorizations = Vec::new();
        for identifier in &identifiers {
            let authorization = new_authorization(&account, identifier, expires)?;
            authorizations.push(authorization.clone());
            changes.push(Change::Authorization(authorization, ABSENT));
        }
        let id = made(OrderId::random())?;
        let replaced = self.replaced(&payload, &account, &identifiers, &id).await?;
        let order = Order {
            id,
            account,
            state: OrderState::Open,
            identifiers,
            authorizations: authorizations.iter().map(|authorization| authorization.id.clone()).collect(),
            not_after,
            replaces: replaced.as_ref().map(|certificate| certificate.record.id.clone()),
            created: now,
            expires,
        };
        changes.push(Change::Order(order.clone(), ABSENT));
        changes.extend(replaced.map(|found| Change::Certificate(found.record, found.version)));
        self.store().commit(changes).await?;
        Ok(self.order_reply(201, &order, &OrderStatus::of(&order, &authorizations, now, &self.inner.run)))
    }

    /// The identifiers of a new order, each once; or every one that is refused.
    fn identifiers(&self, payload: &Map<String, Value>) -> Result<Vec<Identifier>, Problem> {
        let list = payload.get("identifiers").and_then(Value::as_array);
        let list = list.filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| Problem::malformed("`identifiers` is no list with something in it"))?;
        let limit = self.inner.settings.limits.identifiers.min(crate::MAX_IDENTIFIERS);
        if list.len() > limit {
            return Err(Problem::malformed(format!("an order has {limit} identifiers at most")));
        }
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for value in list {
            match self.identifier(value) {
                Ok(identifier) if !found.contains(&identifier) => found.push(identifier),
                Ok(_) => {}
                Err(problem) => refused.push(problem),
            }
        }
        match Problem::from_several(refused, "several identifiers are refused") {
            Some(problem) => Err(problem),
            None => Ok(found),
        }
    }

    fn identifier(&self, value: &Value) -> Result<Identifier, Problem> {
        let text = |name| value.get(name).and_then(Value::as_str);
        let (Some(kind), Some(value)) = (text("type"), text("value")) else {
            return Err(Problem::malformed("an identifier is an object of two strings, `type` and `value`"));
        };
        let identifier = Identifier::parse(kind, value).map_err(|error| {
            let kind = match error {
                InvalidIdentifier::Type(_) => ProblemKind::UnsupportedIdentifier,
                InvalidIdentifier::Name { .. } | InvalidIdentifier::Address(_) => {
                    ProblemKind::RejectedIdentifier
                }
            };
            Problem::new(kind, error.to_string())
        })?;
        self.inner
            .authority
            .admits(&identifier)
            .map_err(|why| Problem::new(ProblemKind::RejectedIdentifier, why).about(&identifier))?;
        Ok(identifier)
    }

    async fn show_order(&self, id: &str, post: &Post<'_>) -> Result<Reply, Problem> {
        let id = OrderId::parse(id).map_err(|_| Problem::not_found("order"))?;
        let account = self.by_account(post, &self.urls().order(&id)).await?.reading()?;
        let order = self.order_of(&account.record.id, &id).await?.record;
        let (status, _) = self.order_status(&order).await?;
        Ok(self.order_reply(200, &order, &status))
    }

    /// An order that is this account's.
    pub(super) async fn order_of(
        &self,
        account: &AccountId,
        id: &OrderId,
    ) -> Result<Versioned<Order>, Problem> {
        let order = self.store().order(id).await?.ok_or_else(|| Problem::not_found("order"))?;
        if &order.record.account != account {
            return Err(Problem::unauthorized("the order is another account's"));
        }
        Ok(order)
    }

    /// How an order stands, and the authorizations that say so.
    pub(super) async fn order_status(
        &self,
        order: &Order,
    ) -> Result<(OrderStatus, Vec<Authorization>), Problem> {
        let mut authorizations = Vec::new();
        if order.state == OrderState::Open {
            for id in &order.authorizations {
                authorizations.extend(self.store().authorization(id).await?.map(|found| found.record));
            }
        }
        let status = OrderStatus::of(order, &authorizations, self.now(), &self.inner.run);
        Ok((status, authorizations))
    }

    pub(super) fn order_reply(&self, code: u16, order: &Order, status: &OrderStatus) -> Reply {
        let urls = self.urls();
        let mut document = json!({
            "status": status.name(),
            "expires": order.expires,
            "identifiers": order.identifiers,
            "authorizations": order.authorizations.iter().map(|id| urls.authorization(id)).collect::<Vec<_>>(),
            "finalize": urls.finalize(&order.id),
        });
        if let Some(not_after) = order.not_after {
            document["notAfter"] = json!(not_after);
        }
        if let Some(replaces) = &order.replaces {
            document["replaces"] = json!(replaces);
        }
        if let OrderState::Valid { certificate } = &order.state {
            document["certificate"] = json!(urls.certificate(certificate));
        }
        if let OrderStatus::Invalid(error) = status {
            document["error"] = json!(error);
        }
        let wait = (*status == OrderStatus::Processing).then_some(SOON);
        Reply::json(code, &document).at(urls.order(&order.id)).retry_after(wait)
    }
}

fn not_after(payload: &Map<String, Value>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let value = match payload.get("notAfter") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let time: Timestamp = serde_json::from_value(value.clone())
        .map_err(|_| Problem::malformed("`notAfter` is no time of RFC 3339"))?;
    if time <= now {
        return Err(Problem::malformed("`notAfter` is in the past"));
    }
    Ok(Some(time))
}

fn new_authorization(
    account: &AccountId,
    identifier: &Identifier,
    expires: Timestamp,
) -> Result<Authorization, Problem> {
    let challenge = |kind: &ChallengeKind| -> Result<Challenge, Problem> {
        let (status, token) = (ChallengeStatus::Pending, made(base64url::random::<TOKEN>())?);
        Ok(Challenge { kind: *kind, token, status, validated: None, error: None })
    };
    Ok(Authorization {
        id: made(AuthorizationId::random())?,
        account: account.clone(),
        identifier: identifier.base(),
        wildcard: identifier.is_wildcard(),
        status: AuthorizationStatus::Pending,
        challenges: ChallengeKind::for_identifier(identifier)
            .iter()
            .map(challenge)
            .collect::<Result<_, _>>()?,
        expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order_of(authorizations: &[Authorization]) -> Order {
        Order {
            id: OrderId::random().unwrap(),
            account: AccountId::random().unwrap(),
            state: OrderState::Open,
            identifiers: authorizations.iter().map(|one| one.identifier.clone()).collect(),
            authorizations: authorizations.iter().map(|one| one.id.clone()).collect(),
            not_after: None,
            replaces: None,
            created: Timestamp::from_millis(0),
            expires: Timestamp::from_millis(1_000),
        }
    }

    fn authorization(status: AuthorizationStatus, expires: i64) -> Authorization {
        let account = AccountId::random().unwrap();
        let identifier = Identifier::parse("dns", "a.test").unwrap();
        let new = new_authorization(&account, &identifier, Timestamp::from_millis(expires)).unwrap();
        Authorization { status, ..new }
    }

    #[test]
    fn an_order_that_a_process_left_behind_is_lost() {
        let order = Order { state: OrderState::Processing { run: "old".into() }, ..order_of(&[]) };
        let now = Timestamp::from_millis(1);
        assert_eq!(OrderStatus::of(&order, &[], now, "old"), OrderStatus::Processing);
        assert!(matches!(OrderStatus::of(&order, &[], now, "new"), OrderStatus::Invalid(_)));
    }

    proptest! {
        #[test]
        fn an_order_is_ready_only_while_every_authorization_is_valid(
            parts in prop::collection::vec((0usize..5, 1i64..20), 1..5),
            now in 0i64..20,
            lacks in any::<bool>(),
        ) {
            use AuthorizationStatus::{Deactivated, Invalid, Pending, Revoked, Valid};
            let kinds = [Pending, Valid, Invalid, Deactivated, Revoked];
            let mut all: Vec<_> = parts.iter().map(|(kind, end)| authorization(kinds[*kind], *end)).collect();
            let order = order_of(&all);
            if lacks {
                all.pop();
            }
            let status = OrderStatus::of(&order, &all, Timestamp::from_millis(now), "run");
            let ready = !lacks && parts.iter().all(|(kind, end)| kinds[*kind] == Valid && *end > now);
            prop_assert_eq!(status == OrderStatus::Ready, ready);
        }
    }
}
