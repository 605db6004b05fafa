//! Security keys, as hosts use them.

pub mod list;
