//! How much the catalog may hold: packages and bytes of components, for the node and for each requester.
//!
//! Bytes are counted by content: a component under two names is stored once and counted once for the node, and once for
//! each requester that has it. Pure: the caller asks under the lock under which it then enters the package.

use crate::error::Shortage;
use hypermesh_model::{BlobDigest, Bytes, Package, Subject};
use std::collections::BTreeMap;

/// The limits of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogQuota {
    /// Packages of all requesters.
    pub packages: u64,
    /// Components of all requesters.
    pub bytes: Bytes,
    /// Packages of one requester.
    pub requester_packages: u64,
    /// Components of one requester.
    pub requester_bytes: Bytes,
}

impl Default for CatalogQuota {
    /// A thousand packages fit one answer of the contract; half of everything is the most that one requester takes.
    fn default() -> Self {
        Self {
            packages: 1000,
            bytes: Bytes(8 << 30),
            requester_packages: 500,
            requester_bytes: Bytes(4 << 30),
        }
    }
}

/// What is held of one limit.
struct Held<'a> {
    whose: &'a str,
    packages: u64,
    components: BTreeMap<&'a BlobDigest, u64>,
}

impl<'a> Held<'a> {
    fn of(whose: &'a str, packages: impl Iterator<Item = &'a Package>) -> Self {
        let mut held = Self { whose, packages: 0, components: BTreeMap::new() };
        for package in packages {
            held.packages += 1;
            held.components.insert(&package.digest, package.size.0);
        }
        held
    }

    fn shortages(&self, digest: &BlobDigest, size: Bytes, packages: u64, bytes: Bytes) -> Vec<Shortage> {
        let used: u64 = self.components.values().sum();
        let wanted = if self.components.contains_key(digest) { 0 } else { size.0 };
        let mut short = Vec::new();
        if self.packages >= packages {
            let detail = format!("{} holds {} of {packages} packages", self.whose, self.packages);
            short.push(shortage(
                "catalog_packages",
                1,
                packages.saturating_sub(self.packages),
                "packages",
                detail,
            ));
        }
        if used.saturating_add(wanted) > bytes.0 {
            let detail = format!("{} holds {} of {bytes}", self.whose, Bytes(used));
            short.push(shortage("catalog_bytes", wanted, bytes.0.saturating_sub(used), "bytes", detail));
        }
        short
    }
}

/// Everything that is short for one more package; empty when it fits.
pub(super) fn shortages(
    quota: &CatalogQuota,
    packages: &[Package],
    by: &Subject,
    digest: &BlobDigest,
    size: Bytes,
) -> Vec<Shortage> {
    let node = Held::of("the node's catalog", packages.iter());
    let own = Held::of(&by.0, packages.iter().filter(|package| package.author == *by));
    let mut short = node.shortages(digest, size, quota.packages, quota.bytes);
    short.extend(own.shortages(digest, size, quota.requester_packages, quota.requester_bytes));
    short
}

fn shortage(
    dimension: &'static str,
    requested: u64,
    available: u64,
    unit: &'static str,
    detail: String,
) -> Shortage {
    #[expect(clippy::cast_precision_loss, reason = "a catalog holds less than 2^53 bytes")]
    let [requested, available] = [requested, available].map(|n| n as f64);
    Shortage { dimension, requested, available, unit, fits_at: None, detail: Some(detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::package;

    fn digest(n: u8) -> BlobDigest {
        BlobDigest::from_bytes(&[n; 32])
    }

    #[test]
    fn each_limit_is_told_with_its_numbers() {
        let quota = CatalogQuota {
            packages: 3,
            bytes: Bytes(100),
            requester_packages: 2,
            requester_bytes: Bytes(60),
        };
        let of = |by: &str, n: u8, size: u64| Package {
            author: Subject(by.into()),
            digest: digest(n),
            size: Bytes(size),
            ..package("a", "1.0.0")
        };
        let there = [of("x", 1, 50), of("y", 2, 40)];
        let ask = |by: &str, n: u8, size: u64| {
            let short = shortages(&quota, &there, &Subject(by.into()), &digest(n), Bytes(size));
            short
                .into_iter()
                .map(|s| (s.dimension, s.requested, s.available, s.detail.unwrap()))
                .collect::<Vec<_>>()
        };
        assert!(ask("x", 3, 10).is_empty());
        assert!(ask("x", 1, 50).is_empty(), "the same component again costs nothing");
        let both = ask("x", 3, 11);
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!((both[0].0, both[0].1, both[0].2), ("catalog_bytes", 11.0, 10.0));
        assert_eq!(both[1].3, "x holds 50 B of 60 B");
        assert_eq!(ask("z", 3, 11).len(), 1, "the node's alone");

        let full = [of("x", 1, 1), of("x", 1, 1), of("y", 1, 1)];
        let short = shortages(&quota, &full, &Subject("x".into()), &digest(1), Bytes(1));
        let short: Vec<_> = short.iter().map(|s| (s.dimension, s.available)).collect();
        assert_eq!(short, [("catalog_packages", 0.0), ("catalog_packages", 0.0)]);
    }
}
