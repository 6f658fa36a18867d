//! Any number of classes.

pub(crate) mod read; // cells -> targets
