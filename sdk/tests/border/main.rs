//! The border from the host's side: the C header, a plugin in C, and what the macro makes of a
//! plugin in Rust.

mod c_metric;
mod header;
mod host;
mod rust_plugin;
mod templates;
