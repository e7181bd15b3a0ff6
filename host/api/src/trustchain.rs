//! The resources of port 8444, one file each. A handler parses, calls the domain and converts; nothing else.

pub(crate) mod acme;
pub(crate) mod authentication;
pub(crate) mod authorities;
pub(crate) mod certificates;
pub(crate) mod dns;
pub(crate) mod log;
pub(crate) mod published;
pub(crate) mod rotation;
pub(crate) mod state;
pub(crate) mod system;
pub(crate) mod tiles;
pub(crate) mod validation;
