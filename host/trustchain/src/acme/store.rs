//! ACME's store: a commit there is a batch here, its versions are our generations.

use super::records::{AccountRow, AuthorizationRow, CertificateRow, KeyRow, OrderRow};
use crate::error::TrustError;
use async_trait::async_trait;
use hypermesh_acme::{
    Account, AccountId, AccountKey, Authorization, AuthorizationId, Certificate, CertificateId, Change,
    Order, OrderId, OrderState, StoreError, Versioned,
};
use hypermesh_model::Timestamp;
use hypermesh_store::{Batch, Record, Store, Table};

/// Records that one sweep removes at most: a batch of the store has a bound.
const SWEEP: usize = 10_000;

/// The tables.
#[derive(Debug)]
pub(crate) struct AcmeStore {
    store: Store,
    accounts: Table<AccountRow>,
    keys: Table<KeyRow>,
    orders: Table<OrderRow>,
    authorizations: Table<AuthorizationRow>,
    certificates: Table<CertificateRow>,
}

impl AcmeStore {
    pub(crate) fn open(store: &Store) -> Result<Self, TrustError> {
        let fault = || TrustError::internal("opening ACME's tables");
        Ok(Self {
            accounts: store.table().map_err(fault())?,
            keys: store.table().map_err(fault())?,
            orders: store.table().map_err(fault())?,
            authorizations: store.table().map_err(fault())?,
            certificates: store.table().map_err(fault())?,
            store: store.clone(),
        })
    }

    async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.store.commit(batch).await.map(|_| ()).map_err(|error| {
            use hypermesh_store::StoreError as Ours;
            if matches!(error, Ours::Conflict { .. }) {
                StoreError::Conflict
            } else if matches!(error, Ours::Full { .. }) {
                StoreError::Full
            } else {
                StoreError::Failed(Box::new(error))
            }
        })
    }
}

fn versioned<R: Record, T>(
    row: Option<hypermesh_store::Versioned<R>>,
    inner: impl Fn(R) -> T,
) -> Option<Versioned<T>> {
    row.map(|row| Versioned { record: inner(row.value), version: row.generation })
}

#[async_trait]
impl hypermesh_acme::Store for AcmeStore {
    async fn account(&self, id: &AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        Ok(versioned(self.accounts.get_versioned(id), |row| row.0))
    }

    async fn key(&self, thumbprint: &str) -> Result<Option<Versioned<AccountKey>>, StoreError> {
        Ok(versioned(self.keys.get_versioned(&thumbprint.to_owned()), |row| row.0))
    }

    async fn accounts(&self) -> Result<usize, StoreError> {
        Ok(self.accounts.len())
    }

    async fn order(&self, id: &OrderId) -> Result<Option<Versioned<Order>>, StoreError> {
        Ok(versioned(self.orders.get_versioned(id), |row| row.0))
    }

    async fn orders(
        &self,
        account: &AccountId,
        after: Option<&OrderId>,
        limit: usize,
    ) -> Result<Vec<Order>, StoreError> {
        let mut left = limit;
        let rows = self.orders.filter(|row| {
            let wanted = left > 0 && row.0.account == *account && after.is_none_or(|after| row.0.id > *after);
            left -= usize::from(wanted);
            wanted
        });
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    async fn open_orders(&self, account: &AccountId, now: Timestamp) -> Result<usize, StoreError> {
        let mut count = 0;
        self.orders.filter(|row| {
            let open = match row.0.state {
                OrderState::Open | OrderState::Processing { .. } => true,
                OrderState::Valid { .. } | OrderState::Invalid { .. } => false,
            };
            count += usize::from(open && row.0.account == *account && row.0.expires > now);
            false
        });
        Ok(count)
    }

    async fn authorization(
        &self,
        id: &AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        Ok(versioned(self.authorizations.get_versioned(id), |row| row.0))
    }

    async fn valid_authorizations(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<Authorization>, StoreError> {
        let rows = self.authorizations.filter(|row| row.0.account == *account && row.0.is_valid(now));
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    async fn certificate(&self, id: &CertificateId) -> Result<Option<Versioned<Certificate>>, StoreError> {
        Ok(versioned(self.certificates.get_versioned(id), |row| row.0))
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for change in changes {
            match change {
                Change::Account(record, version) => batch.put_if(&self.accounts, AccountRow(record), version),
                Change::Key(record, version) => batch.put_if(&self.keys, KeyRow(record), version),
                Change::RemoveKey(thumbprint) => batch.delete(&self.keys, &thumbprint),
                Change::Order(record, version) => batch.put_if(&self.orders, OrderRow(record), version),
                Change::Authorization(record, version) => {
                    batch.put_if(&self.authorizations, AuthorizationRow(record), version)
                }
                Change::Certificate(record, version) => {
                    batch.put_if(&self.certificates, CertificateRow(record), version)
                }
            };
        }
        self.apply(batch).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut batch = Batch::new();
        let mut left = SWEEP;
        let mut take = |gone: bool| {
            let taken = gone && left > 0;
            left -= usize::from(taken);
            taken
        };
        for row in self.orders.filter(|row| take(row.0.expires < now)) {
            batch.delete(&self.orders, &row.0.id);
        }
        for row in self.authorizations.filter(|row| take(row.0.expires < now)) {
            batch.delete(&self.authorizations, &row.0.id);
        }
        for row in self.certificates.filter(|row| take(row.0.not_after < now)) {
            batch.delete(&self.certificates, &row.0.id);
        }
        let count = SWEEP - left;
        if count > 0 {
            self.apply(batch).await?;
        }
        Ok(count)
    }
}
