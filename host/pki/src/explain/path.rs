//! Paths from a certificate to the roots, depth first and within a budget: certificates come from anybody, and among
//! many of one name the number of paths grows without bound (as in CVE-2023-0464).

use crate::certificate::Certificate;

/// Longest path, ends included.
const MAX_LENGTH: usize = 8;
/// Most paths that are judged.
const MAX_PATHS: usize = 8;
/// Most signatures that are verified while looking.
const MAX_SIGNATURES: usize = 128;

struct Search<'a> {
    others: &'a [Certificate],
    roots: &'a [Certificate],
    signatures: usize,
    found: Vec<Vec<Certificate>>,
}

/// Every path whose signatures are right, the first apart; if there is none, the one that goes furthest by its names.
pub(super) fn find(
    leaf: &Certificate,
    others: &[Certificate],
    roots: &[Certificate],
) -> (Vec<Certificate>, Vec<Vec<Certificate>>) {
    let mut search = Search { others, roots, signatures: MAX_SIGNATURES, found: Vec::new() };
    search.walk(&mut vec![leaf.clone()]);
    let mut found = std::mem::take(&mut search.found).into_iter();
    match found.next() {
        Some(first) => (first, found.collect()),
        None => (search.by_names(leaf), Vec::new()),
    }
}

impl Search<'_> {
    fn walk(&mut self, path: &mut Vec<Certificate>) {
        let Some(last) = path.last().cloned() else { return };
        if self.roots.contains(&last) {
            self.found.push(path.clone());
            return;
        }
        if path.len() == MAX_LENGTH {
            return;
        }
        for issuer in self.issuers(&last, path) {
            if self.found.len() == MAX_PATHS || self.signatures == 0 {
                return;
            }
            self.signatures -= 1;
            if last.is_signed_by(issuer.public_key()) {
                path.push(issuer);
                self.walk(path);
                path.pop();
            }
        }
    }

    /// Who is called as the issuer, roots and fitting key identifiers first. A key is on a path once.
    fn issuers(&self, of: &Certificate, path: &[Certificate]) -> Vec<Certificate> {
        let called = |it: &&Certificate| it.subject() == of.issuer();
        let is_new = |it: &&Certificate| {
            let same = |on: &Certificate| on.public_key() == it.public_key() && on.subject() == it.subject();
            !path.iter().any(same)
        };
        let all = self.roots.iter().chain(self.others).filter(called).filter(is_new);
        let mut issuers: Vec<Certificate> = all.cloned().collect();
        issuers.sort_by_key(|it| match (of.authority_key_id(), it.subject_key_id()) {
            (Some(wanted), Some(key)) => wanted != key,
            _ => false,
        });
        issuers
    }

    fn by_names(&self, leaf: &Certificate) -> Vec<Certificate> {
        let mut path = vec![leaf.clone()];
        while let Some(last) = path.last() {
            if self.roots.contains(last) || path.len() == MAX_LENGTH {
                break;
            }
            match self.issuers(last, &path).into_iter().next() {
                Some(issuer) => path.push(issuer),
                None => break,
            }
        }
        path
    }
}
