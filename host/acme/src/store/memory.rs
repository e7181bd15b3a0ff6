//! A store in memory, of bounded size. For tests, and for servers whose accounts need not outlive them.

use super::{ABSENT, Change, Store, StoreError, Versioned};
use crate::id::{AccountId, AuthorizationId, CertificateId, OrderId};
use crate::record::{Account, AccountKey, Authorization, Certificate, Order, OrderState};
use async_trait::async_trait;
use hypermesh_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Table<K, R> = BTreeMap<K, Versioned<R>>;

#[derive(Debug, Default, Clone)]
struct Tables {
    accounts: Table<AccountId, Account>,
    keys: Table<String, AccountKey>,
    orders: Table<OrderId, Order>,
    authorizations: Table<AuthorizationId, Authorization>,
    certificates: Table<CertificateId, Certificate>,
}

impl Tables {
    fn len(&self) -> usize {
        self.accounts.len()
            + self.keys.len()
            + self.orders.len()
            + self.authorizations.len()
            + self.certificates.len()
    }

    /// The version that the record of a change is at, and whether the change is made of it.
    fn is_current(&self, change: &Change) -> bool {
        let (at, expected) = match change {
            Change::Account(record, version) => (version_of(&self.accounts, &record.id), *version),
            Change::Key(record, version) => (version_of(&self.keys, &record.thumbprint), *version),
            Change::RemoveKey(_) => (ABSENT, ABSENT),
            Change::Order(record, version) => (version_of(&self.orders, &record.id), *version),
            Change::Authorization(record, version) => {
                (version_of(&self.authorizations, &record.id), *version)
            }
            Change::Certificate(record, version) => (version_of(&self.certificates, &record.id), *version),
        };
        at == expected
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Account(record, version) => put(&mut self.accounts, record.id.clone(), record, version),
            Change::Key(record, version) => put(&mut self.keys, record.thumbprint.clone(), record, version),
            Change::RemoveKey(thumbprint) => drop(self.keys.remove(&thumbprint)),
            Change::Order(record, version) => put(&mut self.orders, record.id.clone(), record, version),
            Change::Authorization(record, version) => {
                put(&mut self.authorizations, record.id.clone(), record, version);
            }
            Change::Certificate(record, version) => {
                put(&mut self.certificates, record.id.clone(), record, version)
            }
        }
    }
}

fn version_of<K: Ord, R>(table: &Table<K, R>, key: &K) -> u64 {
    table.get(key).map_or(ABSENT, |found| found.version)
}

fn put<K: Ord, R>(table: &mut Table<K, R>, key: K, record: R, version: u64) {
    table.insert(key, Versioned { record, version: version + 1 });
}

/// Keeps records in memory, at most a number of them in all.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    capacity: usize,
}

impl MemoryStore {
    /// A store with room for so many records of all kinds together.
    pub fn new(capacity: usize) -> Self {
        Self { tables: Mutex::default(), capacity }
    }

    // A batch is applied between two points at which nothing can panic, so the tables are whole even when poisoned.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn account(&self, id: &AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        Ok(self.tables().accounts.get(id).cloned())
    }

    async fn key(&self, thumbprint: &str) -> Result<Option<Versioned<AccountKey>>, StoreError> {
        Ok(self.tables().keys.get(thumbprint).cloned())
    }

    async fn accounts(&self) -> Result<usize, StoreError> {
        Ok(self.tables().accounts.len())
    }

    async fn order(&self, id: &OrderId) -> Result<Option<Versioned<Order>>, StoreError> {
        Ok(self.tables().orders.get(id).cloned())
    }

    async fn orders(
        &self,
        account: &AccountId,
        after: Option<&OrderId>,
        limit: usize,
    ) -> Result<Vec<Order>, StoreError> {
        let tables = self.tables();
        let orders = tables.orders.values().map(|found| &found.record);
        let of_account =
            orders.filter(|order| &order.account == account && after.is_none_or(|after| &order.id > after));
        Ok(of_account.take(limit).cloned().collect())
    }

    async fn open_orders(&self, account: &AccountId, now: Timestamp) -> Result<usize, StoreError> {
        let tables = self.tables();
        let open = tables.orders.values().map(|found| &found.record).filter(|order| {
            let is_open = match order.state {
                OrderState::Open | OrderState::Processing { .. } => true,
                OrderState::Valid { .. } | OrderState::Invalid { .. } => false,
            };
            is_open && &order.account == account && order.expires > now
        });
        Ok(open.count())
    }

    async fn authorization(
        &self,
        id: &AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        Ok(self.tables().authorizations.get(id).cloned())
    }

    async fn valid_authorizations(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<Authorization>, StoreError> {
        let tables = self.tables();
        let all = tables.authorizations.values().map(|found| &found.record);
        Ok(all.filter(|one| &one.account == account && one.is_valid(now)).cloned().collect())
    }

    async fn certificate(&self, id: &CertificateId) -> Result<Option<Versioned<Certificate>>, StoreError> {
        Ok(self.tables().certificates.get(id).cloned())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if !changes.iter().all(|change| tables.is_current(change)) {
            return Err(StoreError::Conflict);
        }
        // Only what is new takes room: a full store must let orders end and accounts be given up.
        let is_new = |change: &&Change| match change {
            Change::Account(_, version)
            | Change::Key(_, version)
            | Change::Order(_, version)
            | Change::Authorization(_, version)
            | Change::Certificate(_, version) => *version == ABSENT,
            Change::RemoveKey(_) => false,
        };
        let new = changes.iter().filter(is_new).count();
        if new > 0 && tables.len() + new > self.capacity {
            return Err(StoreError::Full);
        }
        for change in changes {
            tables.apply(change);
        }
        Ok(())
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut tables = self.tables();
        let before = tables.len();
        tables.orders.retain(|_, found| found.record.expires > now);
        tables.authorizations.retain(|_, found| found.record.expires > now);
        tables.certificates.retain(|_, found| found.record.not_after > now);
        Ok(before - tables.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(thumbprint: &str) -> AccountKey {
        AccountKey { thumbprint: thumbprint.into(), account: AccountId::random().unwrap() }
    }

    #[tokio::test]
    async fn a_batch_with_one_stale_change_writes_nothing() {
        let store = MemoryStore::new(10);
        store.commit(vec![Change::Key(key("a"), ABSENT)]).await.unwrap();
        let both = vec![Change::Key(key("b"), ABSENT), Change::Key(key("a"), ABSENT)];
        assert!(matches!(store.commit(both).await, Err(StoreError::Conflict)));
        assert_eq!(store.key("b").await.unwrap(), None);
        assert_eq!(store.key("a").await.unwrap().unwrap().version, 1);
    }

    #[tokio::test]
    async fn a_full_store_says_so_and_keeps_what_it_has() {
        let store = MemoryStore::new(1);
        store.commit(vec![Change::Key(key("a"), ABSENT)]).await.unwrap();
        assert!(matches!(store.commit(vec![Change::Key(key("b"), ABSENT)]).await, Err(StoreError::Full)));
        assert!(store.key("a").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_full_store_takes_changes_of_what_it_has() {
        let store = MemoryStore::new(2);
        store.commit(vec![Change::Key(key("a"), ABSENT), Change::Key(key("b"), ABSENT)]).await.unwrap();
        store.commit(vec![Change::Key(key("a"), 1)]).await.unwrap();
        assert_eq!(store.key("a").await.unwrap().unwrap().version, 2);
        assert!(matches!(store.commit(vec![Change::Key(key("c"), ABSENT)]).await, Err(StoreError::Full)));
        store.commit(vec![Change::RemoveKey("a".into())]).await.unwrap();
        store.commit(vec![Change::Key(key("c"), ABSENT)]).await.unwrap();
    }
}
