//! Components in use: which stored components somebody is about to make a package of, and one change of the catalog at a
//! time.
//!
//! A component's file is removed with the last package that has it. Between the end of an upload and its package nobody
//! refers to it yet, so whoever works on it holds it; what is held is not removed, and the last one to let go removes
//! what became no package.

use hypermesh_model::BlobDigest;
use hypermesh_registry::{RegistryAccess, RegistryClient};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Pulls and pushes at a time: each has a connection and up to a component in flight.
const MAX_TRANSFERS: usize = 4;

/// What of the catalog is being worked on, and how registries are reached.
#[derive(Debug)]
pub(crate) struct Catalog {
    held: Arc<Mutex<Counts>>,
    pub(super) registries: RegistryClient,
    pub(super) transfers: Semaphore,
    /// Taken by whoever decides from the packages and then changes them, or binds a vm to one.
    pub(crate) changes: tokio::sync::Mutex<()>,
}

type Counts = BTreeMap<BlobDigest, usize>;

/// Keeps a component's file while it lives.
#[derive(Debug)]
pub(super) struct HeldComponent(Arc<Mutex<Counts>>, BlobDigest);

fn locked(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Catalog {
    pub(crate) fn new(registries: RegistryAccess) -> Self {
        Self {
            held: Arc::default(),
            registries: RegistryClient::new(registries),
            transfers: Semaphore::new(MAX_TRANSFERS),
            changes: tokio::sync::Mutex::default(),
        }
    }

    /// Holds a component. Whether its file is there must be looked at afterwards.
    pub(super) fn hold(&self, digest: &BlobDigest) -> HeldComponent {
        *locked(&self.held).entry(digest.clone()).or_default() += 1;
        HeldComponent(Arc::clone(&self.held), digest.clone())
    }

    /// Does `remove` if nobody holds the component, and so that nobody can begin to meanwhile.
    pub(super) fn unless_held<T>(&self, digest: &BlobDigest, remove: impl FnOnce() -> T) -> Option<T> {
        let held = locked(&self.held);
        (!held.contains_key(digest)).then(remove)
    }
}

impl Drop for HeldComponent {
    fn drop(&mut self) {
        let mut held = locked(&self.0);
        if let Some(count) = held.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_holds_is_not_removed() {
        let catalog = Catalog::new(RegistryAccess::default());
        let digest = BlobDigest::from_bytes(&[1; 32]);
        let (first, second) = (catalog.hold(&digest), catalog.hold(&digest));
        drop(first);
        assert_eq!(catalog.unless_held(&digest, || ()), None);
        drop(second);
        assert_eq!(catalog.unless_held(&digest, || ()), Some(()));
    }
}
