//! Guests from component to outcome, in this process: what they are given, what they give, and the cause of every end
//! that comes by itself. What only a kill ends is tested where processes are.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod command;
mod folder;
mod http;
mod jobs;
mod limits;
mod support;
