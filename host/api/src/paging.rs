//! Paging of lists: `limit` and `after` in, a bare array and `Link: <…>; rel="next"` (RFC 8288) out.
//!
//! `after` is an id, or what else a list is sorted by, and not a position, so that what comes and goes between two pages
//! shifts nothing.

use crate::problem::Draft;
use axum::Json;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Longest list in one answer, by the contract.
const MAX_LIST: u32 = 1000;

/// Longest `after`: as long as the longest id.
const MAX_AFTER: usize = 64;

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// The id to go on after; `None` on the last page.
    next: Option<String>,
}

/// The items after `after`, by id, at most `limit`.
pub(crate) fn page<T>(
    mut items: Vec<T>,
    id: impl Fn(&T) -> &str,
    limit: Option<u32>,
    after: Option<&str>,
) -> Result<Page<T>, Draft> {
    items.sort_by(|a, b| id(a).cmp(id(b)));
    check_after(after, MAX_AFTER)?;
    let first = after.map_or(0, |after| items.partition_point(|item| id(item) <= after));
    page_from(items, first, limit, |item| id(item).to_owned())
}

/// Refuses an `after` that nothing can be called.
pub(crate) fn check_after(after: Option<&str>, most: usize) -> Result<(), Draft> {
    if after.is_some_and(|after| after.chars().count() > most) {
        return Err(Draft::invalid("after", format!("`after` may be {most} characters long")));
    }
    Ok(())
}

/// The items from the `first` on, as they stand, at most `limit`; `cursor` is what the next page comes after.
pub(crate) fn page_from<T>(
    mut items: Vec<T>,
    first: usize,
    limit: Option<u32>,
    cursor: impl Fn(&T) -> String,
) -> Result<Page<T>, Draft> {
    let last = items.len().min(first.saturating_add(self::limit(limit)?));
    let next = if last < items.len() { items[first..last].last().map(cursor) } else { None };
    items.truncate(last);
    items.drain(..first);
    Ok(Page { items, next })
}

/// How many items a page may have.
pub(crate) fn limit(limit: Option<u32>) -> Result<usize, Draft> {
    let limit = limit.unwrap_or(MAX_LIST);
    if !(1..=MAX_LIST).contains(&limit) {
        return Err(Draft::invalid("limit", format!("`limit` must be from 1 to {MAX_LIST}")));
    }
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

impl<T> Page<T> {
    /// A page that the domain cut, and the id that the next one comes after.
    pub(crate) fn of(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// Converts every item.
    pub(crate) fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}

impl<T: Serialize> Page<T> {
    /// The answer to a request for `uri`.
    pub(crate) fn answer(self, uri: &Uri) -> Response {
        let link = self.next.and_then(|next| HeaderValue::try_from(next_link(uri, &next)).ok());
        let mut response = Json(self.items).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// The same list with the same filters, from `next` on.
fn next_link(uri: &Uri, next: &str) -> String {
    let old = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(old.filter(|(name, _)| name != "after"))
        .append_pair("after", next)
        .finish();
    format!("<{}?{query}>; rel=\"next\"", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_link_keeps_the_filters() {
        let uri = Uri::from_static("/api/v1/assets?type=cpu&limit=2&after=a");
        assert_eq!(next_link(&uri, "b c"), "</api/v1/assets?type=cpu&limit=2&after=b+c>; rel=\"next\"");
    }

    #[test]
    fn a_limit_out_of_range_names_itself() {
        for bad in [0, 1001, u32::MAX] {
            let refused = page(vec!["a"], |item| item, Some(bad), None).err();
            assert_eq!(refused.unwrap().member(), Some("limit"));
        }
        let refused = page(vec!["a"], |item| item, None, Some(&"x".repeat(65))).err();
        assert_eq!(refused.unwrap().member(), Some("after"));
    }

    proptest! {
        #[test]
        fn following_the_links_gives_each_item_once(ids in proptest::collection::btree_set("[a-z]{1,4}", 0..60), limit in 1u32..9) {
            let all: Vec<String> = ids.into_iter().collect();
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = page(all.clone(), |id| id, Some(limit), after.as_deref()).unwrap();
                seen.extend(page.items);
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }
    }
}
