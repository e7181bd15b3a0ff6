//! Names: whom a certificate is about (a distinguished name), and what it may be used for (alternative names).

mod attribute;
mod constraints;
mod distinguished;
mod general;
mod parse;

pub use constraints::{NameConstraints, Subtree};
pub use distinguished::{DistinguishedName, DnError};
pub use general::{MAX_NAMES, NameError, Names};

pub(crate) use general::{host_matches, is_dns_name};
