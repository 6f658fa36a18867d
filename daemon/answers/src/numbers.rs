//! One or more numbers.

pub(crate) mod read; // cells -> targets
