//! TrustChain: between the wire's types and the domain's.
//!
//! Form is checked here and refused as a 400 that names the member; what a text means (a name, a request, a value of a
//! record) the domain says, and refuses as a 422.

pub(crate) mod certificates;
pub(crate) mod dns;
pub(crate) mod rotation;
pub(crate) mod validation;

use crate::problem::Draft;
use hypermesh_wire::trustchain::MAX_PEM;

/// A PEM text of a bounded length. It has several lines, of ASCII alone.
pub(crate) fn pem(member: &str, text: String) -> Result<String, Draft> {
    let known = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~');
    if (1..=MAX_PEM).contains(&text.len()) && text.chars().all(known) {
        return Ok(text);
    }
    Err(Draft::invalid(member, format!("`{member}` is PEM: 1 to {MAX_PEM} characters of ASCII")))
}

fn optional_pem(member: &str, text: Option<String>) -> Result<Option<String>, Draft> {
    text.map(|text| pem(member, text)).transpose()
}
