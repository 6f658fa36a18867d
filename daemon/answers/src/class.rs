//! One of several classes.

pub(crate) mod read; // cells -> targets
