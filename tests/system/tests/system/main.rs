//! What a node promises, tested from outside: the real binary, the real kernel, real guests.
//!
//! One module a promise; each test owns its node or shares one that it can't disturb. No test asserts how long
//! something takes, but for the share of the CPU that a lease gets: that is the promise.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "test code")]

mod arrays;
mod attach;
mod catalog;
mod cli;
mod crash;
mod disk_io;
mod drift;
mod enforcement;
mod events;
mod exec;
mod executions;
mod failpoints;
mod gpu;
mod gpu_devices;
mod guest_loop;
mod guests;
mod hostile;
mod idempotency;
mod leases;
mod life;
mod measuring;
mod memory;
mod neighbours;
mod nodes;
mod orphans;
mod pinned;
mod preemption;
mod processes;
mod queue;
mod quota;
mod refusals;
mod registry;
mod reservations;
mod resize;
mod schedules;
mod security;
mod services;
mod storage;
mod tls;
mod tour;
mod trust_acme;
mod trust_crash;
mod trust_dns;
mod trust_monitor;
mod trust_openssl;
mod trust_refusals;
mod usage;
mod web;
