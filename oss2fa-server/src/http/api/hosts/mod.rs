//! Hosts that ask this server, and what they tell it.

pub mod report;
