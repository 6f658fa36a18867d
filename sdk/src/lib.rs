//! What the author of a plugin needs. The only place with the C ABI: see [`abi`].

pub mod abi;
