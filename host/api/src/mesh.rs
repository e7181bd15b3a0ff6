//! The resources of port 8446, one file each. A handler parses, calls the domain and converts; nothing else.

pub(crate) mod allocations;
pub(crate) mod arrays;
pub(crate) mod assets;
pub(crate) mod blobs;
pub(crate) mod catalog;
pub(crate) mod changes;
pub(crate) mod events;
pub(crate) mod executions;
pub(crate) mod logs;
pub(crate) mod nodes;
pub(crate) mod queue;
pub(crate) mod quotas;
pub(crate) mod registry;
pub(crate) mod schedules;
pub(crate) mod services;
pub(crate) mod streams;
pub(crate) mod system;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod volumes;
